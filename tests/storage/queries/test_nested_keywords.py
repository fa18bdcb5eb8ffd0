"""Lists of many parents that a keyword is sought in: the index of keywords finds what a look at each of their visits finds."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session, delete

from storage.database import Database
from storage.instants import stored
from storage.models import HomeVisit, HomeVisitStatus
from storage.queries import listing
from storage.queries.conditions import conditions
from storage.queries.counts import count
from storage.queries.search import INDEXED_KEYWORD
from storage.queries.statements import Statement
from storage.sqlite.dialect import DIALECT
from tests import databases
from tests.inspection import connected
from tests.storage.homes import ALICE, BOB, EVANS, FROST, NOBODY, NOW, REID, ROWAN, VISIT_TIME, WILLOW, keep, visit, visit_id

PARENTS = {"location": [WILLOW, ROWAN], "assigned_to": [ALICE, BOB], "care_enquiry": [EVANS, REID, FROST]}
ORDERS = [
    [("date_time", False)],
    [("date_time", True), ("id", True)],
    [("modified", True), ("date_time", False)],
    [("id", False)],
]
FILTERS: list[dict[str, Any]] = [
    {},
    {"status": [HomeVisitStatus.PENDING]},
    {"location": [WILLOW, ROWAN], "assigned_to": [ALICE, BOB]},
    {"ids": [visit_id(number) for number in range(7)]},
]


def visits_at_random() -> st.SearchStrategy[list[HomeVisit]]:
    def records(values: list[tuple[str, str, str | None, str, int, bool]]) -> list[HomeVisit]:
        return [
            visit(
                number,
                notes=notes,
                location=location,
                assigned_to=user,
                care_enquiry=enquiry,
                date_time=VISIT_TIME + timedelta(hours=hours),
                modified=NOW + timedelta(hours=hours % 3),
                cancelled=NOW if cancelled else None,
            )
            for number, (notes, location, user, enquiry, hours, cancelled) in enumerate(values)
        ]

    notes = st.sampled_from(["aba", "bab aba", "aabb a b", "bbb aba"]) | st.text("ab ", max_size=8)
    users = st.sampled_from([ALICE, BOB, None])
    others = st.sampled_from(PARENTS["location"]), users, st.sampled_from(PARENTS["care_enquiry"])
    return st.lists(st.tuples(notes, *others, st.integers(0, 4), st.booleans()), min_size=1, max_size=14).map(records)


async def answers(database: Database, statements: Sequence[Statement], values: dict[str, Any]) -> list[list[Sequence[Any]]]:
    """Return what each path of statements finds."""
    paths = list[Statement | None](statements)
    for path in paths:
        if path is not None:
            paths.append(path.fallback)
    return [list(await database.fetch(path._replace(fallback=None, max_steps=None), values)) for path in paths if path]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), records=visits_at_random())
async def test_whatever_finds_them_pages_and_counts_are_those_of_a_walk(
    database: Database, data: st.DataObject, records: list[HomeVisit]
) -> None:
    parent = data.draw(st.sampled_from(list(PARENTS)))
    order = listing.order_of(data.draw(st.sampled_from(ORDERS)))
    after, before, backward = (data.draw(st.booleans()) for _ in range(3))
    dialect = database.dialect
    where = conditions(
        {**data.draw(st.sampled_from(FILTERS)), "keyword": data.draw(st.sampled_from(["aba", "bab", "a b", "aabb", "bbb"]))},  # type: ignore[typeddict-item]  # a filter
        data.draw(st.sampled_from([None, [WILLOW]])),
        dialect,
    )
    walked = tuple(part for part in where.shape if part[0] != INDEXED_KEYWORD)
    values = {**where.values, "parents": dialect.list_value([*PARENTS[parent], NOBODY]), "limit": data.draw(st.integers(1, 4))}
    for argument in ("after", "before"):
        bound = data.draw(st.sampled_from(records))
        cursor = order.cursor(
            [stored(value) if isinstance(value := getattr(bound, name), datetime) else value for name in listing.COLUMNS]
        )
        values |= order.position(cursor, argument)
    await database.write(lambda session: _replace(session, records))

    shapes = [listing.Shape(conditions, order.keys, backward, after, before, parent) for conditions in (where.shape, walked)]
    pages = await answers(database, [listing.page(dialect, shape).statement for shape in shapes], values)
    counted = [listing.Shape(conditions, parent=parent) for conditions in (where.shape, walked)]
    totals = await answers(database, [count(dialect, shape) for shape in counted], values)

    assert len(pages) == len(totals) == (5 if databases.is_sqlite() else 2)
    assert [page for page in pages if page != pages[0]] == []
    assert [total for total in totals if sorted(total) != sorted(totals[0])] == []


def _replace(session: Session, records: list[HomeVisit]) -> None:
    session.exec(delete(HomeVisit))
    session.add_all([HomeVisit(**record.model_dump()) for record in records])


@pytest.mark.sqlite  # steps are those of its machine
async def test_a_rare_keyword_is_found_without_a_look_at_each_visit_of_each_parent(database: Database) -> None:
    await keep(database, *(visit(number, notes="usual") for number in range(1, 2_000)), visit(2_000, notes="a rare one"))
    where = conditions({"keyword": "rare"}, None, DIALECT)
    shape = listing.Shape(where.shape, listing.order_of([("date_time", False)]).keys, parent="location")
    values = {**where.values, "parents": DIALECT.list_value([WILLOW, ROWAN]), "limit": 11}

    walk = listing.page(DIALECT, shape).statement
    steps = [await _steps(database, path, values) for path in (walk, walk.fallback)]

    assert steps[0] > 10_000
    assert steps[1] < 1_000


async def _steps(database: Database, statement: Statement | None, values: dict[str, Any]) -> int:
    assert statement is not None
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 10

    with connected(Path(str(database))) as connection:
        connection.execute("SELECT 1 FROM home_visits LIMIT 1").fetchall()  # reads the schema, in steps that count as well
        connection.set_progress_handler(step, 10)
        connection.execute(statement.text, statement.arguments(values)).fetchall()
    return steps
