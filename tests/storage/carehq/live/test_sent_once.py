"""Nothing is sent twice to an account, and nothing that it has taken is lost, whoever asks for the same at the same time."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web

from storage import lifecycle
from storage.carehq.live import exchange
from storage.carehq.live.intents import Intent
from storage.carehq.live.writing import LiveHomeVisits
from storage.errors import IdempotencyConflict, InvalidInput, UpstreamInDoubt
from storage.models import HomeVisit
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.beside import BOOKING, TIME, Barrier, count, elsewhere, events
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.rewriting import Rewriting
from tests.storage.carehq.live.test_following import documents

__all__ = ["elsewhere"]


async def test_twenty_requests_with_one_key_are_one_booking(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    before = count(followed.gateway.database, "home_visits")

    booked = await asyncio.gather(*(followed.here.book(BOOKING, idempotency_key="k") for _ in range(20)))

    assert len({visit.id for visit in booked}) == 1
    assert proxy.sent("PUT") == [("PUT", "/v1/home-visits")]
    assert count(followed.gateway.database, "home_visits") == before + 1
    assert events(followed, booked[0].id) == [("BOOKED", "everybody")]
    assert count(followed.database, "carehq_intents") == 0


async def test_two_processes_with_one_key_are_one_booking(account: tuple[Followed, Rewriting], elsewhere: LiveHomeVisits) -> None:
    followed, proxy = account

    booked = await asyncio.gather(
        *(here.book(BOOKING, idempotency_key="k") for _ in range(5) for here in (followed.here, elsewhere))
    )

    assert len({visit.id for visit in booked}) == 1
    assert proxy.sent("PUT") == [("PUT", "/v1/home-visits")]
    assert events(followed, booked[0].id) == [("BOOKED", "everybody")]


async def test_a_key_that_is_under_way_is_refused_for_another_booking(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    barrier = Barrier(proxy)
    booking = asyncio.ensure_future(followed.here.book(BOOKING, idempotency_key="k"))
    await barrier.arrived.wait()

    with pytest.raises(IdempotencyConflict):
        await followed.here.book(BOOKING, idempotency_key="k", suppress_confirmation=True)

    barrier.go_on.set()
    await booking
    assert len(proxy.sent("PUT")) == 1


async def test_a_key_whose_first_request_was_refused_is_sent_again(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    proxy.refuse(400, {"hint": "No.", "arg_errors": {"notes": ["Too rude."]}})
    with pytest.raises(InvalidInput):
        await followed.here.book(BOOKING, idempotency_key="k")
    del proxy.before

    visit = await followed.here.book(BOOKING, idempotency_key="k")

    assert len(proxy.sent("PUT")) == 2
    assert events(followed, visit.id) == [("BOOKED", "everybody")]


@pytest.mark.parametrize("is_answered", [True, False])
async def test_of_two_bookings_alike_none_takes_the_visit_of_the_other(
    account: tuple[Followed, Rewriting], is_answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is taken, and its answer is late; the second never arrives, and the first's is the only one there is."""
    monkeypatch.setattr(exchange, "WAIT_SECONDS", 0.3)
    followed, proxy = account
    taken, go_on = asyncio.Event(), asyncio.Event()

    async def before(request: web.Request) -> web.StreamResponse | None:
        if request.method == "GET":
            return None
        if taken.is_set():
            return proxy.cut(request)
        del proxy.before
        answer = await proxy.pass_on(request)
        proxy.before = before
        taken.set()
        await asyncio.wait_for(go_on.wait(), 30)
        return answer

    proxy.before = before
    first = asyncio.ensure_future(followed.here.book(BOOKING))
    await taken.wait()
    if is_answered:
        asyncio.get_running_loop().call_later(0.1, go_on.set)

    with pytest.raises(UpstreamInDoubt):
        await followed.here.book(BOOKING)

    go_on.set()
    visit = await first
    assert events(followed, visit.id) == [("BOOKED", "everybody")]


async def test_of_two_keys_in_doubt_one_gets_the_visit_that_there_is(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    there = await followed.there.book(BOOKING)
    fingerprint = lifecycle.fingerprint(BOOKING.values() | {"suppress_confirmation": False})
    started = followed.clock() - timedelta(minutes=2)
    intents = [
        Intent(id=key, subject="everybody", key=key, fingerprint=fingerprint, care_enquiry=world.FOR_WILLOWS, started=started)
        for key in ("a", "b")
    ]
    await followed.database.write(lambda session: session.add_all(intents))
    both = asyncio.Event()

    async def before(_request: web.Request) -> None:
        if len(proxy.sent("GET")) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 30)

    proxy.before = before

    booked = await asyncio.gather(
        *(followed.here.book(BOOKING, idempotency_key=key) for key in ("a", "b")), return_exceptions=True
    )

    assert [visit.id for visit in booked if isinstance(visit, HomeVisit)] == [there.id]
    assert [type(refusal) for refusal in booked if isinstance(refusal, Exception)] == [UpstreamInDoubt]
    assert proxy.sent("PUT") == []


async def test_what_the_follower_has_stored_before_is_booked_by_its_key(account: tuple[Followed, Rewriting]) -> None:
    """As where the process was killed between the account's answer and storing it."""
    followed, proxy = account
    barrier = Barrier(proxy, proxy.cut)
    booking = asyncio.ensure_future(followed.here.book(BOOKING, idempotency_key="k", suppress_confirmation=True))
    await barrier.arrived.wait()
    there = await followed.there.book(BOOKING, suppress_confirmation=True)
    followed.clock.added = timedelta(minutes=1)
    await followed.follower().follow_once()
    assert events(followed, there.id) == [("IMPORTED", "import")]
    barrier.go_on.set()

    visit = await booking
    again = await followed.here.book(BOOKING, idempotency_key="k", suppress_confirmation=True)

    assert (visit.id, again.id) == (there.id, there.id)
    assert visit.confirmation == "SUPPRESSED"
    assert events(followed, there.id) == [("IMPORTED", "import"), ("BOOKED", "everybody")]
    assert len(proxy.sent("PUT")) == 1


@pytest.mark.parametrize("is_changed_here", [False, True])
async def test_what_was_changed_since_it_was_booked_is_not_booked_again(
    account: tuple[Followed, Rewriting], is_changed_here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account shows whole seconds: that it was changed in the same one is known from here alone."""
    followed, proxy = account
    if is_changed_here:
        now = followed.clock()
        monkeypatch.setattr("resolvers.operations.clock", lambda: now)
    failed = False

    async def before(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=502) if failed and request.method == "GET" else None

    def lose(document: object) -> object:
        nonlocal failed
        failed = True
        return {"lost": document}

    proxy.before, proxy.rewrite = before, lose
    with pytest.raises(UpstreamInDoubt):
        await followed.here.book(BOOKING, idempotency_key="k")
    failed = False
    [(id,)] = inspect(path_of(followed.gateway.database)).query("SELECT id FROM home_visits ORDER BY number DESC LIMIT 1")
    changes = {"date_time": TIME + timedelta(days=1)}
    if is_changed_here:
        followed.clock.added = timedelta(minutes=1)
        await followed.follower().follow_once()
        del proxy.rewrite
        await followed.here.update(id, changes)
        [shown] = [visit for visit in await documents(followed.gateway.database) if visit["_id"] == id]
        assert shown["modified"] == shown["created"]
    else:
        await asyncio.sleep(1.1)
        await followed.there.update(id, changes)
    followed.clock.added = timedelta(minutes=12)

    with pytest.raises(UpstreamInDoubt):
        await followed.here.book(BOOKING, idempotency_key="k")

    assert len(proxy.sent("PUT")) == 1


@pytest.mark.parametrize("added", [timedelta(hours=-1), timedelta(seconds=-2)])
async def test_a_clock_that_is_behind_settles_nothing(account: tuple[Followed, Rewriting], added: timedelta) -> None:
    followed, proxy = account
    proxy.refuse(503, {})
    with pytest.raises(UpstreamInDoubt):
        await followed.here.book(BOOKING, idempotency_key="k")
    del proxy.before
    followed.clock.added = added

    with pytest.raises(UpstreamInDoubt):
        await followed.here.book(BOOKING, idempotency_key="k")

    assert len(proxy.sent("PUT")) == 1


async def test_an_account_whose_clock_is_behind_is_looked_at_all_the_same(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    followed.clock.added = timedelta(minutes=4)
    proxy.rewrite = lambda document: {"lost": document}

    visit = await followed.here.book(BOOKING)

    assert events(followed, visit.id) == [("BOOKED", "everybody")]


async def test_what_was_taken_is_stored_where_what_it_refers_to_cannot_be_had(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    moved_to = "1" * 24

    async def before(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=502) if request.path.startswith("/v1/users") else None

    proxy.before, proxy.rewrite = before, lambda document: document | {"assigned_to": moved_to}

    visit = await followed.here.book(BOOKING)

    assert visit.assigned_to == moved_to
    assert events(followed, visit.id) == [("BOOKED", "everybody")]
