"""Promise 14: a caller that goes away leaves no lock and no half write."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.queries.paging import Window
from storage.queries.statements import Statement
from storage.repository import HomeVisits
from tests import databases
from tests.inspection import inspect
from tests.proofs.wholeness import faults
from tests.proofs.writers import WAITS
from tests.storage.homes import booking

LONG = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n",
    "postgresql": "SELECT count(*) FROM generate_series(1, $1::bigint)",
}
AT_ONCE = 2.0  # seconds, on a busy machine; a lock left behind would hold for five


async def count_to(database: Database, number: int) -> int:
    return int((await database.fetch(Statement(LONG[databases.KIND], ("to",)), {"to": number}))[0][0])


def transactions_left_open(path: Path) -> int:
    idle = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    return 0 if databases.is_sqlite() else len(inspect(path).query(idle))


class Callers:
    """They ask for something, and may go away at any moment."""

    def __init__(self, database: Database, visits: HomeVisits) -> None:
        self._database = database
        self._visits = visits
        self._chance = random.Random(14)  # noqa: S311 - so that it can be repeated
        self._keys = iter(range(10**6))

    async def book(self) -> str:
        return (await self._visits.book(booking(date_time=WAITS), idempotency_key=str(next(self._keys)))).id

    async def _change(self) -> None:
        time = WAITS + timedelta(minutes=self._chance.randrange(1, 10**6))
        await self._visits.update(await self.book(), {"date_time": time})

    async def _end(self) -> None:
        await self._chance.choice([self._visits.cancel, self._visits.complete])(await self.book())

    async def _read(self) -> None:
        page = await self._visits.page({"keyword": "nothing like it"}, [("date_time", True)], Window(100, False, None, None))
        await page.total_count()

    async def _read_long(self) -> None:
        await count_to(self._database, 10**9)

    async def one_who_leaves(self) -> str:
        """Ask for something, go away soon afterwards, and tell what it was and how it ended."""
        asks: dict[str, Callable[[], Awaitable[Any]]] = {
            "book": self.book,
            "move": self._change,
            "end": self._end,
            "read": self._read,
            "read long": self._read_long,
        }
        what = self._chance.choice(list(asks))
        asking = asyncio.ensure_future(asks[what]())
        await asyncio.sleep(self._chance.random() * 0.01)
        asking.cancel()
        [outcome] = await asyncio.gather(asking, return_exceptions=True)
        assert outcome is None or isinstance(outcome, str | asyncio.CancelledError), outcome
        return f"{what} left" if isinstance(outcome, asyncio.CancelledError) else f"{what} done"


@pytest.mark.parametrize("departures", [30, pytest.param(300, marks=pytest.mark.slow)])
async def test_after_each_departure_the_next_write_and_read_go_at_once(
    database: Database, visits: HomeVisits, path: Path, departures: int, tell: Callable[..., None]
) -> None:
    callers = Callers(database, visits)
    outcomes: Counter[str] = Counter()
    waits = []

    for _ in range(departures):
        outcomes[await callers.one_who_leaves()] += 1
        began = time.monotonic()
        booked = await callers.book()
        assert await visits.get(booked) is not None
        assert await count_to(database, 100_000) == 100_000
        waits.append(time.monotonic() - began)

    left_open = transactions_left_open(path)
    await database.close()
    tell(f"{departures} departures", **outcomes, seconds_the_longest_wait=f"{max(waits):.3f}", faults=len(faults(path)))
    assert max(waits) < AT_ONCE
    assert left_open == 0
    assert faults(path) == []
    assert not inspect(path).is_locked()


async def test_many_who_leave_at_once_leave_the_database_free(
    database: Database, visits: HomeVisits, path: Path, tell: Callable[..., None]
) -> None:
    callers = Callers(database, visits)

    outcomes = Counter(await asyncio.gather(*(callers.one_who_leaves() for _ in range(60))))
    began = time.monotonic()
    await callers.book()
    wait = time.monotonic() - began

    await database.close()
    tell("60 departures at once", **outcomes, seconds_until_the_next_write_was_done=f"{wait:.3f}")
    assert faults(path) == []
