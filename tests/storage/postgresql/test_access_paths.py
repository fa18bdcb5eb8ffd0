"""By which indexes PostgreSQL finds each screen, as it plans it itself among twenty thousand visits."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from storage.models import ConfirmationStatus, HomeVisitStatus
from storage.postgresql.connecting import connect
from storage.postgresql.database import PostgreSQLDatabase
from storage.queries import listing
from storage.queries.conditions import HomeVisitFilter, conditions
from storage.queries.counts import count
from storage.queries.grouping import GroupingShape, HomeVisitGrouping, group_counts
from storage.queries.statements import Statement
from tests import databases

DIALECT = PostgreSQLDatabase.dialect
HOMES, USER, ENQUIRY, CONTACT = [f"b{number:023}" for number in range(30)], f"a{3:023}", f"c{3:023}", f"d{3:023}"
FILL = """
INSERT INTO users (id) SELECT 'a' || lpad(n::text, 23, '0') FROM generate_series(0, 19) n;
INSERT INTO locations (id) SELECT 'b' || lpad(n::text, 23, '0') FROM generate_series(0, 29) n;
INSERT INTO care_enquiries (id, location)
  SELECT 'c' || lpad(n::text, 23, '0'), 'b' || lpad((n % 30)::text, 23, '0') FROM generate_series(0, 1999) n;
INSERT INTO service_user_contacts (id, care_enquiry, search_folded)
  SELECT 'd' || lpad(n::text, 23, '0'), 'c' || lpad(n::text, 23, '0'), CASE n WHEN 3 THEN 'ada wurlitzer' ELSE 'grace hopper' END
  FROM generate_series(0, 1999) n;
INSERT INTO home_visits (id, care_enquiry, location, assigned_to, service_user_contact, date_time, created, modified, completed,
    visit_type, host, notes, notes_folded, version, confirmation)
  SELECT lpad(n::text, 24, '0'), 'c' || lpad((n % 2000)::text, 23, '0'), 'b' || lpad((n % 30)::text, 23, '0'),
    CASE WHEN n % 500 > 0 THEN 'a' || lpad((n % 20)::text, 23, '0') END, 'd' || lpad((n % 2000)::text, 23, '0'),
    t, t - interval '7 days', t,
    CASE WHEN n % 5 > 0 THEN t END, 'IN_PERSON', 'MANAGER', words, words, 1,
    CASE n % 1000 WHEN 1 THEN 'FAILED' ELSE 'NOT_REQUIRED' END
  FROM (SELECT n, timestamptz '2016-01-01Z' + interval '4 hours' * (n * 7919 % 20000) AS t,
    CASE n WHEN 4711 THEN 'wurlitzer' ELSE 'prefers mornings, asked about the garden ' || n END AS words
    FROM generate_series(1, 20000) n) visits;
"""
TIME, LATEST, CHANGES, CREATED = (("date_time", False),), (("date_time", True),), (("modified", False),), (("created", False),)
PENDING: HomeVisitFilter = {"status": [HomeVisitStatus.PENDING]}
MONTH: HomeVisitFilter = {"start_date": date(2021, 3, 1), "end_date": date(2021, 3, 31)}
HOME: HomeVisitFilter = {"location": HOMES[3:4]}
SINCE: HomeVisitFilter = {"modified_after": datetime(2024, 6, 1, tzinfo=UTC)}
BOOKED: HomeVisitFilter = {"created_after": datetime(2021, 3, 1, tzinfo=UTC)}
UNCONFIRMED: HomeVisitFilter = {"confirmation": [ConfirmationStatus.FAILED]}
VALUES = {"limit": 21, "after_0": "2021-03-01T00:00:00", "after_1": "0" * 24}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    kind, databases.KIND = databases.KIND, "postgresql"
    path = tmp_path_factory.mktemp("plans") / "visits.db"
    databases.migrate(path)
    url = databases.url_of(path)
    asyncio.run(execute(url, FILL, "VACUUM ANALYZE"))
    databases.KIND = kind
    yield url
    databases.KIND = "postgresql"
    databases.drop_below(path.parent)
    databases.KIND = kind


async def execute(url: str, *texts: str) -> None:
    connection = await connect(url, patient=True)
    for text in texts:
        await connection.execute(text)
    await connection.close()


async def planned(url: str, statement: Statement, values: Mapping[str, Any]) -> list[str]:
    """Return the names of the indexes that are used, and whether rows are sorted or all looked at.

    A few are sorted where that is less than to find them in order; of the latest, those of one instant by their IDs.
    """
    connection = await connect(url)
    plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement.text}", *statement.arguments(values))
    await connection.close()
    return sorted(set(_steps(json.loads(plan)[0]["Plan"])))


def _steps(node: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in node:
        yield node["Index Name"].removeprefix("home_visits_")
    elif node["Node Type"] in ("Sort", "Incremental Sort", "Seq Scan"):
        yield node["Node Type"].lower()
    for child in node.get("Plans", ()):
        yield from _steps(child)


def page(filter: HomeVisitFilter, locations: list[str] | None, order: Any, **cursors: bool) -> tuple[Statement, dict[str, Any]]:
    where = conditions(filter, locations, DIALECT)
    shape = listing.Shape(where.shape, listing.order_of(order).keys, **cursors)
    return listing.page(DIALECT, shape).statement, where.values | VALUES


SCREENS: dict[str, tuple[HomeVisitFilter, list[str] | None, Any, list[str]]] = {
    "all by time": ({}, None, TIME, ["by_time"]),
    "the latest": ({}, None, LATEST, ["by_time", "incremental sort"]),
    "pending": (PENDING, None, TIME, ["by_time"]),
    "in a month": (MONTH | PENDING, None, TIME, ["by_time"]),
    "changes": (SINCE, None, CHANGES, ["by_modified"]),
    "changes of some homes": (SINCE, HOMES[:10], CHANGES, ["by_modified"]),
    "by creation": ({}, None, CREATED, ["by_created"]),
    "a home's": (HOME, None, TIME, ["of_location"]),
    "a home's pending": (HOME | PENDING, None, TIME, ["pending_of_location"]),
    "a home's, in a month": (HOME | MONTH, None, LATEST, ["of_location", "sort"]),
    "a user's": ({"assigned_to": [USER]}, None, TIME, ["of_user_at"]),
    "an enquiry's": ({"care_enquiry": [ENQUIRY]}, None, TIME, ["of_care_enquiry", "sort"]),
    "a contact's": ({"service_user_contact": [CONTACT]}, None, TIME, ["of_contact", "sort"]),
    "of two homes": ({}, HOMES[:2], TIME, ["of_location", "sort"]),
    "of ten homes": ({}, HOMES[:10], TIME, ["of_location", "sort"]),
    "a frequent keyword": ({"keyword": "mornings"}, None, TIME, ["by_time"]),
    "without a user": ({"assigned": False} | PENDING, None, TIME, ["by_time"]),
    "booked since a day": (BOOKED, None, CREATED, ["by_created"]),
    "not confirmed": (UNCONFIRMED, None, TIME, ["sort", "unconfirmed"]),
    "not confirmed and pending": (UNCONFIRMED | PENDING, None, TIME, ["sort", "unconfirmed"]),
    "a keyword at a home": ({"keyword": "mornings"} | HOME, None, TIME, ["of_location"]),
}


@pytest.mark.parametrize("screen", SCREENS)
async def test_a_screen_is_found_along_its_index(filled: str, screen: str) -> None:
    filter, locations, order, steps = SCREENS[screen]
    assert await planned(filled, *page(filter, locations, order)) == steps


@pytest.mark.parametrize("screen", ["all by time", "a home's", "a user's", "of ten homes"])
async def test_so_is_a_page_further_on(filled: str, screen: str) -> None:
    filter, locations, order, steps = SCREENS[screen]
    statement, values = page(filter, locations, order, after=True)
    indexes = set(await planned(filled, statement, values))

    assert "seq scan" not in indexes
    assert set(steps) <= indexes


async def test_what_a_walk_does_not_find_is_found_by_trigrams(filled: str) -> None:
    statement, values = page({"keyword": "wurlitzer"}, None, TIME)
    following = statement.after(0, 20)
    assert following is not None
    assert await planned(filled, following, values) == ["notes", "sort"]


async def test_so_is_who_attends_by_names(filled: str) -> None:
    statement, values = page({"attendee": "wurlitzer"}, None, TIME)
    walked = set(await planned(filled, statement, values))
    assert statement.fallback is not None
    found = set(await planned(filled, statement.fallback, values))

    assert walked - {"seq scan"} == {"by_time"}  # whichever is less for people: to look each up, or at all
    assert {"of_contact", "sort"} <= found
    assert "by_time" not in found


async def test_whoever_is_left_without_a_user_is_found_by_an_index_of_those(filled: str) -> None:
    statement, values = page({"assigned": False} | PENDING, None, TIME)
    assert statement.fallback is not None
    assert await planned(filled, statement.fallback, values) == ["sort", "unassigned"]


@pytest.mark.parametrize(("walk", "limit", "row"), [(100, 2, "fallback"), (100, 1, "first"), (None, 2, "first")])
async def test_a_fallback_is_for_a_page_that_a_walk_has_not_filled(
    database: PostgreSQLDatabase, walk: int | None, limit: int, row: str
) -> None:
    statement = Statement("SELECT 'first'", (), Statement("SELECT 'fallback'", ()), max_steps=1, rows=walk)
    assert [tuple(found) for found in await database.fetch(statement, {"limit": limit})] == [(row,)]


@pytest.mark.parametrize(("filter", "order"), [(MONTH, TIME), (SINCE, CHANGES), (BOOKED, CREATED), (UNCONFIRMED, TIME)])
def test_a_walk_past_nothing_else_needs_no_fallback(filter: HomeVisitFilter, order: Any) -> None:
    assert page(filter, None, order)[0].fallback is None


async def test_no_page_walks_further_than_it_says(filled: str) -> None:
    statement, values = page({"host": ["NURSE"], "start_date": date(2024, 1, 1)}, None, CREATED)
    assert statement.fallback is not None

    assert await planned(filled, statement, values) == ["by_created"]
    assert "by_created" not in await planned(filled, statement.fallback, values)


async def test_what_a_user_has_elsewhere_is_passed_in_the_index_alone(filled: str) -> None:
    statement, values = page({"assigned_to": [USER]} | PENDING, HOMES[:10], TIME)
    assert statement.fallback is not None

    connection = await connect(filled)
    plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement.fallback.text}", *statement.fallback.arguments(values))
    await connection.close()

    assert await planned(filled, statement, values) == ["of_user_at"]
    assert await planned(filled, statement.fallback, values) == ["id_key", "of_user_at"]
    assert '"Node Type": "Index Only Scan"' in plan


async def test_the_visits_of_a_home_are_counted_by_its_index_alone(filled: str) -> None:
    where = conditions(HOME, None, DIALECT)
    assert await planned(filled, count(DIALECT, listing.Shape(where.shape)), where.values) == ["of_location"]


SEARCHED: dict[str, tuple[HomeVisitFilter, list[str] | None]] = {
    "a frequent keyword, of two homes": ({"keyword": "mornings"}, HOMES[:2]),
    "a frequent keyword, of ten homes": ({"keyword": "mornings"}, HOMES[:10]),
    "one in nine, of ten homes": ({"keyword": "garden 1"}, HOMES[:10]),
    "one in nine, pending at ten homes": ({"keyword": "garden 1"} | PENDING, HOMES[:10]),
    "one in nine, of ten homes in a month": ({"keyword": "garden 1"} | MONTH, HOMES[:10]),
    "one in nine, of ten users": ({"keyword": "garden 1", "assigned_to": [f"a{number:023}" for number in range(10)]}, None),
    "a rare keyword, of ten homes": ({"keyword": "wurlitzer"}, HOMES[:30]),
    "a rare keyword": ({"keyword": "wurlitzer"}, None),
    "one in a hundred, in a month": ({"keyword": "garden 11"} | MONTH, None),
    "one in a thousand at a home": ({"keyword": "garden 111"} | HOME, None),
    "a phrase that stands nowhere": ({"keyword": "garden mornings"} | MONTH, None),
    "a user's, of ten homes": ({"assigned_to": [USER]}, HOMES[:10]),
    "a user's pending, of ten homes": ({"assigned_to": [USER]} | PENDING, HOMES[:10]),
    "a user's in a month, of ten homes": ({"assigned_to": [USER]} | MONTH, HOMES[:10]),
    "a user's, of homes where they never were": ({"assigned_to": [USER]}, HOMES[4:13]),
}


@pytest.mark.parametrize(("descends", "backward"), [(True, False), (True, True)], ids=["latest", "last"])
@pytest.mark.parametrize("search", SEARCHED)
async def test_each_path_finds_the_first_rows_and_the_last_path_all(
    filled: str, search: str, descends: bool, backward: bool
) -> None:
    filter, locations = SEARCHED[search]
    order: Any = (("date_time", descends),)
    connection = await connect(filled)
    matching, falls, bound = await _plainly(connection, filter, locations), descends != backward, "2021-03-01T01:00:00"
    for cursor in ({}, {"before" if backward else "after": True}):
        statement, values = page(filter, locations, order, backward=backward, **cursor)
        values |= dict.fromkeys(["after_0", "before_0"], bound) | {"before_1": values["after_1"]}
        beyond = [place for place in matching if not cursor or (place[0] < bound if falls else place[0] > bound)]
        expected = sorted(beyond, reverse=falls)

        following: Statement | None = statement
        while following is not None:
            rows = await connection.fetch(following.text, *following.arguments(values))
            found, following = [(row["date_time"], row["id"]) for row in rows], following.fallback
            assert found == expected[: len(found)]
        assert len(found) == min(len(expected), values["limit"])
    await connection.close()


async def _plainly(connection: Any, filter: HomeVisitFilter, locations: list[str] | None) -> list[tuple[str, str]]:
    """Return all that meet a filter, by conditions that no index has."""
    homes, users = filter.get("location", locations), filter.get("assigned_to")
    rows = await connection.fetch(
        "SELECT date_time, id, location, assigned_to FROM home_visits WHERE strpos(notes_folded, $1) > 0 "
        "AND ($2 = '' OR cancelled IS NULL AND completed IS NULL) "
        "AND ($3 = '' OR to_char(date_time AT TIME ZONE 'UTC', 'YYYY-MM') = $3)",
        *(filter.get("keyword", ""), "pending" if "status" in filter else "", "2021-03" if "start_date" in filter else ""),
    )
    return [
        (time, id)
        for time, id, location, user in rows
        if (homes is None or location in homes) and (users is None or user in users)
    ]


LOOKED_UP: dict[str, tuple[HomeVisitFilter, list[str] | None, bool]] = {
    "a keyword among many": ({"keyword": "wurlitzer"}, HOMES[:20], True),
    "a keyword among few": ({"keyword": "wurlitzer"}, HOMES[:5], False),
    "in a month": ({"keyword": "wurlitzer"} | MONTH, None, False),
    "the pending among many": ({"keyword": "wurlitzer"} | PENDING, HOMES[:20], False),
    "a phrase of frequent words": ({"keyword": "garden mornings"}, HOMES[:20], False),
    "a phrase with a rare word": ({"keyword": "garden wurlitzer"}, HOMES[:20], True),
}


@pytest.mark.parametrize("search", LOOKED_UP)
async def test_trigrams_are_looked_up_only_where_the_other_conditions_leave_many(filled: str, search: str) -> None:
    filter, locations, is_looked_up = LOOKED_UP[search]
    statement, values = page(filter, locations, TIME)
    while statement.fallback is not None:
        statement = statement.fallback

    connection = await connect(filled)
    await connection.execute("SET plan_cache_mode = force_custom_plan")
    plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}", *statement.arguments(values))
    await connection.close()

    assert ("home_visits_notes" in _run(json.loads(plan)[0]["Plan"])) is is_looked_up


def _run(node: dict[str, Any]) -> Iterator[str]:
    if node["Actual Loops"]:
        yield node.get("Index Name", "")
        for child in node.get("Plans", ()):
            yield from _run(child)


@pytest.mark.parametrize(("by_values", "mode"), [(True, "force_custom_plan"), (False, "auto")])
async def test_counts_by_groups_are_planned_for_their_values(database: PostgreSQLDatabase, by_values: bool, mode: str) -> None:
    statement = Statement("SELECT current_setting('plan_cache_mode')", (), by_values=by_values)

    assert [tuple(row) for row in await database.fetch(statement, {})] == [(mode,)]
    assert group_counts(DIALECT, GroupingShape((), (HomeVisitGrouping.STATUS,))).by_values


async def test_a_month_is_counted_by_groups_without_a_walk_through_all_homes(filled: str) -> None:
    groups = (HomeVisitGrouping.LOCATION, HomeVisitGrouping.STATUS)
    where = conditions(MONTH, None, DIALECT)
    statement = group_counts(DIALECT, GroupingShape(where.shape, groups))
    assert await planned(filled, statement, where.values | {"limit": 20}) == ["by_time", "sort"]


@pytest.mark.parametrize(("found", "text"), [(0, "last"), (4, "last"), (5, "longer"), (20, "longer"), (21, None)])
def test_a_longer_walk_is_for_a_page_that_it_fills_at_the_rate_of_the_walk_before(found: int, text: str | None) -> None:
    longer = Statement("longer", (), Statement("last", ()), rows=500, is_longer=True)
    following = Statement("walk", (), longer, rows=100).after(found, 21)
    assert (following.text if following else None) == text
