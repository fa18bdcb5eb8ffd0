"""Changes that are under way: who leaves, what stops, what others do meanwhile."""

import asyncio

import pytest

from storage import writes
from storage.carehq.live.link import Link
from storage.carehq.live.writing import LiveHomeVisits
from storage.errors import NonceUsed, UpstreamInDoubt, UpstreamUnavailable
from storage.models import HomeVisitStatus
from storage.nonces import Nonce
from storage.writes import Stage, WriteState
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.beside import BOOKING, Held, count, elsewhere, events
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
    held, state = Held(proxy), WriteState("everybody")
    here = LiveHomeVisits(followed.link, followed.database, world.EVERYBODY, followed.clock, state)
    booking = asyncio.ensure_future(here.book(BOOKING, idempotency_key="k"))
    await held.arrived.wait()

    booking.cancel()
    await asyncio.gather(booking, return_exceptions=True)
    left_at = state.stage
    held.go_on.set()
    await followed.link.finish()

    assert (left_at, state.stage) == (Stage.BEGUN, Stage.COMMITTED)
    visit = await followed.here.book(BOOKING, idempotency_key="k")
    assert events(followed, visit.id) == [("BOOKED", "everybody")]
    assert len(proxy.sent("PUT")) == 1


async def test_a_server_that_stops_cuts_off_what_takes_too_long_and_its_key_tells(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    held = Held(proxy)
    booking = asyncio.ensure_future(followed.here.book(BOOKING, idempotency_key="k"))
    await held.arrived.wait()

    await followed.link.finish(0.05)
    await asyncio.gather(booking, return_exceptions=True)
    held.go_on.set()
    await asyncio.sleep(0.2)

    assert count(followed.database, "carehq_intents") == 1
    with pytest.raises(UpstreamInDoubt):
        await followed.here.book(BOOKING, idempotency_key="k")
    assert len(proxy.sent("PUT")) == 1


async def test_more_changes_than_may_be_under_way_are_refused_unasked(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
    link = Link(followed.database, followed.carehq, followed.clock, most_under_way=1)
    here = LiveHomeVisits(link, followed.database, world.EVERYBODY, followed.clock)
    held = Held(proxy)
    booking = asyncio.ensure_future(here.book(BOOKING))
    await held.arrived.wait()

    with pytest.raises(UpstreamUnavailable, match="too many changes wait for it"):
        await here.cancel(world.PENDING)

    held.go_on.set()
    await booking
    assert len(proxy.sent("PUT", "PATCH")) == 1


async def test_no_transaction_is_open_while_the_account_is_asked(
    account: tuple[Followed, Rewriting], elsewhere: LiveHomeVisits
) -> None:
    followed, proxy = account
    held = Held(proxy)
    changes = [
        asyncio.ensure_future(change)
        for change in (followed.here.book(BOOKING), followed.here.cancel(world.PENDING), followed.here.book(BOOKING))
    ]
    await held.arrived.wait()
    while len(proxy.sent("PUT", "PATCH")) < 3:  # noqa: ASYNC110 - the proxy counts
        await asyncio.sleep(0.01)

    for database in (followed.database, elsewhere._database):
        await database.write(lambda session: session.connection().exec_driver_sql("UPDATE home_visits SET version = version"))
    assert not held.go_on.is_set()

    held.go_on.set()
    await asyncio.gather(*changes)


async def test_changes_of_one_visit_are_stored_in_the_order_of_the_account(account: tuple[Followed, Rewriting]) -> None:
    followed, _ = account

    notes = [f"Notes {n}" for n in range(8)]
    await asyncio.gather(*(followed.here.update(world.PENDING, {"notes": text}) for text in notes))

    here, there = await followed.here.get(world.PENDING), await followed.there.get(world.PENDING)
    assert here is not None
    assert there is not None
    assert here.notes == there.notes
    assert events(followed, world.PENDING) == [("UPDATED", "everybody")] * 8


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
