"""Reader threads are shared out fairly: one to each caller, to callers in turn, and not for long while others wait."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from storage.errors import DatabaseBusy
from storage.sqlite import reader_pool
from storage.sqlite.reader_pool import ReaderPool
from storage.sqlite.readers import Read, Reader
from tests.storage.sqlite.handling import A_WHILE, COUNT, ENDLESS

LONG = {"to": 2_000_000}  # three times as long as a short read may take


class Pool:
    """A pool of real readers; notes who was served in which order, and what each caller was charged."""

    def __init__(self, readers: list[Reader], wait_seconds: float) -> None:
        self.order: list[str] = []
        self.charged: dict[str, float] = defaultdict(float)
        self.overdrawn: set[str] = set()
        self.leaves_at: dict[str, asyncio.Task[Any]] = {}
        self.pool = ReaderPool(readers, self, wait_seconds=wait_seconds)

    def charge_reading(self, subject: str, seconds: float) -> None:
        self._leave_at("charge")
        self.charged[subject] += seconds

    def is_overdrawn(self, subject: str) -> bool:
        self._leave_at("lend")
        return subject in self.overdrawn

    def _leave_at(self, moment: str) -> None:
        """Cancel a read at once after what the pool is about to do, before the read learns of it."""
        if leaving := self.leaves_at.pop(moment, None):
            asyncio.get_running_loop().call_soon(leaving.cancel)

    async def fetch(self, subject: str, values: dict[str, int], seconds: float = 60) -> list[Any]:
        rows = await self.pool.fetch(COUNT, values, Read(subject, seconds))
        self.order.append(subject)
        return rows

    def start(self, subject: str, values: dict[str, int]) -> "asyncio.Task[list[Any]]":
        return asyncio.create_task(self.fetch(subject, values))

    @property
    def is_unused(self) -> bool:
        return not (self.pool._behind or self.pool._waiting or self.pool._running or self.pool._with_slot)


@asynccontextmanager
async def pool_of(size: int, path: Path, *, wait_seconds: float = 60) -> AsyncIterator[Pool]:
    readers = [await Reader.open(path) for _ in range(size)]
    try:
        yield Pool(readers, wait_seconds)
    finally:
        for reader in readers:
            await reader.close()


async def cancel(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def steps(number: int = 3) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.fixture
def _nothing_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine any read may take longer than a short one."""
    monkeypatch.setattr(reader_pool, "SHORT_SECONDS", 60.0)


@pytest.mark.usefixtures("_nothing_is_long")
async def test_callers_are_served_in_turn_however_many_reads_of_one_wait(path: Path) -> None:
    async with pool_of(1, path) as pool:
        reads = [pool.start(subject, A_WHILE) for subject in "aaaabbc"]
        await asyncio.gather(*reads)

        assert "".join(pool.order) == "abcabaa"
        assert pool.is_unused


@pytest.mark.usefixtures("_nothing_is_long")
async def test_who_has_overdrawn_an_account_is_served_last(path: Path) -> None:
    async with pool_of(1, path) as pool:
        pool.overdrawn = {"a", "b"}
        reads = [pool.start(subject, A_WHILE) for subject in "xabcdc"]
        await asyncio.gather(*reads)

        assert "".join(pool.order) == "xcdcab"
        assert pool.is_unused


@pytest.mark.usefixtures("_nothing_is_long")
async def test_a_caller_has_one_reader_at_a_time(path: Path) -> None:
    async with pool_of(2, path, wait_seconds=0.2) as pool:
        endless = [pool.start("greedy", ENDLESS) for _ in range(5)]
        await steps()

        served = [await pool.fetch("other", A_WHILE) for _ in range(3)]

        assert served == [[(20_000,)]] * 3
        assert not pool.pool.others_wait("other")
        await cancel(*endless)
        assert pool.is_unused


@pytest.mark.usefixtures("_nothing_is_long")
async def test_behind_a_read_of_their_own_callers_wait_for_as_long_as_it_takes_and_behind_others_not(path: Path) -> None:
    async with pool_of(1, path, wait_seconds=0.1) as pool:
        first = pool.start("a", LONG)
        own = pool.start("a", A_WHILE)
        await steps()

        with pytest.raises(DatabaseBusy):
            await pool.fetch("b", A_WHILE)

        assert (await first, await own) == ([(LONG["to"],)], [(20_000,)])
        assert pool.is_unused


async def test_short_reads_do_not_wait_for_long_ones_and_long_ones_begin_anew_in_their_turn(path: Path) -> None:
    async with pool_of(2, path) as pool:
        endless, long = pool.start("endless", ENDLESS), pool.start("long", LONG)
        await asyncio.sleep(reader_pool.SHORT_SECONDS * 1.5)

        assert await pool.fetch("short", A_WHILE) == [(20_000,)]

        assert (endless.done(), long.done(), pool.order) == (False, False, ["short"])
        await cancel(endless)
        assert await long == [(LONG["to"],)]
        assert pool.is_unused


async def test_a_long_read_goes_on_where_nobody_waits(path: Path) -> None:
    async with pool_of(2, path) as pool:
        endless = pool.start("endless", ENDLESS)
        await steps()

        assert await pool.fetch("long", LONG) == [(LONG["to"],)]

        assert not endless.done()
        await cancel(endless)


async def test_long_reads_take_turns(path: Path) -> None:
    async with pool_of(2, path) as pool:
        long = [pool.start(subject, LONG) for subject in "abc"]
        await asyncio.sleep(reader_pool.SHORT_SECONDS * 1.5)
        short = [pool.start("short", A_WHILE) for _ in range(20)]
        await asyncio.gather(*long, *short)

        assert pool.order.index("a") > 0
        assert [subject for subject in pool.order if subject != "short"] == ["a", "b", "c"]
        assert pool.is_unused


@pytest.mark.usefixtures("_nothing_is_long")
async def test_others_wait_only_where_another_caller_waits_for_a_reader(path: Path) -> None:
    async with pool_of(1, path) as pool:
        first = pool.start("a", ENDLESS)
        own = pool.start("a", ENDLESS)
        await steps()
        alone = [pool.pool.others_wait(subject) for subject in "ab"]
        other = pool.start("b", ENDLESS)
        await steps()
        two = [pool.pool.others_wait(subject) for subject in "abc"]
        await cancel(first, own, other)

        assert (alone, two) == ([False, False], [True, False, True])
        assert not pool.pool.others_wait("c")


@pytest.mark.usefixtures("_nothing_is_long")
@pytest.mark.parametrize("after_steps", range(6))
async def test_reads_that_nobody_waits_for_any_more_free_everything_at_any_moment(path: Path, after_steps: int) -> None:
    async with pool_of(1, path) as pool:
        for left in range(6):
            reads = [pool.start(subject, A_WHILE) for subject in "aabbcc"]
            await steps(after_steps)
            await cancel(reads[left])
            rest = await asyncio.gather(*reads[:left], *reads[left + 1 :])

            assert rest == [[(20_000,)]] * 5
            assert pool.is_unused


@pytest.mark.usefixtures("_nothing_is_long")
@pytest.mark.parametrize("moment", ["charge", "lend"])
@pytest.mark.parametrize("subjects", ["aaa", "abc"])
async def test_what_is_cancelled_as_it_is_let_in_lets_in_the_next(path: Path, moment: str, subjects: str) -> None:
    async with pool_of(1, path) as pool:
        reads = [pool.start(subject, A_WHILE) for subject in subjects]
        await steps()
        pool.leaves_at[moment] = reads[1]
        await asyncio.wait(reads)

        assert [read.cancelled() for read in reads] == [False, pool.leaves_at == {}, False]
        assert pool.is_unused


async def test_what_is_cancelled_leaves_the_line_at_once(path: Path) -> None:
    async with pool_of(1, path) as pool:
        endless = pool.start("a", ENDLESS)
        behind = [pool.start("a", A_WHILE) for _ in range(5)]
        await steps()
        before = len(pool.pool._behind["a"])
        await cancel(*behind)

        assert (before, len(pool.pool._behind["a"])) == (5, 0)
        await cancel(endless)
        assert pool.is_unused


async def test_a_long_read_waits_for_another_long_one_for_as_long_as_it_takes(path: Path) -> None:
    async with pool_of(2, path, wait_seconds=0.2) as pool:
        endless, long = pool.start("endless", ENDLESS), pool.start("long", LONG)
        await asyncio.sleep(reader_pool.SHORT_SECONDS * 1.5)
        await pool.fetch("short", A_WHILE)
        await asyncio.sleep(0.4)
        await cancel(endless)

        assert await long == [(LONG["to"],)]


async def test_a_long_read_that_is_cancelled_before_it_has_a_reader_leaves_its_slot_to_others(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pool_of(2, path) as pool:
        first, long = pool.start("first", ENDLESS), pool.start("long", ENDLESS)
        await asyncio.sleep(reader_pool.SHORT_SECONDS * 1.5)
        monkeypatch.setattr(reader_pool, "SHORT_SECONDS", 60.0)
        pool.overdrawn = {"long"}
        others = [pool.start(subject, ENDLESS) for subject in "ab"]
        async with asyncio.timeout(10):
            # Until its thread has given it up, it is among those that run.
            while {read.subject for read in pool.pool._waiting} != {"long", "b"}:  # noqa: ASYNC110 - the pool has no event for a test
                await asyncio.sleep(0.01)
        await cancel(first)
        slots = [len(pool.pool._with_slot)]
        await cancel(long)
        slots.append(len(pool.pool._with_slot))
        await cancel(*others)

        assert slots == [1, 0]
        assert pool.is_unused


async def seconds_of(work: Coroutine[Any, Any, Any]) -> float:
    started = time.monotonic()
    await asyncio.gather(work, return_exceptions=True)
    return time.monotonic() - started


async def test_a_caller_is_charged_the_time_that_reads_took_in_a_thread_however_they_ended(path: Path) -> None:
    async with pool_of(1, path) as pool:
        ended = await seconds_of(pool.fetch("ended", LONG))
        late = await seconds_of(pool.fetch("late", ENDLESS, seconds=0.2))
        left = await seconds_of(asyncio.wait_for(pool.fetch("left", ENDLESS), 0.2))
        busy = pool.start("busy", ENDLESS)
        await steps()
        await seconds_of(asyncio.wait_for(pool.fetch("waited", ENDLESS), 0.1))
        await cancel(busy)

    # It counts in the thread: what the loop does before and after is not in it.
    for subject, seconds in {"ended": ended, "late": late, "left": left}.items():
        assert 0.1 * seconds < pool.charged[subject] < seconds, subject
    assert "waited" not in pool.charged
