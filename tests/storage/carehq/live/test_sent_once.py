"""Nothing is sent twice to an account, and nothing that it has taken is lost, whoever asks for the same at the same time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from storage import writes
from storage.carehq.live import exchange
from storage.carehq.live.link import Link
from storage.carehq.live.writing import LiveHomeVisits
from storage.database import Database
from storage.errors import IdempotencyConflict, InvalidInput, NonceUsed, UpstreamInDoubt, UpstreamUnavailable
from storage.lifecycle import BookingInput
from storage.models import HomeVisitStatus, VisitHost, VisitType
from storage.nonces import Nonce
from storage.writes import Stage, WriteState
from tests import world
from tests.databases import database_at, path_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.rewriting import Rewriting

TIME = datetime(2031, 3, 3, 14, 30, tzinfo=UTC)
BOOKING = BookingInput(
    care_enquiry=world.FOR_WILLOWS, date_time=TIME, visit_type=VisitType.IN_PERSON, host=VisitHost.MANAGER, notes="Élan & co."
)


@pytest.fixture
async def account(rewritten: Followed) -> tuple[Followed, Rewriting]:
    """Return what follows an account that a test answers for, and that."""
    assert isinstance(rewritten.proxy, Rewriting)
    return rewritten, rewritten.proxy


@pytest.fixture
async def elsewhere(account: tuple[Followed, Rewriting], tmp_path: Path) -> AsyncIterator[LiveHomeVisits]:
    """Return the visits as another process has them."""
    followed, _ = account
    database = await database_at(path_of(followed.database)).open()
    yield visits(followed, database)
    await database.close()


def visits(followed: Followed, database: Database) -> LiveHomeVisits:
    return LiveHomeVisits(Link(database, followed.carehq, followed.clock), database, world.EVERYBODY, followed.clock)


def events(followed: Followed, id: str) -> list[tuple[str, str]]:
    """Return type and actor of each event of a visit here."""
    rows = inspect(path_of(followed.database)).query(
        f"SELECT type, actor FROM home_visit_events WHERE home_visit = '{id}' ORDER BY number"  # noqa: S608 - the test's own
    )
    return [(str(type), str(actor)) for type, actor in rows]


def count(database: Database, table: str) -> int:
    [(rows,)] = inspect(path_of(database)).query(f"SELECT count(*) FROM {table}")  # noqa: S608 - the test's own
    return int(rows)


class Held:
    """Holds changes before the account hears of them: `arrived` when there is one, until `go_on`; then `answer`, if any."""

    def __init__(self, proxy: Rewriting, answer: Callable[[web.Request], web.StreamResponse] | None = None) -> None:
        self.arrived, self.go_on = asyncio.Event(), asyncio.Event()
        self._answer = answer
        proxy.before = self._hold

    async def _hold(self, request: web.Request) -> web.StreamResponse | None:
        if request.method == "GET":
            return None
        self.arrived.set()
        await asyncio.wait_for(self.go_on.wait(), 30)
        return self._answer(request) if self._answer else None


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
    held = Held(proxy)
    booking = asyncio.ensure_future(followed.here.book(BOOKING, idempotency_key="k"))
    await held.arrived.wait()

    with pytest.raises(IdempotencyConflict):
        await followed.here.book(BOOKING, idempotency_key="k", suppress_confirmation=True)

    held.go_on.set()
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
        answer = await Rewriting.handle(proxy, request)
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


async def test_what_the_follower_has_stored_before_is_booked_by_its_key(account: tuple[Followed, Rewriting]) -> None:
    """As where the process was killed between the account's answer and storing it."""
    followed, proxy = account
    held = Held(proxy, proxy.cut)
    booking = asyncio.ensure_future(followed.here.book(BOOKING, idempotency_key="k", suppress_confirmation=True))
    await held.arrived.wait()
    there = await followed.there.book(BOOKING, suppress_confirmation=True)
    followed.clock.added = timedelta(minutes=1)
    await followed.follower().follow_once()
    assert events(followed, there.id) == [("IMPORTED", "import")]
    held.go_on.set()

    visit = await booking
    again = await followed.here.book(BOOKING, idempotency_key="k", suppress_confirmation=True)

    assert (visit.id, again.id) == (there.id, there.id)
    assert visit.confirmation == "SUPPRESSED"
    assert events(followed, there.id) == [("IMPORTED", "import"), ("BOOKED", "everybody")]
    assert len(proxy.sent("PUT")) == 1


async def test_what_was_changed_since_it_was_booked_is_not_booked_again(account: tuple[Followed, Rewriting]) -> None:
    followed, proxy = account
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
    await asyncio.sleep(1.1)  # the account shows whole seconds
    await followed.there.update(id, {"date_time": TIME + timedelta(days=1)})
    followed.clock.added = timedelta(minutes=7)

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
