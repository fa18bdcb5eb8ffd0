import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, update

from storage.database import Database
from storage.errors import InvalidInput
from storage.instants import stored
from storage.models import CareEnquiry, VisitHost
from storage.repository import HomeVisits
from tests.inspection import inspect
from tests.storage.homes import (
    ALICE,
    BOB,
    EVANS,
    NOBODY,
    REID,
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

NO_TIME = ("date_time", "REQUIRED", "A visit needs a time. Leave the field out to keep the time it has.")
NO_HOST = ("host", "REQUIRED", "A visit needs a host. Leave the field out to keep the host it has.")
UNKNOWN_USER = ("assigned_to", "NOT_FOUND", "No user with this ID exists, or you may not see them. Check the ID.")
LONG_NOTES = ("notes", "TOO_LONG", "Notes may have at most 10,000 characters: these have 10,001.")
MANY_MARKS = ("notes", "TOO_LONG", "Notes may have at most 30 accents in a row. Remove some.")
SWOLLEN_NOTES = (
    "notes", "TOO_LONG",
    "Notes may have at most 30,000 characters with ligatures and symbols written out. Shorten them.",
)  # fmt: skip
WRONG_YEAR = ("date_time", "INVALID", "A visit takes place in a year from 2000 to 2100. Check the year.")
BROKEN_NOTES = ("notes", "INVALID", "Notes cannot hold NUL or half a character (a lone surrogate). Remove it.")


@pytest.mark.parametrize(
    ("changes", "kept", "recorded"),
    [
        ({"host": VisitHost.OTHER}, {"host": "OTHER"}, [["host", "NURSE", "OTHER"]]),
        ({"notes": "By CAR"}, {"notes": "By CAR", "notes_folded": "by car"}, [["notes", None, None]]),
        ({"notes": None}, {"notes": "", "notes_folded": ""}, [["notes", None, None]]),
        ({"notes": ""}, {"notes": "", "notes_folded": ""}, [["notes", None, None]]),
        ({"assigned_to": ALICE}, {"assigned_to": ALICE}, [["assigned_to", BOB, ALICE]]),
        ({"assigned_to": None}, {"assigned_to": ALICE}, [["assigned_to", BOB, ALICE]]),
        (
            {"date_time": VISIT_TIME + timedelta(seconds=1, milliseconds=999)},
            {"date_time": "2024-11-03T11:00:01"},
            [["date_time", "2024-11-03T11:00:00Z", "2024-11-03T11:00:01Z"]],
        ),
        (
            {"date_time": VISIT_TIME - timedelta(days=1), "host": VisitHost.CARER, "notes": None, "assigned_to": None},
            {"date_time": "2024-11-02T11:00:00", "host": "CARER", "notes": "", "notes_folded": "", "assigned_to": ALICE},
            [
                ["date_time", "2024-11-03T11:00:00Z", "2024-11-02T11:00:00Z"],
                ["host", "NURSE", "CARER"],
                ["notes", None, None],
                ["assigned_to", BOB, ALICE],
            ],
        ),
        ({"host": VisitHost.NURSE, "notes": "New."}, {"notes": "New.", "notes_folded": "new."}, [["notes", None, None]]),
    ],
)  # fmt: skip
async def test_an_update_changes_what_was_given_and_tells_it(
    visits: HomeVisits, clock: Clock, path: Path, changes: Mapping[str, Any], kept: dict[str, Any], recorded: list[Any]
) -> None:
    id = (await visits.book(booking(assigned_to=BOB, notes="Ring twice."))).id
    [before] = rows_of(path, "home_visits")
    clock.advance(hours=1)

    updated = await visits.update(id, changes)

    assert rows_of(path, "home_visits") == [before | kept | {"modified": "2024-10-20T10:30:00", "version": 2}]
    assert json.loads(events_of(path)[1]["changes"]) == recorded
    read = await visits.get(id)
    assert read is not None
    assert {name: getattr(updated, name) for name in ("notes", "assigned_to", "host", "date_time", "version")} == {
        name: getattr(read, name) for name in ("notes", "assigned_to", "host", "date_time", "version")
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"notes": "Ring twice."},
        {"host": VisitHost.NURSE},
        {"assigned_to": ALICE},
        {"assigned_to": None},
        {"date_time": VISIT_TIME},
        {"date_time": VISIT_TIME.astimezone(timezone(timedelta(hours=5)))},
        {"date_time": VISIT_TIME + timedelta(microseconds=999_999)},
        {"date_time": VISIT_TIME, "host": VisitHost.NURSE, "notes": "Ring twice.", "assigned_to": None},
    ],
    ids=str,
)
async def test_an_update_that_changes_nothing_touches_nothing(
    visits: HomeVisits, clock: Clock, path: Path, changes: Mapping[str, Any]
) -> None:
    id = (await visits.book(booking(notes="Ring twice."))).id
    before = everything_in(path)
    clock.advance(hours=1)

    updated = await visits.update(id, changes, suppress_confirmation=True)

    assert updated.version == 1
    assert everything_in(path) == before


async def test_a_time_that_could_be_booked_once_may_come_back_as_it_is(visits: HomeVisits, path: Path) -> None:
    id = (await visits.book(booking())).id
    inspect(path).execute("UPDATE home_visits SET date_time = '1026-11-03T11:00:00'")

    updated = await visits.update(id, {"date_time": datetime(1026, 11, 3, 11, tzinfo=UTC), "notes": "Ring twice."})

    assert (updated.version, updated.notes) == (2, "Ring twice.")


async def test_no_notes_stay_no_notes(visits: HomeVisits, path: Path) -> None:
    id = (await visits.book(booking())).id
    before = everything_in(path)

    await visits.update(id, {"notes": None})

    assert everything_in(path) == before


async def test_an_enquiry_without_a_user_leaves_the_visit_without_one(visits: HomeVisits) -> None:
    id = (await visits.book(booking(care_enquiry=EVANS, assigned_to=BOB))).id

    updated = await visits.update(id, {"assigned_to": None})

    assert (updated.assigned_to, updated.version) == (None, 2)


async def test_a_visit_goes_back_to_the_enquirys_user_wherever_the_enquiry_is_now(
    visits: HomeVisits, database: Database, clock: Clock
) -> None:
    id = (await visits.book(booking(care_enquiry=REID, assigned_to=BOB))).id

    def transfer(session: Session) -> None:
        session.exec(update(CareEnquiry).where(col(CareEnquiry.id) == REID).values(location=ROWAN))

    await database.write(transfer)
    updated = await HomeVisits(database, limited_to(WILLOW), clock).update(id, {"assigned_to": None})

    assert (updated.assigned_to, updated.location) == (ALICE, WILLOW)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"date_time": None}, [NO_TIME]),
        ({"host": None}, [NO_HOST]),
        ({"date_time": datetime(1026, 11, 3, 11, tzinfo=UTC)}, [WRONG_YEAR]),
        ({"date_time": datetime(2101, 1, 1, tzinfo=UTC), "host": None}, [NO_HOST, WRONG_YEAR]),
        ({"assigned_to": NOBODY}, [UNKNOWN_USER]),
        ({"assigned_to": ""}, [UNKNOWN_USER]),
        ({"assigned_to": "\ud800"}, [UNKNOWN_USER]),
        ({"notes": "x" * 10_001}, [LONG_NOTES]),
        ({"notes": "e" + "\N{COMBINING ACUTE ACCENT}" * 31}, [MANY_MARKS]),
        ({"notes": "\ufdfa" * 1_667}, [SWOLLEN_NOTES]),
        ({"notes": "\0"}, [BROKEN_NOTES]),
        ({"notes": "\udc00"}, [BROKEN_NOTES]),
        (
            {"assigned_to": NOBODY, "notes": "x" * 10_001, "host": None, "date_time": None},
            [NO_TIME, NO_HOST, LONG_NOTES, UNKNOWN_USER],
        ),
        ({"notes": "New.", "host": None}, [NO_HOST]),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_an_update_is_told_at_once(
    visits: HomeVisits, path: Path, changes: Mapping[str, Any], problems: list[tuple[str, str, str]]
) -> None:
    id = (await visits.book(booking())).id
    before = everything_in(path)

    with pytest.raises(InvalidInput) as refused:
        await visits.update(id, changes)

    assert list(refused.value.problems) == problems
    assert everything_in(path) == before


@pytest.mark.parametrize("name", ["visit_type", "care_enquiry", "location", "service_user_contact", "created", "version"])
def test_what_never_changes_is_no_part_of_what_a_client_may_update(name: str) -> None:
    from schema.inputs import UpdateHomeVisitInput

    assert name not in UpdateHomeVisitInput.__annotations__


@pytest.mark.parametrize("change", ["update", "cancel", "complete"])
async def test_no_change_is_dated_before_the_visit_was_created(visits: HomeVisits, clock: Clock, path: Path, change: str) -> None:
    visit = await visits.book(booking())
    clock.advance(hours=-1)

    changed = await (visits.update(visit.id, {"notes": "Earlier"}) if change == "update" else getattr(visits, change)(visit.id))

    assert changed.modified == changed.created == visit.created
    assert {changed.cancelled, changed.completed} <= {None, visit.created}
    assert [row["at"] for row in events_of(path)] == [stored(visit.created)] * 2
