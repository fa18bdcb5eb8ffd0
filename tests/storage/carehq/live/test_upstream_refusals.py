"""What an account refuses, or answers that is no answer, is told as what it means; nothing wrong of it is ever stored."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from storage.carehq.live.writing import LiveHomeVisits
from storage.errors import (
    HomeVisitNotFound,
    HomeVisitNotPending,
    InvalidInput,
    NotHere,
    Problem,
    Refusal,
    UpstreamInDoubt,
    UpstreamUnavailable,
    VersionConflict,
)
from storage.lifecycle import BookingInput
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitStatus, VisitHost, VisitType
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.rewriting import Rewriting

TIME = datetime(2031, 3, 3, 14, 30, tzinfo=UTC)
BOOKING = BookingInput(
    care_enquiry=world.FOR_WILLOWS, date_time=TIME, visit_type=VisitType.IN_PERSON, host=VisitHost.MANAGER, notes="Élan & co."
)
OTHER = world.VISIT_IDS[3]
SECRET = "the-key-is-k3y"  # noqa: S105 - of nothing

Change = Callable[[LiveHomeVisits], Awaitable[HomeVisit]]
CHANGES: dict[str, Change] = {
    "book": lambda here: here.book(BOOKING, idempotency_key="k"),
    "update": lambda here: here.update(world.PENDING, {"notes": "New", "date_time": TIME}),
    "cancel": lambda here: here.cancel(world.PENDING),
    "complete": lambda here: here.complete(world.PENDING),
}
EVERY = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@pytest.fixture
async def account(rewritten: Followed) -> tuple[Followed, Rewriting]:
    """Return what follows an account that a test answers for, and that."""
    assert isinstance(rewritten.proxy, Rewriting)
    return rewritten, rewritten.proxy


def everything(followed: Followed) -> dict[str, list[Any]]:
    return inspect(path_of(followed.database)).everything()


async def refusal(change: Change, here: LiveHomeVisits) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await change(here)
    return refused.value


@EVERY
@pytest.mark.parametrize("status", [401, 403, 405])
async def test_what_is_wrong_with_our_key_is_told_to_nobody(
    account: tuple[Followed, Rewriting], change: Change, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    followed, proxy = account
    before = everything(followed)
    proxy.refuse(status, {"hint": SECRET, "arg_errors": {SECRET: [SECRET]}})

    refused = await refusal(change, followed.here)

    assert isinstance(refused, UpstreamUnavailable)
    assert str(refused) == "CareHQ cannot be used for now: it refuses the key of this gateway."
    assert SECRET in caplog.text
    assert everything(followed) == before


@EVERY
async def test_what_cannot_be_is_told_in_its_own_words(account: tuple[Followed, Rewriting], change: Change) -> None:
    followed, proxy = account
    before = everything(followed)
    proxy.refuse(400, {"hint": "Not on a Sunday.", "arg_errors": None})

    refused = await refusal(change, followed.here)

    assert (type(refused), str(refused)) == (NotHere, "CareHQ refuses this: Not on a Sunday.")
    assert everything(followed) == before


@pytest.mark.parametrize("change", [CHANGES["book"], CHANGES["update"]])
async def test_what_is_wrong_with_a_value_is_told_of_that(account: tuple[Followed, Rewriting], change: Change) -> None:
    followed, proxy = account
    errors = {"date_time": ["Too late.", "Too far."], "mystery_field": ["?"], "<b>": ["odd"], "host": [], "notes": ["x" * 5_000]}
    proxy.refuse(400, {"hint": "Invalid.", "arg_errors": errors})

    refused = await refusal(change, followed.here)

    assert isinstance(refused, InvalidInput)
    assert refused.problems == (
        Problem("date_time", "INVALID", "Too late."),
        Problem("date_time", "INVALID", "Too far."),
        Problem("mystery_field", "INVALID", "?"),
        Problem("", "INVALID", "odd"),
        Problem("host", "INVALID", "CareHQ refuses this value."),
        Problem("notes", "INVALID", "x" * 500 + "…"),
    )


@pytest.mark.parametrize("change", [CHANGES["cancel"], CHANGES["complete"]])
async def test_of_a_change_without_values_no_value_is_wrong(account: tuple[Followed, Rewriting], change: Change) -> None:
    followed, proxy = account
    proxy.refuse(400, {"hint": "Invalid.", "arg_errors": {"reason": ["Required."]}})

    refused = await refusal(change, followed.here)

    assert (type(refused), str(refused)) == (NotHere, "CareHQ refuses this: Invalid. Required.")


@pytest.mark.parametrize("name", ["update", "cancel", "complete"])
async def test_what_the_account_has_no_more_is_not_found_and_stays_here(account: tuple[Followed, Rewriting], name: str) -> None:
    followed, proxy = account
    before = everything(followed)
    proxy.refuse(404, {"hint": "No such visit."})

    refused = await refusal(CHANGES[name], followed.here)

    assert isinstance(refused, HomeVisitNotFound)
    assert everything(followed) == before


@pytest.mark.parametrize("name", ["update", "cancel", "complete"])
async def test_what_the_account_completed_itself_is_told_and_stored(account: tuple[Followed, Rewriting], name: str) -> None:
    followed, proxy = account
    await followed.there.complete(world.PENDING)

    refused = await refusal(CHANGES[name], followed.here)

    assert isinstance(refused, HomeVisitNotPending)
    assert refused.home_visit.status is HomeVisitStatus.COMPLETED
    here = await followed.here.get(world.PENDING)
    assert here is not None
    assert here.status is HomeVisitStatus.COMPLETED
    assert len(proxy.sent("PATCH")) == 1


@pytest.mark.parametrize("name", ["update", "cancel", "complete"])
async def test_nobody_is_told_of_what_went_where_they_may_not_look(account: tuple[Followed, Rewriting], name: str) -> None:
    followed, proxy = account
    caller = world.limited_to(world.WILLOWS)
    here = LiveHomeVisits(followed.link, followed.database, caller, followed.clock)
    await followed.there.complete(world.PENDING)
    original = proxy._pass_on

    async def moved(request: web.Request) -> web.Response:
        response = await original(request)
        assert isinstance(response.body, bytes)
        return web.Response(body=response.body.replace(world.WILLOWS.encode(), world.BEECHES.encode()), status=response.status)

    proxy._pass_on = moved  # type: ignore[method-assign]  # the account has moved it

    assert isinstance(await refusal(CHANGES[name], here), HomeVisitNotFound)
    assert isinstance(
        await refusal(lambda visits: visits.cancel(world.VISIT_IDS[6], expected_version=1), here), HomeVisitNotFound
    )


@EVERY
@pytest.mark.parametrize("status", [408, 418, 500, 503])
async def test_of_any_other_answer_nobody_can_say_what_it_means(
    account: tuple[Followed, Rewriting], change: Change, status: int
) -> None:
    followed, proxy = account
    proxy.refuse(status, {"hint": "?"})

    assert isinstance(await refusal(change, followed.here), UpstreamInDoubt)


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

    assert (booked.notes, booked.service_user_contact, booked.assigned_to) == ("Ours", world.DAUGHTER, world.BEN)
    for visit in (updated, cancelled):
        assert (visit.notes, visit.service_user_contact, visit.assigned_to) == ("Newer", world.DAUGHTER, world.ANNA)


LONG_AGO = TIME.replace(year=1800)
SCOPED = world.limited_to(world.BEECHES)
OURS: dict[str, Change] = {
    "year": lambda here: here.book(BookingInput(world.FOR_WILLOWS, LONG_AGO, VisitHost.NURSE, VisitType.VIRTUAL)),
    "year and unknown": lambda here: here.book(BookingInput("e" * 24, LONG_AGO, VisitHost.NURSE, VisitType.VIRTUAL)),
    "no ID": lambda here: here.book(BookingInput("../users?", TIME, VisitHost.NURSE, VisitType.VIRTUAL)),
    "surrogate": lambda here: here.book(BookingInput("\ud800", TIME, VisitHost.NURSE, VisitType.VIRTUAL)),
    "anonymized enquiry": lambda here: here.book(
        BookingInput(world.ANONYMIZED_ENQUIRY, TIME, VisitHost.NURSE, VisitType.VIRTUAL)
    ),
    "another's contact": lambda here: here.book(
        BookingInput(world.FOR_WILLOWS, TIME, VisitHost.NURSE, VisitType.VIRTUAL, service_user_contact=world.SON)
    ),
    "long notes": lambda here: here.book(
        BookingInput(world.FOR_WILLOWS, TIME, VisitHost.NURSE, VisitType.VIRTUAL, notes="x" * 10_001)
    ),
    "long key": lambda here: here.book(BOOKING, idempotency_key="k" * 256),
    "no time": lambda here: here.update(world.PENDING, {"date_time": None}),
    "no host": lambda here: here.update(world.PENDING, {"host": None}),
    "long new notes": lambda here: here.update(world.PENDING, {"notes": "x" * 10_001}),
    "no user's ID": lambda here: here.update(world.PENDING, {"assigned_to": "x"}),
    "cancelled": lambda here: here.update(world.CANCELLED, {"notes": "x"}),
    "completed": lambda here: here.complete(world.COMPLETED),
    "unknown visit": lambda here: here.cancel(world.UNKNOWN),
    "no visit's ID": lambda here: here.cancel("../users"),
    "version": lambda here: here.cancel(world.PENDING, expected_version=7),
    "letter": lambda here: here.cancel(world.PENDING, notify_care_seeker=True),
}
OUT_OF_SIGHT: dict[str, Change] = {
    "enquiry": CHANGES["book"],
    "update": CHANGES["update"],
    "cancel": CHANGES["cancel"],
    "complete": CHANGES["complete"],
    "user": lambda here: here.update(world.VISIT_IDS[6], {"assigned_to": world.ANNA}),
}


@pytest.mark.parametrize("change", OURS.values(), ids=OURS)
async def test_what_our_rules_refuse_is_asked_of_nobody(account: tuple[Followed, Rewriting], change: Change) -> None:
    followed, proxy = account
    before = everything(followed)

    await refusal(change, followed.here)

    assert proxy.sent() == []
    assert everything(followed) == before


@pytest.mark.parametrize("change", OUT_OF_SIGHT.values(), ids=OUT_OF_SIGHT)
async def test_what_is_out_of_sight_is_asked_of_nobody(account: tuple[Followed, Rewriting], change: Change) -> None:
    followed, proxy = account

    refused = await refusal(change, LiveHomeVisits(followed.link, followed.database, SCOPED, followed.clock))

    assert isinstance(refused, HomeVisitNotFound | InvalidInput)
    assert proxy.sent() == []


@pytest.mark.parametrize("status", [401, 404, 429, 500])
async def test_who_is_new_there_and_cannot_be_had_is_unknown_or_unavailable(
    account: tuple[Followed, Rewriting], status: int
) -> None:
    followed, proxy = account

    async def before(request: web.Request) -> web.StreamResponse | None:
        return web.json_response({"hint": "?"}, status=status) if "care-enquiries" in request.path else None

    proxy.before = before

    refused = await refusal(
        lambda here: here.book(BookingInput("e" * 24, TIME, VisitHost.NURSE, VisitType.VIRTUAL)), followed.here
    )

    assert isinstance(refused, InvalidInput if status == 404 else UpstreamUnavailable)
    assert proxy.sent("PUT") == []


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
