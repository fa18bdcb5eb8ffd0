"""What an account answers is stored as what it is: nothing that is no answer, and nothing that it leaves out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.errors import (
    VersionConflict,
)
from storage.lifecycle import BookingInput
from storage.models import ConfirmationStatus, HomeVisitStatus, VisitHost, VisitType
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.changes import BOOKING, OTHER, TIME, everything
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.rewriting import Rewriting

GARBAGE: dict[str, Callable[[Any], Any]] = {
    "of another visit": lambda document: document | {"_id": OTHER},
    "of nobody": lambda _document: {"_id": "?"},
    "half": lambda document: dict(list(document.items())[:5]),
    "in a list": lambda document: [document],
    "null": lambda _document: None,
    "empty": lambda _document: {},
}
OF_BOOKINGS: dict[str, Callable[[Any], Any]] = {
    **GARBAGE,
    "of another enquiry": lambda document: document | {"care_enquiry": world.FOR_BEECHES},
    "of another kind": lambda document: document | {"visit_type": "virtual"},
    "anonymized": lambda document: document | {"anonymized": "2031-01-01 00:00:00", "notes": ""},
}


@pytest.mark.parametrize("rewrite", OF_BOOKINGS.values(), ids=OF_BOOKINGS)
async def test_an_answer_that_is_not_the_booking_is_looked_for(
    account: tuple[Followed, Rewriting], rewrite: Callable[[Any], Any]
) -> None:
    followed, proxy = account
    others = everything(followed)["home_visits"]
    proxy.rewrite = rewrite

    visit = await followed.here.book(BOOKING)

    assert (visit.care_enquiry, visit.notes, visit.visit_type) == (world.FOR_WILLOWS, BOOKING.notes, VisitType.IN_PERSON)
    assert len(everything(followed)["home_visits"]) == len(others) + 1
    assert await followed.there.get(visit.id) is not None


UNDONE: dict[str, Callable[[Any], Any]] = {**GARBAGE, "not done": lambda document: document | {"cancelled": None}}


@pytest.mark.parametrize("rewrite", UNDONE.values(), ids=UNDONE)
async def test_an_answer_that_is_not_the_change_is_read_again(
    account: tuple[Followed, Rewriting], rewrite: Callable[[Any], Any]
) -> None:
    followed, proxy = account
    other = await followed.here.get(OTHER)
    proxy.rewrite = rewrite

    visit = await followed.here.cancel(world.PENDING)

    assert visit.status is HomeVisitStatus.CANCELLED
    assert ("GET", f"/v1/home-visits/{world.PENDING}") in proxy.requests
    after = await followed.here.get(OTHER)
    assert other is not None
    assert after is not None
    assert (after.version, after.notes) == (other.version, other.notes)


async def test_what_an_answer_leaves_out_stays_as_it_is(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    names = ("anonymized", "service_user_contact", "notes", "assigned_to")
    proxy.rewrite = lambda document: {name: value for name, value in document.items() if name not in names}
    booking = BookingInput(
        world.FOR_WILLOWS, TIME, VisitHost.MANAGER, VisitType.IN_PERSON, world.BEN, world.DAUGHTER, notes="Ours"
    )

    booked = await followed.here.book(booking)
    updated = await followed.here.update(booked.id, {"assigned_to": world.ANNA, "notes": "Newer"})
    cancelled = await followed.here.cancel(booked.id)
    plain = await followed.here.book(BOOKING)

    assert plain.assigned_to == world.ANNA
    assert (booked.notes, booked.service_user_contact, booked.assigned_to) == ("Ours", world.DAUGHTER, world.BEN)
    for visit in (updated, cancelled):
        assert (visit.notes, visit.service_user_contact, visit.assigned_to) == ("Newer", world.DAUGHTER, world.ANNA)


async def test_an_update_that_changes_nothing_is_read_and_not_sent(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    seen = await followed.here.get(world.PENDING)
    assert seen is not None
    before = everything(followed)

    visit = await followed.here.update(world.PENDING, {"notes": seen.notes, "host": seen.host})
    empty = await followed.here.update(world.PENDING, {})

    assert (visit.version, empty.version) == (seen.version, seen.version)
    assert proxy.sent() == [("GET", f"/v1/home-visits/{world.PENDING}")]
    assert everything(followed) == before


async def test_an_update_to_what_is_here_alone_is_sent(account: tuple[Followed, Rewriting]) -> None:
    followed, _ = account
    seen = await followed.here.get(world.PENDING)
    assert seen is not None
    await followed.there.update(world.PENDING, {"notes": "Changed there"})

    visit = await followed.here.update(world.PENDING, {"notes": seen.notes})

    there = await followed.there.get(world.PENDING)
    assert there is not None
    assert visit.notes == there.notes == seen.notes


@pytest.mark.parametrize("name", ["update", "cancel", "complete"])
async def test_a_version_is_that_of_the_account_for_each_change(account: tuple[Followed, Rewriting], name: str) -> None:
    followed, proxy = account
    seen = await followed.here.get(world.PENDING)
    assert seen is not None
    await followed.there.update(world.PENDING, {"host": VisitHost.CARER})
    extra: Any = {"changes": {"notes": seen.notes}} if name == "update" else {}

    with pytest.raises(VersionConflict) as refused:
        await getattr(followed.here, name)(world.PENDING, expected_version=seen.version, **extra)

    assert refused.value.home_visit.host is VisitHost.CARER
    assert proxy.sent("PATCH") == []
    # What was declared is withdrawn: the next one waits for nothing.
    await followed.here.cancel(world.PENDING, expected_version=refused.value.home_visit.version)


@pytest.mark.parametrize("suppressed", [True, False])
async def test_a_confirmation_is_the_accounts(account: tuple[Followed, Rewriting], suppressed: bool) -> None:
    followed, _ = account
    expected = ConfirmationStatus.SUPPRESSED if suppressed else ConfirmationStatus.NOT_REQUIRED

    booked = await followed.here.book(BOOKING, suppress_confirmation=suppressed)
    assert booked.confirmation is expected
    for hours, suppressed_now in ((1, not suppressed), (2, suppressed)):
        moved = await followed.here.update(
            booked.id, {"date_time": TIME + timedelta(hours=hours)}, suppress_confirmation=suppressed_now
        )
        assert (moved.confirmation is expected) is (suppressed_now is suppressed)
    assert moved.confirmation is expected
    noted = await followed.here.update(booked.id, {"notes": "x"}, suppress_confirmation=not suppressed)
    cancelled = await followed.here.cancel(booked.id)
    plain = await followed.here.book(BOOKING)

    assert plain.assigned_to == world.ANNA
    assert (noted.confirmation, cancelled.confirmation) == (expected, expected)
    assert everything(followed)["outbox_messages"] == []


async def test_an_offset_and_the_past_are_sent_as_they_are_meant(account: tuple[Followed, Rewriting]) -> None:
    followed, _ = account
    local = datetime.fromisoformat("2021-07-01T15:00:00.9+02:00")

    booked = await followed.here.book(BookingInput(world.FOR_WILLOWS, local, VisitHost.NURSE, VisitType.VIRTUAL))
    moved = await followed.here.update(booked.id, {"date_time": local + timedelta(days=1)})

    there = await followed.there.get(booked.id)
    assert there is not None
    assert booked.date_time == datetime(2021, 7, 1, 13, tzinfo=UTC)
    assert moved.date_time == there.date_time == datetime(2021, 7, 2, 13, tzinfo=UTC)


async def test_whom_a_visit_goes_back_to_is_the_accounts_to_say(account: tuple[Followed, Rewriting]) -> None:
    followed, _ = account
    inspect(path_of(followed.gateway.database)).execute(
        f"UPDATE care_enquiries SET assigned_to = '{world.BEN}' WHERE id = '{world.FOR_WILLOWS}'"  # noqa: S608 - the test's own
    )
    booked = await followed.here.book(replace(BOOKING, assigned_to=world.STUB_USER))

    reset = await followed.here.update(booked.id, {"assigned_to": None})

    assert (booked.assigned_to, reset.assigned_to) == (world.STUB_USER, world.BEN)
