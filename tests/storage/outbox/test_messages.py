"""Which messages are due, decided in the transaction of what they confirm."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session, select

from storage.errors import InvalidInput
from storage.identifiers import is_identifier
from storage.lifecycle import BookingInput
from storage.models import ConfirmationStatus, HomeVisit, VisitHost, VisitType
from storage.outbox.messages import CalendarMethod, confirm_booking, give_up_at, next_sequence
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.homes import NOW, VISIT_TIME
from tests.storage.outbox.practice import WITHOUT_EMAIL, Practice
from tests.storage.outbox.records import enquiry

SEQUENCE = 25_349_400  # the seconds of NOW since 2024 began


async def test_a_booking_queues_a_message(practice: Practice) -> None:
    visit = await practice.book()

    [queued] = await practice.messages()
    assert is_identifier(queued.id)
    assert queued.model_dump(exclude={"id"}) == {
        "home_visit": visit,
        "sequence": SEQUENCE,
        "status": ConfirmationStatus.QUEUED,
        "date_time": VISIT_TIME,
        "previous": None,
        "created": NOW,
        "due": NOW,
        "give_up": NOW + timedelta(hours=48),
        "ended": None,
        "attempts": 0,
        "leased_until": None,
        "reasons": "",
        "method": CalendarMethod.REQUEST,
    }
    assert await practice.confirmation(visit) == ConfirmationStatus.QUEUED


async def test_a_suppressed_booking_queues_nothing(practice: Practice) -> None:
    visit = await practice.book(suppressed=True)

    assert await practice.messages() == []
    assert await practice.confirmation(visit) == ConfirmationStatus.SUPPRESSED


@pytest.mark.parametrize("email", [None, "", "unknown", "ada@family.example, evil@other.example"])
async def test_a_booking_without_a_usable_address_queues_nothing(practice: Practice, email: str | None) -> None:
    await practice.family(email=email)

    visit = await practice.book()

    assert await practice.messages() == []
    assert await practice.confirmation(visit) == ConfirmationStatus.NOT_POSSIBLE


async def test_to_suppress_is_told_rather_than_that_it_was_not_possible(practice: Practice) -> None:
    visit = await practice.book(suppressed=True, enquiry=WITHOUT_EMAIL)

    assert await practice.confirmation(visit) == ConfirmationStatus.SUPPRESSED


async def test_a_move_withdraws_what_waits_and_queues_a_later_message(practice: Practice) -> None:
    visit = await practice.book()
    practice.clock.advance(minutes=5)

    await practice.move(visit, hours=2)

    first, second = await practice.messages()
    assert (first.status, first.ended) == (ConfirmationStatus.WITHDRAWN, NOW + timedelta(minutes=5))
    assert (second.status, second.sequence) == (ConfirmationStatus.QUEUED, SEQUENCE + 300)
    # Whether there was another time is decided when it is sent.
    assert (second.previous, second.date_time) == (None, VISIT_TIME + timedelta(hours=2))
    assert await practice.confirmation(visit) == ConfirmationStatus.QUEUED


async def test_a_suppressed_move_withdraws_what_waits(practice: Practice) -> None:
    visit = await practice.book()

    await practice.move(visit, hours=2, suppressed=True)
    suppressed = await practice.confirmation(visit)
    await practice.move(visit, hours=2)

    first, second = await practice.messages()
    assert suppressed == ConfirmationStatus.SUPPRESSED
    assert first.status == ConfirmationStatus.WITHDRAWN
    assert (second.sequence, second.date_time) == (SEQUENCE + 1, VISIT_TIME + timedelta(hours=4))


async def test_a_move_withdraws_what_waits_whatever_the_visit_says_of_it(practice: Practice) -> None:
    visit = await practice.book()
    inspect(path_of(practice.database)).execute("UPDATE home_visits SET confirmation = 'SENT'")

    await practice.move(visit, hours=2)

    assert await practice.statuses() == ["WITHDRAWN", "QUEUED"]


async def test_what_was_sent_stays_sent_whatever_becomes_of_the_visit(practice: Practice) -> None:
    moved, cancelled = [await practice.book() for _ in range(2)]
    await practice.amend(status=ConfirmationStatus.SENT, ended=NOW)

    await practice.move(moved, hours=2)
    await practice.move(cancelled, hours=2)
    await practice.visits.cancel(cancelled)

    assert sorted(await practice.statuses()) == ["QUEUED", "SENT", "SENT", "WITHDRAWN"]


async def test_a_move_to_the_same_instant_confirms_nothing(practice: Practice) -> None:
    visit = await practice.book()

    await practice.move(visit, hours=0)

    assert await practice.statuses() == ["QUEUED"]


async def test_any_other_update_leaves_what_waits(practice: Practice) -> None:
    visit = await practice.book()

    await practice.visits.update(visit, {"notes": "Uses a wheelchair", "host": VisitHost.CARER})

    assert await practice.statuses() == ["QUEUED"]
    assert await practice.confirmation(visit) == ConfirmationStatus.QUEUED


@pytest.mark.parametrize("ending", ["cancel", "complete"])
async def test_the_end_of_a_visit_withdraws_what_waits(practice: Practice, ending: str) -> None:
    visit = await practice.book()
    practice.clock.advance(minutes=5)

    await getattr(practice.visits, ending)(visit)

    [withdrawn] = await practice.messages()
    assert (withdrawn.status, withdrawn.ended) == (ConfirmationStatus.WITHDRAWN, NOW + timedelta(minutes=5))
    assert await practice.confirmation(visit) == ConfirmationStatus.WITHDRAWN


async def test_the_end_of_a_visit_does_not_change_what_was_decided_before(practice: Practice) -> None:
    suppressed, impossible = await practice.book(suppressed=True), await practice.book(enquiry=WITHOUT_EMAIL)

    await practice.visits.cancel(suppressed)
    await practice.visits.cancel(impossible)

    assert await practice.confirmation(suppressed) == ConfirmationStatus.SUPPRESSED
    assert await practice.confirmation(impossible) == ConfirmationStatus.NOT_POSSIBLE


async def test_a_refused_booking_queues_nothing(practice: Practice) -> None:
    unknown = BookingInput("0" * 24, VISIT_TIME, VisitHost.NURSE, VisitType.IN_PERSON)

    with pytest.raises(InvalidInput):
        await practice.visits.book(unknown)

    assert await practice.messages() == []


async def test_a_message_goes_with_the_transaction_that_fails(practice: Practice) -> None:
    visit = await practice.book(suppressed=True)

    def fail_at_the_end(session: Session) -> None:
        found = session.exec(select(HomeVisit)).one()
        found.confirmation = ConfirmationStatus.QUEUED
        confirm_booking(session, found, NOW)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await practice.database.write(fail_at_the_end)

    assert await practice.messages() == []
    assert await practice.confirmation(visit) == ConfirmationStatus.SUPPRESSED


async def test_a_repeated_booking_queues_one_message(practice: Practice) -> None:
    booking = BookingInput(enquiry().id, VISIT_TIME, VisitHost.NURSE, VisitType.IN_PERSON)

    first = await practice.visits.book(booking, idempotency_key="again")
    second = await practice.visits.book(booking, idempotency_key="again")

    assert first.id == second.id
    assert await practice.statuses() == ["QUEUED"]


async def test_an_anonymized_visit_leaves_no_words_in_the_outbox(practice: Practice) -> None:
    visit = await practice.book()
    await practice.amend(reasons="550 Ada Reid has moved")

    await practice.visits.cancel(visit)
    await practice.anonymize(visit)

    [kept] = await practice.messages()
    assert kept.reasons == ""


@pytest.mark.parametrize(
    ("from_now", "expected"),
    [
        (timedelta(hours=3), timedelta(hours=3)),
        (timedelta(hours=48), timedelta(hours=48)),
        (timedelta(days=14), timedelta(hours=48)),
        (timedelta(0), timedelta(0)),
    ],
)
def test_a_message_is_tried_until_its_visit_for_two_days_at_most(from_now: timedelta, expected: timedelta) -> None:
    assert give_up_at(NOW + from_now, NOW) == NOW + expected


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (-1, NOW, SEQUENCE),
        (-1, NOW + timedelta(milliseconds=999), SEQUENCE),
        (0, NOW, SEQUENCE),
        (SEQUENCE, NOW, SEQUENCE + 1),
        (SEQUENCE + 7, NOW - timedelta(days=1), SEQUENCE + 8),
        (-1, datetime(1970, 1, 1, tzinfo=UTC), 0),
        (3, datetime(1970, 1, 1, tzinfo=UTC), 4),
        (-1, datetime(9999, 1, 1, tzinfo=UTC), 2**31 - 2**16),
        (2**31 - 2**16, datetime(9999, 1, 1, tzinfo=UTC), 2**31 - 2**16 + 1),
    ],
)
def test_a_number_is_higher_than_the_last_and_follows_the_time_within_31_bits(last: int, now: datetime, expected: int) -> None:
    assert next_sequence(last, now) == expected
