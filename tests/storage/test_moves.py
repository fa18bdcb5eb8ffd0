"""The table of moves in the lifecycle, cell by cell: what happens, and that nothing happens where a move is refused."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.errors import HomeVisitNotFound, HomeVisitNotPending, InvalidInput, VersionConflict
from storage.instants import stored
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitStatus
from storage.repository import HomeVisits
from tests.storage.homes import (
    BOB,
    EVERYTHING,
    NOBODY,
    ROWAN,
    VISIT_TIME,
    WILLOW,
    Clock,
    booking,
    events_of,
    everything_in,
    limited_to,
    rows_of,
)

Move = Callable[[HomeVisits, str], Awaitable[HomeVisit | None]]

LATER = VISIT_TIME + timedelta(hours=1)
MOVES: dict[str, Move] = {
    "read": lambda visits, visit: visits.get(visit),
    "update": lambda visits, visit: visits.update(visit, {"notes": "Use the side door."}),
    "update that changes nothing": lambda visits, visit: visits.update(visit, {"notes": "Ring twice.", "date_time": VISIT_TIME}),
    "move": lambda visits, visit: visits.update(visit, {"date_time": LATER}),
    "cancel": lambda visits, visit: visits.cancel(visit),
    "complete": lambda visits, visit: visits.complete(visit),
}
EXPECTING: dict[str, Callable[[HomeVisits, str, int], Awaitable[HomeVisit]]] = {
    "update": lambda visits, visit, version: visits.update(visit, {"notes": ""}, expected_version=version),
    "cancel": lambda visits, visit, version: visits.cancel(visit, expected_version=version),
    "complete": lambda visits, visit, version: visits.complete(visit, expected_version=version),
}
ENDED = "2024-10-20T09:31:00"
NOW = "2024-10-20T09:32:00"
ACCEPTED: dict[str, dict[str, Any]] = {
    "read": {},
    "update": {"notes": "Use the side door.", "notes_folded": "use the side door.", "modified": NOW, "version": 2},
    "update that changes nothing": {},
    "move": {"date_time": stored(LATER), "modified": NOW, "version": 2},
    "cancel": {"cancelled": NOW, "modified": NOW, "version": 2, "confirmation": "WITHDRAWN"},
    "complete": {"completed": NOW, "modified": NOW, "version": 2, "confirmation": "WITHDRAWN"},
}
EVENTS = {
    "update": {"type": "UPDATED", "changes": '[["notes", null, null]]'},
    "move": {"type": "UPDATED", "changes": '[["date_time", "2024-11-03T11:00:00Z", "2024-11-03T12:00:00Z"]]'},
    "cancel": {"type": "CANCELLED", "changes": f'[["cancelled", null, "{NOW}Z"]]'},
    "complete": {"type": "COMPLETED", "changes": f'[["completed", null, "{NOW}Z"]]'},
}


async def in_state(visits: HomeVisits, clock: Clock, state: str) -> str:
    """Book a visit and bring it into a state, a minute after each other; the test's own move comes a minute later."""
    id = (await visits.book(booking(notes="Ring twice."))).id
    clock.advance(minutes=1)
    if state == "CANCELLED":
        await visits.cancel(id)
    if state == "COMPLETED":
        await visits.complete(id)
    clock.advance(minutes=1)
    return id


@pytest.mark.parametrize("move", MOVES)
async def test_a_pending_visit_takes_every_move(visits: HomeVisits, clock: Clock, path: Path, move: str) -> None:
    id = await in_state(visits, clock, "PENDING")
    before = rows_of(path, "home_visits")[0]

    moved = await MOVES[move](visits, id)

    assert rows_of(path, "home_visits") == [before | ACCEPTED[move]]
    assert moved is not None
    assert {name: getattr(moved, name) for name in ("id", "version", "notes")} == {
        name: (before | ACCEPTED[move])[name] for name in ("id", "version", "notes")
    }


@pytest.mark.parametrize("move", MOVES)
async def test_a_move_tells_one_event_and_no_change_tells_none(visits: HomeVisits, clock: Clock, path: Path, move: str) -> None:
    id = await in_state(visits, clock, "PENDING")
    booked = events_of(path)

    await MOVES[move](visits, id)

    common = {"sequence": 2, "at": NOW, "version": 2}
    assert events_of(path) == [
        *booked,
        *([booked[0] | common | EVENTS[move]] if move in EVENTS else []),
    ]


async def test_a_booking_tells_who_made_it_and_where(visits: HomeVisits, path: Path) -> None:
    booked = await visits.book(booking())

    assert events_of(path) == [
        {
            "sequence": 1,
            "at": "2024-10-20T09:30:00",
            "actor": "clerk",
            "type": "BOOKED",
            "home_visit": booked.id,
            "care_enquiry": booked.care_enquiry,
            "location": booked.location,
            "version": 1,
            "changes": "[]",
        }
    ]


@pytest.mark.parametrize("move", ["read", "update that changes nothing"])
async def test_what_changes_nothing_leaves_every_table_as_it_was(
    visits: HomeVisits, clock: Clock, path: Path, database: Database, move: str
) -> None:
    id = await in_state(visits, clock, "PENDING")
    before = everything_in(path)

    await MOVES[move](visits, id)

    assert everything_in(path) == before


@pytest.mark.parametrize("state", ["CANCELLED", "COMPLETED"])
@pytest.mark.parametrize("move", [move for move in MOVES if move != "read"])
async def test_an_ended_visit_refuses_every_move_and_keeps_its_time(
    visits: HomeVisits, clock: Clock, path: Path, move: str, state: str
) -> None:
    id = await in_state(visits, clock, state)
    before = everything_in(path)

    with pytest.raises(HomeVisitNotPending) as refused:
        await MOVES[move](visits, id)

    assert everything_in(path) == before
    assert str(refused.value) == f"Only a pending home visit can be changed. This one was {state.lower()} on 20 October 2024."


@pytest.mark.parametrize("state", ["PENDING", "CANCELLED", "COMPLETED"])
async def test_a_visit_is_read_in_every_state(visits: HomeVisits, clock: Clock, state: str) -> None:
    id = await in_state(visits, clock, state)

    read = await visits.get(id)

    assert read is not None
    assert read.status is HomeVisitStatus(state)
    ends = {"cancelled": read.cancelled, "completed": read.completed}
    assert {name: stored(end) for name, end in ends.items() if end} == ({} if state == "PENDING" else {state.lower(): ENDED})


@pytest.mark.parametrize("caller", [EVERYTHING, limited_to(ROWAN), limited_to()])
@pytest.mark.parametrize("move", MOVES)
async def test_an_unknown_visit_and_one_out_of_sight_are_told_alike(
    visits: HomeVisits, clock: Clock, database: Database, path: Path, move: str, caller: Any
) -> None:
    id = NOBODY if caller is EVERYTHING else await in_state(visits, clock, "PENDING")
    theirs = HomeVisits(database, caller, clock)
    before = everything_in(path)

    if move == "read":
        assert await theirs.get(id) is None
    else:
        with pytest.raises(HomeVisitNotFound) as refused:
            await MOVES[move](theirs, id)
        assert refused.value.home_visit_id == id

    assert everything_in(path) == before


NO_IDS = ["", "1", "\0", "\ud800", "f" * 23 + "\ud800", "F" * 24, "x" * 100_000, "' OR 1=1 --", "٣" * 24, "f" * 24 + "\0"]


@pytest.mark.parametrize("move", [move for move in MOVES if move != "read"])
async def test_what_is_no_id_is_not_found(visits: HomeVisits, path: Path, move: str) -> None:
    before = everything_in(path)

    for id in NO_IDS:
        with pytest.raises(HomeVisitNotFound):
            await MOVES[move](visits, id)

    assert [await visits.get(id) for id in NO_IDS] == [None] * len(NO_IDS)
    assert everything_in(path) == before


@pytest.mark.parametrize("move", ["update", "cancel", "complete"])
async def test_another_version_than_the_one_expected_refuses(visits: HomeVisits, path: Path, move: str) -> None:
    id = (await visits.book(booking())).id
    before = everything_in(path)

    for expected in (0, 2, -1, 2**31, 2**63, 10**5000):
        with pytest.raises(VersionConflict) as refused:
            await EXPECTING[move](visits, id, expected)
        assert refused.value.home_visit.version == 1

    assert everything_in(path) == before


@pytest.mark.parametrize("move", ["update", "cancel", "complete"])
async def test_the_version_expected_is_the_one_that_was_read(visits: HomeVisits, move: str) -> None:
    id = (await visits.book(booking())).id
    second = await visits.update(id, {"notes": "Ring twice."}, expected_version=1)
    third = await EXPECTING[move](visits, id, second.version)

    assert (second.version, third.version) == (2, 3)


async def test_a_refusal_tells_the_visit_as_it_is(visits: HomeVisits, clock: Clock) -> None:
    id = await in_state(visits, clock, "CANCELLED")

    with pytest.raises(HomeVisitNotPending) as ended:
        await visits.complete(id)
    with pytest.raises(HomeVisitNotPending):
        await visits.update(id, {"notes": None})

    refused_visit, read = ended.value.home_visit, await visits.get(id)
    fields = HomeVisit.model_fields.keys() - {"number", "notes_folded"}
    assert {name: getattr(refused_visit, name) for name in fields} == {name: getattr(read, name) for name in fields}


async def test_first_found_then_pending_then_version_then_values(visits: HomeVisits, clock: Clock, database: Database) -> None:
    pending, ended = await in_state(visits, clock, "PENDING"), await in_state(visits, clock, "CANCELLED")
    wrong: dict[str, Any] = {"date_time": None, "host": None}

    with pytest.raises(HomeVisitNotFound):
        await HomeVisits(database, limited_to(ROWAN), clock).update(ended, wrong, expected_version=9)
    with pytest.raises(HomeVisitNotPending):
        await visits.update(ended, wrong, expected_version=9)
    with pytest.raises(VersionConflict):
        await visits.update(pending, wrong, expected_version=9)
    with pytest.raises(InvalidInput):
        await visits.update(pending, wrong, expected_version=1)


async def test_an_operation_reads_the_clock_once(database: Database, path: Path) -> None:
    clock = Clock()
    visits = HomeVisits(database, EVERYTHING, lambda: clock.advance(minutes=1))

    id = (await visits.book(booking())).id
    await visits.update(id, {"assigned_to": BOB})
    await visits.complete(id)

    [row] = rows_of(path, "home_visits")
    assert {name: row[name] for name in ("created", "modified", "completed")} == {
        "created": "2024-10-20T09:31:00",
        "modified": "2024-10-20T09:33:00",
        "completed": "2024-10-20T09:33:00",
    }
    assert [event["at"] for event in events_of(path)] == [f"2024-10-20T09:3{minute}:00" for minute in (1, 2, 3)]


async def test_a_visit_is_completed_before_its_time(visits: HomeVisits, clock: Clock) -> None:
    id = (await visits.book(booking(date_time=VISIT_TIME))).id
    assert clock.now < VISIT_TIME

    completed = await visits.complete(id)

    assert (completed.status, completed.completed) == (HomeVisitStatus.COMPLETED, clock.now)


async def test_a_visit_in_sight_takes_the_moves_of_a_limited_caller(database: Database, clock: Clock, visits: HomeVisits) -> None:
    id = (await visits.book(booking())).id
    theirs = HomeVisits(database, limited_to(WILLOW, NOBODY), clock)

    await theirs.update(id, {"notes": "Ring twice."})
    cancelled = await theirs.cancel(id)

    assert (cancelled.version, cancelled.confirmation) == (3, ConfirmationStatus.WITHDRAWN)
