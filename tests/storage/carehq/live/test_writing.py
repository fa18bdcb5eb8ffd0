"""Changes go to the account first, once, and are here as it answers them."""

from datetime import UTC, datetime, timedelta

import pytest

from storage.carehq.live.intents import Intent
from storage.errors import (
    HomeVisitNotPending,
    IdempotencyConflict,
    InvalidInput,
    NotHere,
    UpstreamInDoubt,
    UpstreamUnavailable,
    VersionConflict,
)
from storage.lifecycle import BookingInput
from storage.models import ConfirmationStatus, HomeVisitStatus, VisitHost, VisitType
from storage.retention.erasing import erase
from storage.retention.finding import Person
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.faulty import Fault

TIME = datetime(2031, 3, 3, 14, 30, tzinfo=UTC)
BOOKING = BookingInput(
    care_enquiry=world.FOR_WILLOWS, date_time=TIME, visit_type=VisitType.IN_PERSON, host=VisitHost.MANAGER, notes="Élan & co."
)


def events(followed: Followed, id: str) -> list[tuple[str, str]]:
    """Return type and actor of each event of a visit here."""
    rows = inspect(path_of(followed.database)).query(
        f"SELECT type, actor FROM home_visit_events WHERE home_visit = '{id}' ORDER BY number"  # noqa: S608 - the test's own
    )
    return [(str(type), str(actor)) for type, actor in rows]


def booked_there(followed: Followed) -> int:
    """Return how many visits like ours the account has."""
    [(count,)] = inspect(path_of(followed.gateway.database)).query(
        "SELECT count(*) FROM home_visits WHERE date_time LIKE '2031-03-03%'"
        if path_of(followed.database).exists()
        else "SELECT count(*) FROM home_visits WHERE date_time::text LIKE '2031-03-03%'"
    )
    return int(count)


async def test_a_booking_is_there_and_here(followed: Followed) -> None:
    visit = await followed.here.book(BOOKING, suppress_confirmation=True)

    there = await followed.there.get(visit.id)
    assert there is not None
    assert (there.notes, there.date_time, there.host) == (BOOKING.notes, TIME, VisitHost.MANAGER)
    assert (visit.confirmation, there.confirmation) == (ConfirmationStatus.SUPPRESSED, ConfirmationStatus.SUPPRESSED)
    assert events(followed, visit.id) == [("BOOKED", "everybody")]


async def test_the_follower_tells_nothing_of_what_was_changed_through_here(followed: Followed) -> None:
    follower = followed.follower()
    await follower.follow_once()
    visit = await followed.here.book(BOOKING)
    await followed.here.update(visit.id, {"notes": "Other", "host": VisitHost.CARER})
    await followed.here.cancel(visit.id)
    followed.clock.added = timedelta(hours=25)

    await follower.follow_once()

    assert events(followed, visit.id) == [("BOOKED", "everybody"), ("UPDATED", "everybody"), ("CANCELLED", "everybody")]


async def test_what_our_rules_refuse_is_not_asked(followed: Followed) -> None:
    await followed.follower().follow_once()
    before = len(followed.proxy.requests)

    with pytest.raises(InvalidInput):
        await followed.here.book(BookingInput(world.FOR_WILLOWS, TIME.replace(year=1800), VisitHost.NURSE, VisitType.VIRTUAL))
    with pytest.raises(HomeVisitNotPending):
        await followed.here.cancel(world.CANCELLED)
    with pytest.raises(NotHere):
        await followed.here.cancel(world.PENDING, notify_care_seeker=True)

    assert len(followed.proxy.requests) == before


async def test_what_was_closed_there_is_told_as_it_is_now(followed: Followed) -> None:
    await followed.follower().follow_once()
    await followed.there.cancel(world.PENDING)

    with pytest.raises(HomeVisitNotPending) as refusal:
        await followed.here.update(world.PENDING, {"notes": "Too late"})

    assert refusal.value.home_visit.status is HomeVisitStatus.CANCELLED
    here = await followed.here.get(world.PENDING)
    assert here is not None
    assert here.status is HomeVisitStatus.CANCELLED


async def test_a_version_is_that_of_the_account(followed: Followed) -> None:
    await followed.follower().follow_once()
    seen = await followed.here.get(world.PENDING)
    assert seen is not None
    await followed.there.update(world.PENDING, {"notes": "Changed there"})

    with pytest.raises(VersionConflict) as refusal:
        await followed.here.update(world.PENDING, {"notes": "Ours"}, expected_version=seen.version)

    assert refusal.value.home_visit.notes == "Changed there"
    there = await followed.there.get(world.PENDING)
    assert there is not None
    assert there.notes == "Changed there"


async def test_the_same_key_books_once(followed: Followed) -> None:
    first = await followed.here.book(BOOKING, idempotency_key="k")
    again = await followed.here.book(BOOKING, idempotency_key="k")

    assert (again.id, booked_there(followed)) == (first.id, 1)
    with pytest.raises(IdempotencyConflict):
        await followed.here.book(BOOKING, idempotency_key="k", suppress_confirmation=True)


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.HALF, Fault.FAIL_AFTER])
async def test_an_answer_that_is_lost_is_looked_for(followed: Followed, fault: Fault) -> None:
    await followed.follower().follow_once()
    followed.proxy.faults = [fault]

    visit = await followed.here.book(BOOKING)

    assert booked_there(followed) == 1
    assert events(followed, visit.id) == [("BOOKED", "everybody")]


async def test_a_booking_in_doubt_is_settled_by_its_key_and_never_sent_twice(followed: Followed) -> None:
    await followed.follower().follow_once()
    followed.proxy.faults = [Fault.CUT_AFTER, Fault.FAIL]
    with pytest.raises(UpstreamInDoubt):
        await followed.here.book(BOOKING, idempotency_key="k")

    visit = await followed.here.book(BOOKING, idempotency_key="k")

    assert booked_there(followed) == 1
    assert await followed.there.get(visit.id) is not None
    assert [request for request in followed.proxy.passed if request[0] == "PUT"] == [("PUT", "/v1/home-visits")]


async def test_a_booking_that_may_still_arrive_is_not_sent_again_before_it_cannot(followed: Followed) -> None:
    await followed.follower().follow_once()
    followed.proxy.faults = [Fault.CUT_BEFORE]
    for _ in range(2):
        with pytest.raises(UpstreamInDoubt):
            await followed.here.book(BOOKING, idempotency_key="k")
    assert booked_there(followed) == 0
    followed.clock.added = timedelta(minutes=12)

    await followed.here.book(BOOKING, idempotency_key="k")

    assert booked_there(followed) == 1


async def test_nothing_is_written_where_the_account_cannot_be_reached(followed: Followed) -> None:
    await followed.follower().follow_once()
    before = inspect(path_of(followed.database)).everything()
    followed.proxy.faults = [Fault.THROTTLE]

    with pytest.raises(UpstreamUnavailable):
        await followed.here.book(BOOKING, idempotency_key="k")

    assert inspect(path_of(followed.database)).everything() == before
    await followed.here.book(BOOKING, idempotency_key="k")


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.HALF, Fault.FAIL_AFTER])
async def test_a_change_whose_answer_is_lost_is_seen_in_the_visit(followed: Followed, fault: Fault) -> None:
    await followed.follower().follow_once()
    for change in ("update", "complete"):
        followed.proxy.faults = [fault]
        if change == "update":
            await followed.here.update(world.PENDING, {"notes": "Ours", "assigned_to": world.BEN})
        else:
            await followed.here.complete(world.PENDING)

    there, here = await followed.there.get(world.PENDING), await followed.here.get(world.PENDING)
    assert there is not None
    assert here is not None
    assert (there.notes, there.status) == (here.notes, here.status) == ("Ours", HomeVisitStatus.COMPLETED)
    assert events(followed, world.PENDING)[-2:] == [("UPDATED", "everybody"), ("COMPLETED", "everybody")]


async def test_an_enquiry_that_is_new_there_can_be_booked_for_at_once(followed: Followed) -> None:
    visit = await followed.here.book(BOOKING)

    assert visit.location == world.WILLOWS
    assert ("GET", f"/v1/care-enquiries/{world.FOR_WILLOWS}") in followed.proxy.requests


async def test_what_is_wiped_there_is_wiped_here_with_all_that_tells_of_it(followed: Followed) -> None:
    follower = followed.follower()
    await follower.follow_once()
    visit = await followed.here.book(BOOKING, idempotency_key="zebrafish")
    started = followed.clock()
    intents = [
        Intent(id="a", subject="x", key="zebrafish", home_visit=visit.id, started=started - timedelta(hours=1)),
        Intent(id="b", subject="y", key="zebrafish", care_enquiry=world.FOR_WILLOWS, started=started - timedelta(hours=1)),
    ]
    await followed.database.write(lambda session: session.add_all(intents))
    await erase(followed.gateway.database, Person(frozenset({world.FOR_WILLOWS}), frozenset()), followed.clock)

    await follower.follow_once()
    at_once = inspect(path_of(followed.database)).everything()
    followed.clock.added = timedelta(hours=25)
    await follower.follow_once()

    assert "Élan" not in repr(at_once)
    assert (at_once["idempotency_keys"], [row[0] for row in at_once["carehq_intents"]]) == ([], [])
    kept = inspect(path_of(followed.database)).everything()
    assert "zebrafish" not in repr(kept)
    assert "Wilma" not in repr(kept["care_enquiries"])


async def test_a_fingerprint_is_kept_only_where_a_key_is_compared_by_it(followed: Followed) -> None:
    await followed.follower().follow_once()

    for key in (None, "k"):
        followed.proxy.faults = [Fault.CUT_BEFORE]
        with pytest.raises(UpstreamInDoubt):
            await followed.here.book(BOOKING, idempotency_key=key)

    rows = inspect(path_of(followed.database)).query("SELECT key, fingerprint IS NULL FROM carehq_intents")
    assert [(key, bool(is_without)) for key, is_without in rows] == [("k", False)]
