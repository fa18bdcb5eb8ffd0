"""What an account, or what our own rules, refuse is told as what it means, and changes nothing."""

import pytest
from aiohttp import web

from storage.carehq.live.writing import LiveHomeVisits
from storage.errors import (
    HomeVisitNotFound,
    HomeVisitNotPending,
    InvalidInput,
    NotHere,
    Problem,
    UpstreamInDoubt,
    UpstreamUnavailable,
)
from storage.lifecycle import BookingInput
from storage.models import HomeVisitStatus, VisitHost, VisitType
from tests import world
from tests.storage.carehq.live.changes import BOOKING, CHANGES, EVERY, SECRET, TIME, Change, everything, refusal
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.rewriting import Rewriting


@EVERY
async def test_what_is_wrong_with_our_key_is_told_to_nobody(
    account: tuple[Followed, Rewriting], change: Change, caplog: pytest.LogCaptureFixture
) -> None:
    followed, proxy = account
    before = everything(followed)
    for status in (401, 403, 405):
        proxy.refuse(status, {"hint": SECRET, "arg_errors": {SECRET: [SECRET]}})

        refused = await refusal(change, followed.here)

        assert isinstance(refused, UpstreamUnavailable)
        reason = "it refuses the key of this gateway"
        assert str(refused) == f"CareHQ cannot be used for now: {reason}. Try again later."
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
@pytest.mark.parametrize("status", [408, 503])
async def test_of_any_other_answer_nobody_can_say_what_it_means(
    account: tuple[Followed, Rewriting], change: Change, status: int
) -> None:
    followed, proxy = account
    proxy.refuse(status, {"hint": "?"})

    assert isinstance(await refusal(change, followed.here), UpstreamInDoubt)


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
