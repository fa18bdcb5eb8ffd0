from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.errors import InvalidInput
from storage.identifiers import is_identifier
from storage.instants import stored
from storage.models import HomeVisitStatus, VisitHost, VisitType
from storage.repository import HomeVisits
from tests.storage.homes import (
    ALICE,
    BOB,
    DAUGHTER,
    EVANS,
    FORGOTTEN,
    FROST,
    HOMELESS,
    NOBODY,
    NOW,
    REID,
    ROWAN,
    SON,
    STRANGER,
    VISIT_TIME,
    WILLOW,
    Clock,
    booking,
    everything_in,
    limited_to,
    rows_of,
)

UNKNOWN_ENQUIRY = ("care_enquiry", "NOT_FOUND", "No care enquiry with this ID exists, or you may not see it. Check the ID.")
UNKNOWN_CONTACT = ("service_user_contact", "NOT_FOUND", "No contact with this ID exists, or you may not see it. Check the ID.")
UNKNOWN_USER = ("assigned_to", "NOT_FOUND", "No user with this ID exists, or you may not see them. Check the ID.")
ANOTHERS_CONTACT = (
    "service_user_contact", "INVALID", "This contact belongs to another care enquiry. Choose one of this enquiry.",
)  # fmt: skip
NO_LOCATION = ("care_enquiry", "REQUIRED", "This care enquiry has no location to visit. Give it one first.")
ANONYMIZED = ("care_enquiry", "INVALID", "This care enquiry has been anonymized. Book for a current one.")
LONG_NOTES = ("notes", "TOO_LONG", "Notes may have at most 10,000 characters: these have 10,001.")
MANY_MARKS = ("notes", "TOO_LONG", "Notes may have at most 30 accents in a row. Remove some.")
SWOLLEN_NOTES = (
    "notes", "TOO_LONG",
    "Notes may have at most 30,000 characters with ligatures and symbols written out. Shorten them.",
)  # fmt: skip
WRONG_YEAR = ("date_time", "INVALID", "A visit takes place in a year from 2000 to 2100. Check the year.")
BROKEN_NOTES = ("notes", "INVALID", "Notes cannot hold NUL or half a character (a lone surrogate). Remove it.")
LONG_KEY = ("idempotency_key", "TOO_LONG", "Give a key of 1 to 255 characters, without NUL.")
NO_KEY = ("idempotency_key", "INVALID", "Give a key of 1 to 255 characters, without NUL.")


async def test_a_booking_keeps_what_was_asked_and_what_follows_from_it(visits: HomeVisits, path: Path) -> None:
    request = booking(
        assigned_to=BOB, service_user_contact=DAUGHTER, notes="Am CAFÉ", host=VisitHost.CARER, visit_type=VisitType.VIRTUAL
    )

    booked = await visits.book(request)

    assert is_identifier(booked.id)
    assert rows_of(path, "home_visits") == [
        {
            "number": 1,
            "id": booked.id,
            "care_enquiry": REID,
            "location": WILLOW,
            "date_time": "2024-11-03T11:00:00",
            "visit_type": "VIRTUAL",
            "host": "CARER",
            "notes": "Am CAFÉ",
            "assigned_to": BOB,
            "service_user_contact": DAUGHTER,
            "created": "2024-10-20T09:30:00",
            "modified": "2024-10-20T09:30:00",
            "cancelled": None,
            "completed": None,
            "anonymized": None,
            "version": 1,
            "confirmation": "QUEUED",
            "notes_folded": "am café",
        }
    ]


@pytest.mark.parametrize(("enquiry", "user", "location"), [(REID, ALICE, WILLOW), (EVANS, None, WILLOW), (FROST, BOB, ROWAN)])
async def test_the_enquiry_gives_the_location_and_the_user(
    visits: HomeVisits, enquiry: str, user: str | None, location: str
) -> None:
    booked = await visits.book(booking(care_enquiry=enquiry))

    read = await visits.get(booked.id)
    assert read is not None
    assert (read.assigned_to, read.location, read.service_user_contact, read.notes) == (user, location, None, "")
    assert (read.status, read.version, read.created, read.modified) == (HomeVisitStatus.PENDING, 1, NOW, NOW)


@pytest.mark.parametrize(
    "time",
    [
        datetime(2000, 1, 1, tzinfo=UTC),
        NOW - timedelta(days=400),
        VISIT_TIME.replace(microsecond=123_456),
        VISIT_TIME.astimezone(timezone(timedelta(hours=-7))),
        datetime(2100, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
    ids=str,
)
async def test_any_time_of_a_century_can_be_booked_to_the_second(visits: HomeVisits, time: datetime) -> None:
    booked = await visits.book(booking(date_time=time))

    read = await visits.get(booked.id)
    assert read is not None
    cut = time.replace(microsecond=0)
    assert (read.date_time, stored(booked.date_time)) == (cut, stored(cut))


async def test_one_enquiry_may_have_many_pending_visits(visits: HomeVisits) -> None:
    booked = [(await visits.book(booking())).id for _ in range(3)]

    assert len(set(booked)) == 3
    assert booked == sorted(booked)


async def test_notes_of_10000_characters_are_kept(visits: HomeVisits) -> None:
    notes = "🚗é\n\t\u2028" * 2000

    booked = await visits.book(booking(notes=notes))

    read = await visits.get(booked.id)
    assert read is not None
    assert (len(read.notes), read.notes) == (10_000, notes)


@pytest.mark.parametrize(
    ("changes", "key", "problems"),
    [
        ({"care_enquiry": NOBODY}, None, [UNKNOWN_ENQUIRY]),
        ({"care_enquiry": ""}, None, [UNKNOWN_ENQUIRY]),
        ({"care_enquiry": "\ud800\0"}, None, [UNKNOWN_ENQUIRY]),
        ({"care_enquiry": WILLOW}, None, [UNKNOWN_ENQUIRY]),
        ({"care_enquiry": HOMELESS}, None, [NO_LOCATION]),
        ({"care_enquiry": FORGOTTEN}, None, [ANONYMIZED]),
        ({"date_time": datetime(1026, 11, 3, 11, tzinfo=UTC)}, None, [WRONG_YEAR]),
        ({"date_time": datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)}, None, [WRONG_YEAR]),
        ({"date_time": datetime(2100, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-1)))}, None, [WRONG_YEAR]),
        ({"date_time": datetime(9026, 11, 3, 11, tzinfo=UTC)}, None, [WRONG_YEAR]),
        ({"service_user_contact": NOBODY}, None, [UNKNOWN_CONTACT]),
        ({"service_user_contact": ""}, None, [UNKNOWN_CONTACT]),
        ({"service_user_contact": "\ud800"}, None, [UNKNOWN_CONTACT]),
        ({"service_user_contact": SON}, None, [ANOTHERS_CONTACT]),
        ({"service_user_contact": STRANGER}, None, [ANOTHERS_CONTACT]),
        ({"assigned_to": NOBODY}, None, [UNKNOWN_USER]),
        ({"assigned_to": ""}, None, [UNKNOWN_USER]),
        ({"assigned_to": "\ud800"}, None, [UNKNOWN_USER]),
        ({"notes": "x" * 10_001}, None, [LONG_NOTES]),
        ({"notes": "e" + "\N{COMBINING ACUTE ACCENT}" * 31}, None, [MANY_MARKS]),
        ({"notes": "\ufdfa" * 1_667}, None, [SWOLLEN_NOTES]),
        ({"notes": "a\0b"}, None, [BROKEN_NOTES]),
        ({"notes": "a\udfff"}, None, [BROKEN_NOTES]),
        ({}, "", [NO_KEY]),
        ({}, "k" * 256, [LONG_KEY]),
        ({}, "k\0", [NO_KEY]),
        ({}, "\ud800", [NO_KEY]),
        (
            {"care_enquiry": NOBODY, "service_user_contact": NOBODY, "assigned_to": NOBODY, "notes": "x" * 10_001},
            "",
            [UNKNOWN_ENQUIRY, UNKNOWN_CONTACT, UNKNOWN_USER, LONG_NOTES, NO_KEY],
        ),
        (
            {"care_enquiry": HOMELESS, "service_user_contact": SON, "assigned_to": NOBODY, "notes": "\0"},
            "k" * 256,
            [NO_LOCATION, ANOTHERS_CONTACT, UNKNOWN_USER, BROKEN_NOTES, LONG_KEY],
        ),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_booking_is_told_at_once(
    visits: HomeVisits, path: Path, changes: dict[str, Any], key: str | None, problems: list[tuple[str, str, str]]
) -> None:
    before = everything_in(path)

    with pytest.raises(InvalidInput) as refused:
        await visits.book(booking(**changes), idempotency_key=key)

    assert list(refused.value.problems) == problems
    assert everything_in(path) == before


async def test_a_limited_caller_books_for_enquiries_of_their_locations_only(
    visits: HomeVisits, database: Database, clock: Clock, path: Path
) -> None:
    theirs = HomeVisits(database, limited_to(WILLOW), clock)
    booked = await theirs.book(booking(care_enquiry=REID, service_user_contact=DAUGHTER))
    before = everything_in(path)

    for enquiry in (FROST, HOMELESS, NOBODY):
        with pytest.raises(InvalidInput) as refused:
            await theirs.book(booking(care_enquiry=enquiry))
        assert list(refused.value.problems) == [UNKNOWN_ENQUIRY]

    assert booked.location == WILLOW
    assert everything_in(path) == before


@pytest.mark.parametrize("enquiry", [REID, NOBODY, FROST])
async def test_a_contact_out_of_sight_is_told_like_an_unknown_one(
    visits: HomeVisits, database: Database, clock: Clock, enquiry: str
) -> None:
    theirs = HomeVisits(database, limited_to(WILLOW), clock)
    answers = []

    for contact in (SON, NOBODY, STRANGER):
        with pytest.raises(InvalidInput) as refused:
            await theirs.book(booking(care_enquiry=enquiry, service_user_contact=contact))
        answers.append(list(refused.value.problems))

    assert answers == [[*([] if enquiry == REID else [UNKNOWN_ENQUIRY]), UNKNOWN_CONTACT]] * 3


async def test_a_contact_in_sight_by_a_visit_is_told_to_be_anothers(visits: HomeVisits, database: Database, clock: Clock) -> None:
    theirs = HomeVisits(database, limited_to(ROWAN), clock)
    await visits.book(booking(care_enquiry=FROST, service_user_contact=SON))

    with pytest.raises(InvalidInput) as refused:
        await HomeVisits(database, limited_to(WILLOW, ROWAN), clock).book(booking(service_user_contact=SON))
    with pytest.raises(InvalidInput) as hidden:
        await theirs.book(booking(care_enquiry=FROST, service_user_contact=DAUGHTER))

    assert list(refused.value.problems) == [ANOTHERS_CONTACT]
    assert list(hidden.value.problems) == [UNKNOWN_CONTACT]
