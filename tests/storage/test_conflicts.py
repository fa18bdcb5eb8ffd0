"""What a booking stands beside: told of pending visits nearby in time that need the same host or user, and never a refusal."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.conflicts import Conflicts, Occasion
from storage.database import Database
from storage.models import HomeVisit, VisitHost
from storage.queries.conflicts import nearest
from storage.repository import HomeVisits
from storage.sqlite.dialect import DIALECT
from tests.inspection import inspect
from tests.storage.homes import (
    ALICE,
    BOB,
    EVANS,
    FROST,
    NOBODY,
    REID,
    ROWAN,
    VISIT_TIME,
    WILLOW,
    Clock,
    booking,
    keep,
    limited_to,
    visit,
    visit_id,
)

NURSE, MANAGER = VisitHost.NURSE, VisitHost.MANAGER


def minutes(number: float) -> datetime:
    return VISIT_TIME + timedelta(minutes=number)


def numbers(visits: list[HomeVisit]) -> list[int]:
    return [int(one.id[1:], 16) for one in visits]


async def keep_some(database: Database) -> None:
    ended = minutes(0)
    await keep(
        database,
        visit(1, date_time=minutes(59), assigned_to=ALICE),
        visit(2, date_time=minutes(-30), host=MANAGER, assigned_to=ALICE),
        visit(3, date_time=minutes(10), host=MANAGER, assigned_to=BOB),
        visit(4, date_time=minutes(-60)),
        visit(5, date_time=minutes(60)),
        visit(6, date_time=minutes(0), location=ROWAN, assigned_to=ALICE),
        visit(7, date_time=minutes(0), cancelled=ended, assigned_to=ALICE),
        visit(8, date_time=minutes(0), completed=ended, assigned_to=ALICE),
        visit(9, date_time=minutes(-59.9)),
        visit(10, date_time=minutes(-10)),
    )


@pytest.mark.parametrize(
    ("occasion", "expected"),
    [
        ({"host": NURSE}, [10, 1, 9]),
        ({"assigned_to": ALICE}, [2, 1]),
        ({"host": NURSE, "assigned_to": ALICE}, [10, 2, 1, 9]),
        ({"host": MANAGER, "assigned_to": BOB}, [3, 2]),
        ({"host": NURSE, "assigned_to": ALICE, "excluding": visit_id(10)}, [2, 1, 9]),
        ({"host": NURSE, "excluding": "nobody"}, [10, 1, 9]),
        ({"host": NURSE, "assigned_to": "nobody"}, [10, 1, 9]),
        ({"assigned_to": "nobody"}, []),
        ({}, []),
        ({"host": NURSE, "date_time": minutes(1)}, [10, 1, 5]),
        ({"host": NURSE, "assigned_to": ALICE, "location": ROWAN}, [6]),
        ({"host": NURSE, "location": NOBODY}, []),
        ({"host": NURSE, "location": "\0"}, []),
        ({"host": NURSE, "date_time": datetime.min.replace(tzinfo=UTC)}, []),
        ({"host": NURSE, "date_time": datetime.max.replace(tzinfo=UTC)}, []),
    ],
    ids=str,
)
async def test_pending_visits_nearby_that_need_the_same_are_conflicts_the_nearest_first(
    visits: HomeVisits, database: Database, occasion: dict[str, Any], expected: list[int]
) -> None:
    await keep_some(database)

    found = await visits.conflicts(Occasion(**({"location": WILLOW, "date_time": VISIT_TIME} | occasion)))

    assert numbers(found) == expected


async def test_nobody_is_told_of_conflicts_at_locations_of_others(database: Database) -> None:
    await keep_some(database)
    theirs, ours = Occasion(ROWAN, VISIT_TIME, NURSE), Occasion(WILLOW, VISIT_TIME, NURSE)
    visits, nobodys = (HomeVisits(database, limited_to(*locations), Clock()) for locations in ([WILLOW], []))

    assert [numbers(await visits.conflicts(occasion)) for occasion in (theirs, ours)] == [[], [10, 1, 9]]
    assert await nobodys.conflicts(ours) == []


async def test_20_are_told_whichever_side_they_are_on(visits: HomeVisits, database: Database) -> None:
    await keep(database, *(visit(number, date_time=minutes(number - 30)) for number in range(61) if number % 60))

    found = await visits.conflicts(Occasion(WILLOW, minutes(5.1), NURSE))

    assert numbers(found) == [35 + step for pair in zip(range(11), range(1, 11), strict=False) for step in (-pair[0], pair[1])]


async def test_of_two_as_near_the_earlier_comes_first_then_that_of_the_lower_id(visits: HomeVisits, database: Database) -> None:
    times = {1: 5, 2: -5, 3: -5, 4: 0, 5: 0}
    await keep(database, *(visit(number, date_time=minutes(time)) for number, time in times.items()))

    assert numbers(await visits.conflicts(Occasion(WILLOW, VISIT_TIME, NURSE))) == [4, 5, 2, 3, 1]


async def test_a_booking_is_told_what_it_stands_beside_and_made_all_the_same(visits: HomeVisits, database: Database) -> None:
    await keep_some(database)
    conflicts, others = Conflicts(), Conflicts()

    booked = await visits.book(booking(care_enquiry=REID, assigned_to=BOB), conflicts=conflicts)
    also = await visits.book(booking(care_enquiry=FROST), conflicts=others)

    assert (booked.date_time, numbers(conflicts.visits)) == (VISIT_TIME, [10, 3, 1, 9])
    assert [(one.id, one.assigned_to) for one in others.visits] == [(visit_id(6), ALICE)]
    assert also.location == ROWAN


async def test_a_booking_of_nobody_is_beside_those_of_its_host_alone(visits: HomeVisits, database: Database) -> None:
    await keep_some(database)
    conflicts = Conflicts()

    await visits.book(booking(care_enquiry=EVANS, host=MANAGER), conflicts=conflicts)

    assert numbers(conflicts.visits) == [3, 2]


async def test_a_visit_is_told_what_it_was_moved_beside_as_it_is_by_then(visits: HomeVisits, database: Database) -> None:
    await keep_some(database)
    conflicts, unmoved = Conflicts(), Conflicts()

    await visits.update(visit_id(5), {"date_time": minutes(11), "host": MANAGER}, conflicts=conflicts)
    await visits.update(visit_id(5), {"notes": "As before."}, conflicts=unmoved)

    assert numbers(conflicts.visits) == numbers(unmoved.visits) == [3, 2]


async def test_a_booking_that_is_answered_again_is_told_those_of_now(visits: HomeVisits, database: Database) -> None:
    conflicts = [Conflicts() for _ in range(3)]
    booked = await visits.book(booking(), idempotency_key="k", conflicts=conflicts[0])
    await keep(database, visit(1, date_time=minutes(1)))

    await visits.book(booking(), idempotency_key="k", conflicts=conflicts[1])
    await visits.cancel(booked.id)
    await visits.book(booking(), idempotency_key="k", conflicts=conflicts[2])

    assert [numbers(one.visits) for one in conflicts] == [[], [1], []]


@pytest.mark.sqlite
@pytest.mark.parametrize("form", [(True, True), (True, False), (False, True)], ids=str)
@pytest.mark.parametrize("limited", [False, True])
def test_conflicts_are_found_along_the_index_of_pending_visits(path: Path, form: tuple[bool, bool], limited: bool) -> None:
    statement = nearest(DIALECT, *form, limited)

    plan = inspect(path).plan(statement.text, len(statement.names))

    index = "SEARCH home_visits USING INDEX home_visits_pending_of_location (location=? AND date_time>? AND date_time<?)"
    assert plan.count(index) == 2
    assert "TEMP B-TREE FOR ORDER BY" not in plan
