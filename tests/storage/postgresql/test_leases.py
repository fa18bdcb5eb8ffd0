"""Connections are shared out fairly: to callers in turn, and not for long while others wait."""

import asyncio
import os
import signal
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlmodel import Session, text

from storage.errors import DatabaseBusy
from storage.postgresql import leases
from storage.postgresql.database import PostgreSQLDatabase
from storage.queries.statements import Statement
from storage.writes import WriteState

SLEEP = Statement("SELECT nextval('runs'), pg_sleep($1::float)", ("seconds",))
RUNS = Statement("SELECT last_value FROM runs", ())
PID = Statement("SELECT pg_backend_pid()", ())
A_MOMENT, LONG, ENDLESS = 0.02, 0.3, 2.9


class Readers:
    """Callers of a database, who note in which order they were served, and what each was charged."""

    def __init__(self, url: str, size: int, wait_seconds: float) -> None:
        self.order: list[str] = []
        self.charged: dict[str, float] = defaultdict(float)
        self.overdrawn: set[str] = set()
        self.leaves: asyncio.Task[None] | None = None
        self.database = PostgreSQLDatabase(url, connections=size, wait_seconds=wait_seconds)
        self.database.accounts = self

    def charge_reading(self, subject: str, seconds: float) -> None:
        self.charged[subject] += seconds
        if self.leaves is not None:
            self.leaves.cancel()

    def is_overdrawn(self, subject: str) -> bool:
        return subject in self.overdrawn

    async def read(self, subject: str, seconds: float) -> None:
        await self.database.fetch(SLEEP, {"seconds": seconds}, subject)
        self.order.append(subject)

    def start(self, subject: str, seconds: float) -> "asyncio.Task[None]":
        return asyncio.create_task(self.read(subject, seconds))

    @property
    def are_unused(self) -> bool:
        lent = self.database._connections._leases
        return not (lent._running or lent._queues or lent._with_slot) and not self.database._connections._lent


OpenReaders = Callable[..., Awaitable[Readers]]


@pytest.fixture
def open_readers(url: str) -> OpenReaders:
    async def opened(size: int, wait_seconds: float = 60) -> Readers:
        readers = Readers(url, size, wait_seconds)
        readers.database.migrate()
        await readers.database.open()
        await readers.database.write(lambda session: session.execute(text("CREATE SEQUENCE runs")))
        return readers

    return opened


@asynccontextmanager
async def of(readers: Readers) -> AsyncIterator[Readers]:
    try:
        yield readers
        # What was cancelled is in use until the server has ended it.
        await asyncio.gather(*readers.database._connections._settling)
        await steps(1)
        assert readers.are_unused
    finally:
        await readers.database.close()


@pytest.fixture
def _nothing_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine any read may take longer than a short one."""
    monkeypatch.setattr(leases, "SHORT_SECONDS", 60.0)


async def cancel(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def steps(number: int = 3) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("_nothing_is_long")
async def test_callers_are_served_in_turn_however_many_reads_of_one_wait(open_readers: OpenReaders) -> None:
    async with of(await open_readers(1)) as readers:
        await asyncio.gather(*(readers.start(subject, A_MOMENT) for subject in "aaaabbc"))

        assert "".join(readers.order) == "aabcaba"


@pytest.mark.usefixtures("_nothing_is_long")
async def test_who_has_overdrawn_an_account_is_served_last(open_readers: OpenReaders) -> None:
    async with of(await open_readers(1)) as readers:
        readers.overdrawn = {"a", "b"}
        await asyncio.gather(*(readers.start(subject, A_MOMENT) for subject in "xabcdc"))

        assert "".join(readers.order) == "xcdcab"


async def test_who_comes_with_a_short_read_never_waits_for_the_end_of_long_ones(open_readers: OpenReaders) -> None:
    async with of(await open_readers(4, 1.5)) as readers:
        endless = [readers.start(f"greedy {number % 3}", ENDLESS) for number in range(30)]
        await asyncio.sleep(2 * leases.SHORT_SECONDS)

        await asyncio.gather(*(readers.start(f"usual {number}", A_MOMENT) for number in range(10)))

        assert sorted(readers.order) == [f"usual {number}" for number in range(10)]
        await cancel(*endless)


async def test_long_reads_begin_anew_in_their_turn(open_readers: OpenReaders) -> None:
    async with of(await open_readers(2)) as readers:
        long = [readers.start(subject, LONG) for subject in "aab"]
        await asyncio.sleep(1.5 * leases.SHORT_SECONDS)
        short = [readers.start("short", A_MOMENT) for _ in range(5)]
        await asyncio.gather(*long, *short)

        assert sorted(readers.order) == ["a", "a", "b", *["short"] * 5]
        [[runs]] = await readers.database.fetch(RUNS, {})
        assert runs > 8


async def test_long_reads_go_on_where_only_their_own_caller_waits(open_readers: OpenReaders) -> None:
    async with of(await open_readers(2)) as readers:
        await asyncio.gather(*(readers.start("a", LONG) for _ in range(4)))

        [[runs]] = await readers.database.fetch(RUNS, {})
        assert runs == 4
        assert readers.charged["a"] > 4 * 0.9 * LONG


@pytest.mark.usefixtures("_nothing_is_long")
async def test_others_wait_only_where_another_caller_does(open_readers: OpenReaders) -> None:
    async with of(await open_readers(1)) as readers:
        reads = [readers.start("a", ENDLESS) for _ in range(2)]
        await steps()
        alone = [readers.database.others_wait(subject) for subject in "ab"]
        reads.append(readers.start("b", ENDLESS))
        await steps()
        two = [readers.database.others_wait(subject) for subject in "abc"]
        await cancel(*reads)

        assert (alone, two) == ([False, True], [True, True, True])
        assert not readers.database.others_wait("c")


@pytest.mark.usefixtures("_nothing_is_long")
@pytest.mark.parametrize("after_steps", range(5))
async def test_reads_that_nobody_waits_for_any_more_free_everything_at_any_moment(
    open_readers: OpenReaders, after_steps: int
) -> None:
    async with of(await open_readers(1)) as readers:
        for left in range(6):
            reads = [readers.start(subject, 0.001) for subject in "aabbcc"]
            await steps(after_steps)
            await cancel(reads[left])
            await asyncio.gather(*reads[:left], *reads[left + 1 :])

        assert len(readers.order) == 30


@pytest.mark.usefixtures("_nothing_is_long")
@pytest.mark.parametrize("subjects", ["aaa", "abc"])
async def test_what_is_cancelled_as_it_is_let_in_lets_in_the_next(open_readers: OpenReaders, subjects: str) -> None:
    async with of(await open_readers(1)) as readers:
        reads = [readers.start(subject, A_MOMENT) for subject in subjects]
        readers.leaves = reads[1]
        await asyncio.wait(reads)

        assert [read.cancelled() for read in reads] == [False, True, False]


async def test_what_is_cancelled_while_it_is_interrupted_stays_cancelled(open_readers: OpenReaders) -> None:
    async with of(await open_readers(2)) as readers:
        reads = [readers.start("a", ENDLESS) for _ in range(2)]
        await asyncio.sleep(1.5 * leases.SHORT_SECONDS)
        short = readers.start("b", A_MOMENT)
        await steps(1)
        await cancel(*reads)
        await short

        assert [read.cancelled() for read in reads] == [True, True]


@pytest.mark.usefixtures("_nothing_is_long")
async def test_an_interrupted_read_begins_anew_beside_what_the_server_still_ends(open_readers: OpenReaders) -> None:
    async with of(await open_readers(2)) as readers:
        lent = readers.database._connections._leases
        read = readers.start("a", LONG)
        await asyncio.sleep(LONG / 3)
        [lease] = lent._running
        lease.interrupt()
        await steps(2)
        running = list(lent._running)
        await read

        assert (len(running), running[0]) == (2, lease)
        assert readers.order == ["a"]
        [[runs]] = await readers.database.fetch(RUNS, {})
        assert runs == 2


async def test_a_read_that_connects_for_long_is_not_interrupted(
    open_readers: OpenReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with of(await open_readers(2)) as readers:
        readers.database._connections.drop_idle()
        monkeypatch.setattr(leases, "SHORT_SECONDS", 0.0)
        connecting = [readers.start("a", A_MOMENT) for _ in range(2)]
        await steps(2)
        await asyncio.gather(*connecting, readers.start("b", A_MOMENT))

        assert sorted(readers.order) == ["a", "a", "b"]


async def test_a_caller_does_not_pay_for_connecting(open_readers: OpenReaders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.postgresql.connecting.CONNECT_SECONDS", 0.2)
    # Takes connections and answers none.
    async with of(await open_readers(1)) as readers:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            readers.database._connections.drop_idle()
            readers.database._connections._dsn = f"postgresql://visits@127.0.0.1:{silent.getsockname()[1]}/?sslmode=disable"

            with pytest.raises(DatabaseBusy):
                await readers.read("a", A_MOMENT)

        assert "a" not in readers.charged


@pytest.mark.usefixtures("_nothing_is_long")
async def test_writes_leave_connections_to_reads_and_wait_in_turn(open_readers: OpenReaders) -> None:
    async with of(await open_readers(5)) as readers:

        def work(session: Session) -> None:
            session.execute(text("SELECT pg_sleep(0.5)"))

        writes = [asyncio.create_task(readers.database.write(work, WriteState(subject))) for subject in "aaaaab"]
        while len(readers.database._connections._lent) < 4:  # noqa: ASYNC110 - there is no event for a test
            await asyncio.sleep(0.01)
        await readers.read("c", A_MOMENT)

        assert [write.done() for write in writes] == [False] * 6
        assert readers.database.others_wait("a")
        await asyncio.gather(*writes)


async def test_a_read_of_a_server_that_hangs_ends(open_readers: OpenReaders, monkeypatch: pytest.MonkeyPatch) -> None:
    async with of(await open_readers(1)) as readers:
        [[process]] = await readers.database.fetch(PID, {})
        monkeypatch.setattr(leases, "READ_SECONDS", 0.3)
        os.kill(process, signal.SIGSTOP)
        try:
            with pytest.raises(DatabaseBusy):
                await readers.read("a", 0)
        finally:
            os.kill(process, signal.SIGCONT)
        monkeypatch.undo()

        [[other]] = await readers.database.fetch(PID, {})
        assert other != process


async def test_where_the_server_hangs_no_long_read_waits_for_another(
    open_readers: OpenReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with of(await open_readers(2, 0.2)) as readers:
        monkeypatch.setattr(leases, "READ_SECONDS", 0.8)
        # The second is interrupted for the third, and waits for the slot of the first.
        reading = [readers.start(subject, ENDLESS) for subject in "ab"]
        await asyncio.sleep(1.5 * leases.SHORT_SECONDS)
        third = readers.start("c", ENDLESS)

        async with asyncio.timeout(1.2):
            failures = await asyncio.gather(*reading, return_exceptions=True)

        assert [type(failure) for failure in failures] == [DatabaseBusy, DatabaseBusy]
        await cancel(third)
