"""How a list is found: in steps whose number does not grow with the visits, as SQLite itself plans it."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from storage.models import HomeVisitStatus
from storage.queries import listing
from storage.queries.conditions import HomeVisitFilter, conditions
from storage.queries.counts import count
from storage.queries.statements import Statement
from storage.sqlite.dialect import DIALECT
from tests.inspection import inspect
from tests.storage.homes import ALICE, BOB, ROWAN, WILLOW

BY_TIME = (("date_time", False),)
BY_TIME_AND_ID = (*BY_TIME, ("id", False))
LATEST = (("date_time", True),)
CHANGES = (("modified", False),)
HOMES = [WILLOW, ROWAN]
MANY = [f"{number:024x}" for number in range(51)]
PENDING = [HomeVisitStatus.PENDING]
SINCE = datetime(2024, 11, 1, tzinfo=UTC)
DAYS: HomeVisitFilter = {"start_date": date(2024, 11, 1), "end_date": date(2024, 11, 30)}


def planned(path: Path, statement: Statement | None) -> str:
    """Return what SQLite would do, as it tells it."""
    assert statement is not None
    return inspect(path).plan(statement.text, len(statement.names))


def page(filter: HomeVisitFilter, locations: list[str] | None, order: Any, **cursors: bool) -> Statement:
    return listing.page(
        DIALECT, listing.Shape(conditions(filter, locations, DIALECT).shape, listing.order_of(order).keys, **cursors)
    ).statement


@pytest.mark.parametrize("order", [BY_TIME, LATEST], ids=["earliest first", "latest first"])
@pytest.mark.parametrize(
    ("filter", "locations", "index"),
    [
        ({}, HOMES, "home_visits_of_location"),
        ({}, MANY[:50], "home_visits_of_location"),
        ({"location": HOMES}, None, "home_visits_of_location"),
        ({"location": []}, None, "home_visits_of_location"),
        ({"assigned_to": [ALICE, BOB], **DAYS}, None, "home_visits_of_user_at"),
        ({"status": PENDING}, HOMES, "home_visits_pending_of_location"),
    ],
    ids=str,
)
def test_by_time_the_lists_of_a_few_are_merged(path: Path, filter: Any, locations: Any, order: Any, index: str) -> None:
    plan = planned(path, page(filter, locations, order))

    assert plan.split("\n")[0].startswith("SCAN lists VIRTUAL TABLE")
    assert f"SEARCH home_visits USING COVERING INDEX {index} (" in plan or f"SEARCH home_visits USING INDEX {index} (" in plan


@pytest.mark.parametrize(
    ("filter", "locations", "order", "index"),
    [
        ({}, MANY, BY_TIME, "home_visits_by_time"),
        ({"assigned_to": MANY}, None, LATEST, "home_visits_by_time"),
        ({"status": PENDING, **DAYS}, MANY, BY_TIME, "home_visits_by_time"),
        ({"modified_after": SINCE}, HOMES, CHANGES, "home_visits_by_modified"),
        ({"keyword": "wheel"}, HOMES, BY_TIME, "home_visits_by_time"),
        ({"keyword": "wheel"}, None, CHANGES, "home_visits_by_modified"),
        ({"status": PENDING}, None, BY_TIME, "home_visits_by_time"),
    ],
)
def test_others_are_walked_in_order_and_where_that_takes_long_all_are_looked_at(
    path: Path, filter: Any, locations: Any, order: Any, index: str
) -> None:
    statement = page(filter, locations, order)

    walk, fallback = planned(path, statement), planned(path, statement.fallback)

    assert walk.split("\n")[0].startswith(("SCAN home_visits USING INDEX", "SEARCH home_visits USING INDEX"))
    assert index in walk.split("\n")[0].split()
    assert "TEMP B-TREE FOR ORDER BY" not in walk
    assert " INDEX " not in fallback.replace("VIRTUAL TABLE INDEX", "")


def test_a_keyword_is_looked_up_where_a_short_walk_finds_too_few_and_walked_for_where_too_many_have_it(path: Path) -> None:
    statement = page({"keyword": "wheel", "status": PENDING}, HOMES, BY_TIME)
    statements = [statement]
    while statements[-1].fallback:
        statements.append(statements[-1].fallback)

    walked, looked_up, merged, again, at_last = (planned(path, one) for one in statements)

    assert walked.startswith("SCAN home_visits USING INDEX home_visits_by_time")
    assert looked_up.startswith("SEARCH home_visits USING INTEGER PRIMARY KEY (rowid=?)")
    assert "SCAN home_visits_notes VIRTUAL TABLE INDEX 0:M1" in looked_up.split("\n")
    assert merged.startswith("SCAN lists VIRTUAL TABLE")
    assert (again, at_last) == (walked, looked_up)
    assert [one.max_steps for one in statements[:4]] == [10_000, 20_000, 50_000, 100_000]


@pytest.mark.parametrize("parent", ["location", "assigned_to", "care_enquiry"])
@pytest.mark.parametrize("counted", [False, True], ids=["pages", "counts"])
def test_a_keyword_in_the_lists_of_many_parents_is_looked_up_once_for_all_of_them(path: Path, parent: str, counted: bool) -> None:
    shape = listing.Shape(conditions({"keyword": "wheel"}, HOMES, DIALECT).shape, BY_TIME_AND_ID, parent=parent)
    statement = count(DIALECT, shape) if counted else listing.page(DIALECT, shape).statement
    statements = [statement]
    while statements[-1].fallback:
        statements.append(statements[-1].fallback)

    walked, looked_up, again, at_last = (planned(path, one) for one in statements)

    index = {"location": "home_visits_of_location", "assigned_to": "home_visits_of_user_at"}.get(
        parent, f"home_visits_of_{parent}"
    )
    assert f"SEARCH home_visits USING INDEX {index} ({parent}=?" in walked
    assert "home_visits_notes" not in walked
    assert looked_up.count("SCAN home_visits_notes VIRTUAL TABLE INDEX 0:M1") == 1
    assert "SEARCH home_visits USING INTEGER PRIMARY KEY (rowid=?)" in looked_up
    assert "CORRELATED" not in looked_up
    assert (again, at_last) == (walked, looked_up)
    assert [one.max_steps for one in statements] == [10_000, 20_000, 100_000, None]


@pytest.mark.parametrize("filter", [{"keyword": "zq"}, {"status": PENDING}, {}], ids=str)
def test_without_a_keyword_in_the_index_the_lists_of_many_parents_are_walked(filter: Any) -> None:
    shape = listing.Shape(conditions(filter, None, DIALECT).shape, BY_TIME_AND_ID, parent="location")

    assert listing.page(DIALECT, shape).statement.fallback is None
    assert count(DIALECT, shape).fallback is None


@pytest.mark.parametrize(
    "filter",
    [{"location": [WILLOW]}, {"assigned_to": [ALICE], "cancelled": True}, {"ids": MANY}, {"care_enquiry": MANY}, {}],
    ids=str,
)
def test_the_visits_of_one_are_found_in_one_way(filter: Any) -> None:
    statement = page(filter, None, BY_TIME)

    assert statement.fallback is None


@pytest.mark.parametrize("cursor", ["after", "before"])
@pytest.mark.parametrize("filter", [{}, {"modified_after": SINCE}])
def test_what_lies_beyond_a_cursor_is_told_by_the_visits_next_to_it(path: Path, filter: Any, cursor: str) -> None:
    plan = planned(path, page(filter, HOMES, BY_TIME, **{cursor: True}))

    assert "SCALAR SUBQUERY" in plan
    assert "SEARCH home_visits USING INDEX home_visits_by_time ((date_time,id)" in plan


@pytest.mark.parametrize(
    ("filter", "locations", "index"),
    [
        ({"location": [WILLOW]}, None, "home_visits_of_location"),
        (DAYS, HOMES, "home_visits_of_location"),
        (DAYS, None, "home_visits_by_time"),
        ({"assigned_to": [ALICE], **DAYS}, None, "home_visits_of_user_at"),
        ({"modified_after": SINCE}, None, "home_visits_by_modified"),
    ],
    ids=str,
)
def test_what_one_index_holds_is_counted_by_it_alone(path: Path, filter: Any, locations: Any, index: str) -> None:
    statement = count(DIALECT, listing.Shape(conditions(filter, locations, DIALECT).shape))

    assert planned(path, statement).startswith(f"SEARCH home_visits USING COVERING INDEX {index}")
    assert statement.fallback is None


def test_what_no_index_holds_is_counted_by_looking_at_all_where_the_first_way_takes_long(path: Path) -> None:
    statement = count(DIALECT, listing.Shape(conditions({"status": PENDING, **DAYS}, HOMES, DIALECT).shape))

    assert planned(path, statement.fallback).split("\n")[0] == "SCAN home_visits"
