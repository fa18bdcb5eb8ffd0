"""Changes that are under way: who leaves, what stops, what others do meanwhile."""

import asyncio

import pytest
from aiohttp import web

from storage import writes
from storage.carehq.live import exchange
from storage.carehq.live.link import Link
from storage.carehq.live.writing import LiveHomeVisits
from storage.errors import HomeVisitNotPending, NonceUsed, UpstreamInDoubt, UpstreamUnavailable
from storage.models import HomeVisitStatus
from storage.nonces import Nonce
from storage.writes import Stage, WriteState
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.beside import BOOKING, Barrier, count, elsewhere, events
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.rewriting import Rewriting

__all__ = ["elsewhere"]


async def test_a_caller_who_leaves_before_the_account_is_asked_takes_it_back(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    before = inspect(path_of(followed.database)).everything()
    state = WriteState("everybody")
    here = LiveHomeVisits(followed.link, followed.database, world.EVERYBODY, followed.clock, state)

    booking = asyncio.ensure_future(here.book(BOOKING, idempotency_key="k"))
    await asyncio.sleep(0)
    booking.cancel()
    await asyncio.gather(booking, return_exceptions=True)
    await followed.link.finish()

    assert state.stage is Stage.NOT_BEGUN
    assert proxy.sent() == []
    assert inspect(path_of(followed.database)).everything() == before


async def test_a_caller_who_leaves_while_the_account_is_asked_is_told_the_truth(
    account: tuple[Followed, Rewriting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "END_SECONDS", 0.05)
    followed, proxy = account
    barrier, state = Barrier(proxy), WriteState("everybody")
    here = LiveHomeVisits(followed.link, followed.database, world.EVERYBODY, followed.clock, state)
    booking = asyncio.ensure_future(here.book(BOOKING, idempotency_key="k"))
    await barrier.arrived.wait()

    booking.cancel()
    await asyncio.gather(booking, return_exceptions=True)
    left_at = state.stage
    barrier.go_on.set()
    await followed.link.finish()

    assert (left_at, state.stage) == (Stage.BEGUN, Stage.COMMITTED)
    visit = await followed.here.book(BOOKING, idempotency_key="k")
    assert events(followed, visit.id) == [("BOOKED", "everybody")]
    assert len(proxy.sent("PUT")) == 1


async def test_a_server_that_stops_cuts_off_what_takes_too_long_and_its_key_tells(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    barrier = Barrier(proxy)
    booking = asyncio.ensure_future(followed.here.book(BOOKING, idempotency_key="k"))
    await barrier.arrived.wait()

    await followed.link.finish(0.05)
    await asyncio.gather(booking, return_exceptions=True)
    barrier.go_on.set()
    await asyncio.sleep(0.2)

    assert count(followed.database, "carehq_intents") == 1
    with pytest.raises(UpstreamInDoubt):
        await followed.here.book(BOOKING, idempotency_key="k")
    assert len(proxy.sent("PUT")) == 1


async def test_more_changes_than_may_be_under_way_are_refused_unasked(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    link = Link(followed.database, followed.carehq, followed.clock, most_under_way=1)
    here = LiveHomeVisits(link, followed.database, world.EVERYBODY, followed.clock)
    barrier = Barrier(proxy)
    booking = asyncio.ensure_future(here.book(BOOKING))
    await barrier.arrived.wait()

    with pytest.raises(UpstreamUnavailable, match="too many changes wait for it"):
        await here.cancel(world.PENDING)

    barrier.go_on.set()
    await booking
    assert len(proxy.sent("PUT", "PATCH")) == 1


async def test_no_transaction_is_open_while_the_account_is_asked(
    account: tuple[Followed, Rewriting], elsewhere: LiveHomeVisits
) -> None:
    followed, proxy = account
    barrier = Barrier(proxy)
    changes = [
        asyncio.ensure_future(change)
        for change in (followed.here.book(BOOKING), followed.here.cancel(world.PENDING), followed.here.book(BOOKING))
    ]
    await barrier.arrived.wait()
    while len(proxy.sent("PUT", "PATCH")) < 3:  # noqa: ASYNC110 - the proxy counts
        await asyncio.sleep(0.01)

    for database in (followed.database, elsewhere._database):
        await database.write(lambda session: session.connection().exec_driver_sql("UPDATE home_visits SET version = version"))
    assert not barrier.go_on.is_set()

    barrier.go_on.set()
    await asyncio.gather(*changes)


def hold_answers(proxy: Rewriting) -> tuple[asyncio.Event, asyncio.Event]:
    """Hold the answer to the next change: the account has done it once the first event is set, and waits for the second."""
    done, go_on = asyncio.Event(), asyncio.Event()

    async def before(request: web.Request) -> web.StreamResponse | None:
        if request.method == "GET":
            return None
        del proxy.before
        answer = await proxy.pass_on(request)
        done.set()
        await asyncio.wait_for(go_on.wait(), 30)
        return answer

    proxy.before = before
    return done, go_on


async def test_a_change_waits_until_what_came_of_the_last_one_is_stored(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    done, go_on = hold_answers(proxy)
    first = asyncio.ensure_future(followed.here.update(world.PENDING, {"notes": "First"}))
    await done.wait()

    second = asyncio.ensure_future(followed.here.update(world.PENDING, {"notes": "Second"}))
    await asyncio.sleep(0.5)
    assert len(proxy.sent("PATCH")) == 1
    go_on.set()
    await asyncio.gather(first, second)

    here, there = await followed.here.get(world.PENDING), await followed.there.get(world.PENDING)
    assert here is not None
    assert there is not None
    assert here.notes == there.notes == "Second"
    assert events(followed, world.PENDING) == [("UPDATED", "everybody")] * 2


async def test_what_somebody_else_has_ended_is_stored_by_them(
    account: tuple[Followed, Rewriting], elsewhere: LiveHomeVisits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "WAIT_SECONDS", 0.1)
    followed, proxy = account
    done, go_on = hold_answers(proxy)
    first = asyncio.ensure_future(followed.here.cancel(world.PENDING))
    await done.wait()

    async def before(request: web.Request) -> None:
        if request.method == "PATCH":
            monkeypatch.setattr(exchange, "WAIT_SECONDS", 30.0)
            asyncio.get_running_loop().call_later(0.3, go_on.set)

    proxy.before = before

    with pytest.raises(HomeVisitNotPending):
        await elsewhere.complete(world.PENDING)

    await first
    assert events(followed, world.PENDING) == [("CANCELLED", "everybody")]


async def test_one_of_two_who_end_a_visit_wins(account: tuple[Followed, Rewriting], elsewhere: LiveHomeVisits) -> None:
    followed, _ = account

    ended = await asyncio.gather(followed.here.cancel(world.PENDING), elsewhere.complete(world.PENDING), return_exceptions=True)

    refused = [refusal for refusal in ended if isinstance(refusal, Exception)]
    assert [type(refusal).__name__ for refusal in refused] == ["HomeVisitNotPending"]
    here, there = await followed.here.get(world.PENDING), await followed.there.get(world.PENDING)
    assert here is not None
    assert there is not None
    assert here.status is there.status is not HomeVisitStatus.PENDING
    assert len(events(followed, world.PENDING)) == 1


@pytest.mark.parametrize("change", ["book", "same", "refused", "empty"])
async def test_a_signature_is_good_for_one_request_whatever_becomes_of_it(
    account: tuple[Followed, Rewriting], change: str
) -> None:
    followed, proxy = account
    first = await followed.here.book(BOOKING, idempotency_key="k")
    nonce = Nonce("key", "nonce")
    if change == "refused":
        proxy.refuse(400, {"hint": "Not today."})

    async def once() -> None:
        here = LiveHomeVisits(followed.link, followed.database, world.EVERYBODY, followed.clock, None, nonce)
        if change == "empty":
            await here.update(first.id, {})
        else:
            await here.book(BOOKING, idempotency_key="k" if change == "same" else None)

    await asyncio.gather(once(), return_exceptions=True)
    sent = len(proxy.sent("PUT"))
    with pytest.raises(NonceUsed):
        await once()

    assert len(proxy.sent("PUT")) == sent
