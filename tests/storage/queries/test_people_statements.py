"""Along which index SQLite reads the lists that a screen shows of people."""

import re
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.queries import people
from storage.queries.people_filters import PeopleFilter, people_conditions
from storage.queries.references import Kind
from storage.queries.statements import Statement
from storage.sqlite.dialect import DIALECT
from tests.inspection import inspect
from tests.storage.homes import ALICE, ROWAN, WILLOW

# Plans as SQLite's planner words them.
pytestmark = pytest.mark.sqlite

NAME, NEWEST = (("name_folded", False),), (("id", True),)


def plans(path: Path, kind: Kind, filter: PeopleFilter, order: Any, scope: set[str] | None) -> list[str]:
    where = people_conditions(kind, filter, scope, DIALECT)
    shape = people.Shape(kind, where.shape, people.order_of(kind, order).keys, after=True)
    found = list[str]()
    statement: Statement | None = people.page(DIALECT, shape).statement
    while statement:
        found.append(inspect(path).plan(statement.text, len(statement.names)))
        statement = statement.fallback
    return found


@pytest.mark.parametrize(
    ("kind", "filter", "order", "scope", "index"),
    [
        ("care_enquiry", {}, NAME, None, "care_enquiries_by_name ((name_folded,id)>(?,?))"),
        ("care_enquiry", {}, NEWEST, None, "sqlite_autoindex_care_enquiries_1 (id<?)"),
        (
            "care_enquiry",
            {"location": [WILLOW]},
            NAME,
            None,
            "care_enquiries_of_location_by_name (location=? AND (name_folded,id)>(?,?))",
        ),
        ("care_enquiry", {"location": [WILLOW]}, NEWEST, None, "care_enquiries_of_location (location=? AND id<?)"),
        ("care_enquiry", {"location": [WILLOW]}, NEWEST, {WILLOW}, "care_enquiries_of_location (location=? AND id<?)"),
        (
            "care_enquiry",
            {"location": [WILLOW, ROWAN]},
            NAME,
            None,
            "care_enquiries_of_location_by_name (location=? AND (name_folded,id)>(?,?))",
        ),
        ("care_enquiry", {}, NAME, {WILLOW}, "care_enquiries_of_location_by_name (location=? AND (name_folded,id)>(?,?))"),
        ("care_enquiry", {}, NEWEST, {WILLOW}, "sightings_at_location (location=?)"),
        ("care_enquiry", {"assigned_to": [ALICE]}, NAME, None, "care_enquiries_of_user (assigned_to=?)"),
        ("care_enquiry", {"assigned_to": [ALICE]}, NAME, {WILLOW}, "care_enquiries_of_user (assigned_to=?)"),
        ("user", {"suspended": False}, NAME, None, "users_by_name ((name_folded,id)>(?,?))"),
        ("user", {"suspended": False}, NAME, {WILLOW}, "users_by_name ((name_folded,id)>(?,?))"),
        ("location", {}, NAME, None, "locations_by_name ((name_folded,id)>(?,?))"),
    ],
)
def test_a_list_is_read_along_an_index(
    database: Database, path: Path, kind: Kind, filter: PeopleFilter, order: Any, scope: set[str] | None, index: str
) -> None:
    (plan,) = plans(path, kind, filter, order, scope)

    assert f"USING INDEX {index}" in plan or f"USING COVERING INDEX {index}" in plan, plan
    assert re.findall(r"SCAN (?:care_enquiries|users|locations)(?! USING)", plan) == []


@pytest.mark.parametrize("order", [NAME, NEWEST])
@pytest.mark.parametrize("scope", [None, {WILLOW}])
def test_a_search_is_looked_up_by_trigrams_where_a_walk_takes_long(
    database: Database, path: Path, order: Any, scope: set[str] | None
) -> None:
    walk, look_up, longer_walk, last = plans(path, "care_enquiry", {"search": "okafor"}, order, scope)

    assert (walk, look_up) == (longer_walk, last)
    assert "_search VIRTUAL TABLE" not in walk
    assert "care_enquiries_search VIRTUAL TABLE INDEX" in look_up
    assert "SEARCH care_enquiries USING INDEX sqlite_autoindex_care_enquiries_1 (id=?)" in look_up


@pytest.mark.parametrize(("order", "longer_walk"), [(NAME, 20_000), (NEWEST, 100_000)])
def test_a_walk_by_name_is_given_up_sooner_than_one_by_id(order: Any, longer_walk: int) -> None:
    where = people_conditions("care_enquiry", {"search": "okafor"}, None, DIALECT)
    statement: Statement | None = people.page(DIALECT, people.Shape("care_enquiry", where.shape, order)).statement

    steps = []
    while statement:
        steps.append(statement.max_steps)
        statement = statement.fallback

    assert steps == [10_000, 50_000, longer_walk, None]
