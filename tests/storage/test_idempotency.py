import asyncio
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, select, update

from storage.database import Database
from storage.errors import IdempotencyConflict, InvalidInput
from storage.models import CareEnquiry, HomeVisitStatus, VisitHost, VisitType
from storage.repository import HomeVisits
from tests.storage.homes import (
    ALICE,
    BOB,
    EVANS,
    REID,
    ROWAN,
    VISIT_TIME,
    WILLOW,
    Clock,
    booking,
    everything_in,
    limited_to,
    rows_of,
)

LONGEST = "🔑" * 255


@pytest.mark.parametrize("key", ["k", "' OR 1=1 --", LONGEST], ids=["short", "quoted", "longest"])
async def test_the_same_key_and_input_answer_with_the_first_booking(
    visits: HomeVisits, clock: Clock, path: Path, key: str
) -> None:
    first = await visits.book(booking(notes="Ring twice."), idempotency_key=key)
    before = everything_in(path)
    clock.advance(hours=23)

    again = await visits.book(booking(notes="Ring twice."), idempotency_key=key)

    assert again.id == first.id
    assert everything_in(path) == before


async def test_the_answer_is_the_booking_as_it_is_now(visits: HomeVisits) -> None:
    first = await visits.book(booking(), idempotency_key="k")
    await visits.update(first.id, {"notes": "Ring twice."})
    await visits.cancel(first.id)

    again = await visits.book(booking(), idempotency_key="k")

    assert (again.id, again.status, again.version, again.notes) == (first.id, HomeVisitStatus.CANCELLED, 3, "Ring twice.")


async def test_one_instant_is_the_same_input_whatever_its_offset(visits: HomeVisits) -> None:
    first = await visits.book(booking(), idempotency_key="k")

    again = await visits.book(booking(date_time=VISIT_TIME.astimezone(timezone(timedelta(hours=9)))), idempotency_key="k")

    assert again.id == first.id


async def test_what_is_below_a_second_is_no_part_of_the_input(visits: HomeVisits) -> None:
    first = await visits.book(booking(date_time=VISIT_TIME + timedelta(microseconds=999_999)), idempotency_key="k")

    again = await visits.book(booking(date_time=VISIT_TIME + timedelta(milliseconds=1)), idempotency_key="k")

    assert (again.id, again.date_time) == (first.id, VISIT_TIME)


@pytest.mark.parametrize(
    ("changes", "suppress"),
    [
        ({"care_enquiry": EVANS}, False),
        ({"date_time": VISIT_TIME + timedelta(seconds=1)}, False),
        ({"host": VisitHost.OTHER}, False),
        ({"visit_type": VisitType.VIRTUAL}, False),
        ({"assigned_to": ALICE}, False),
        ({"assigned_to": BOB}, False),
        ({"notes": "."}, False),
        ({}, True),
        ({"care_enquiry": "unknown"}, False),
    ],
    ids=str,
)
async def test_the_same_key_with_other_input_is_refused(
    visits: HomeVisits, path: Path, changes: dict[str, Any], suppress: bool
) -> None:
    await visits.book(booking(), idempotency_key="k")
    before = everything_in(path)

    with pytest.raises(IdempotencyConflict) as refused:
        await visits.book(booking(**changes), suppress_confirmation=suppress, idempotency_key="k")

    assert refused.value.idempotency_key == "k"
    assert everything_in(path) == before


async def test_other_keys_and_other_callers_book_anew(visits: HomeVisits, database: Database, clock: Clock, path: Path) -> None:
    another = HomeVisits(database, limited_to(WILLOW, subject="another clerk"), clock)

    booked = [
        await visits.book(booking(), idempotency_key="k"),
        await visits.book(booking(), idempotency_key="K"),
        await visits.book(booking(), idempotency_key="k "),
        await another.book(booking(), idempotency_key="k"),
        await another.book(booking(notes="."), idempotency_key="K"),
        await visits.book(booking()),
        await visits.book(booking()),
    ]

    assert len({visit.id for visit in booked}) == 7
    assert [(row["subject"], row["key"]) for row in rows_of(path, "idempotency_keys")] == [
        ("clerk", "k"),
        ("clerk", "K"),
        ("clerk", "k "),
        ("another clerk", "k"),
        ("another clerk", "K"),
    ]


async def test_a_refused_booking_leaves_its_key_free(visits: HomeVisits) -> None:
    with pytest.raises(InvalidInput):
        await visits.book(booking(care_enquiry="unknown"), idempotency_key="k")

    booked = await visits.book(booking(), idempotency_key="k")

    assert booked.version == 1


async def test_a_key_holds_for_24_hours_and_is_forgotten_afterwards(visits: HomeVisits, clock: Clock, path: Path) -> None:
    first = await visits.book(booking(), idempotency_key="k")
    clock.advance(minutes=1)
    await visits.book(booking(), idempotency_key="a minute younger")
    clock.advance(hours=24, minutes=-1)

    assert await visits.delete_old_keys() == 0
    assert (await visits.book(booking(), idempotency_key="k")).id == first.id
    clock.advance(milliseconds=1)
    assert await visits.delete_old_keys() == 1
    assert [row["key"] for row in rows_of(path, "idempotency_keys")] == ["a minute younger"]
    assert (await visits.book(booking(notes="Other input."), idempotency_key="k")).id != first.id


async def test_a_key_tells_nothing_of_the_input(visits: HomeVisits, path: Path) -> None:
    booked = await visits.book(booking(notes="Mother has fallen twice"), idempotency_key="k")

    [row] = rows_of(path, "idempotency_keys")
    assert row | {"fingerprint": ""} == {
        "subject": "clerk",
        "key": "k",
        "fingerprint": "",
        "home_visit": booked.id,
        "created": "2024-10-20T09:30:00",
    }
    assert len(row["fingerprint"]) == 64


async def test_twenty_at_once_with_one_key_book_once(visits: HomeVisits, path: Path) -> None:
    booked = await asyncio.gather(*(visits.book(booking(), idempotency_key="k") for _ in range(20)))

    assert len({visit.id for visit in booked}) == 1
    tables = ("home_visits", "home_visit_events", "idempotency_keys", "outbox_messages")
    assert {table: len(rows_of(path, table)) for table in tables} == dict.fromkeys(tables, 1)


async def test_of_twenty_at_once_with_one_key_and_other_input_one_books(visits: HomeVisits, path: Path) -> None:
    bookings = [visits.book(booking(notes=str(number)), idempotency_key="k") for number in range(20)]

    answers = await asyncio.gather(*bookings, return_exceptions=True)

    assert sorted(type(answer).__name__ for answer in answers) == ["HomeVisit"] + ["IdempotencyConflict"] * 19
    assert len(rows_of(path, "home_visits")) == 1


async def test_a_booking_out_of_sight_by_now_is_not_shown_again(
    visits: HomeVisits, database: Database, clock: Clock, path: Path
) -> None:
    await HomeVisits(database, limited_to(WILLOW), clock).book(booking(), idempotency_key="k")
    before = everything_in(path)

    with pytest.raises(InvalidInput) as refused:
        await HomeVisits(database, limited_to(ROWAN), clock).book(booking(), idempotency_key="k")

    assert [(problem.field, problem.code) for problem in refused.value.problems] == [("care_enquiry", "NOT_FOUND")]
    assert everything_in(path) == before


async def test_a_retry_books_nothing_new_where_the_enquiry_has_moved_into_sight(
    visits: HomeVisits, database: Database, clock: Clock, path: Path
) -> None:
    await HomeVisits(database, limited_to(WILLOW), clock).book(booking(), idempotency_key="k")

    def transfer(session: Session) -> str | None:
        session.exec(update(CareEnquiry).where(col(CareEnquiry.id) == REID).values(location=ROWAN))
        return session.exec(select(CareEnquiry.location).where(CareEnquiry.id == REID)).one()

    assert await database.write(transfer) == ROWAN
    with pytest.raises(InvalidInput):
        await HomeVisits(database, limited_to(ROWAN), clock).book(booking(), idempotency_key="k")

    assert len(rows_of(path, "home_visits")) == 1
