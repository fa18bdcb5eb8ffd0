"""How many documents long lists have: kept for some seconds, because each page of a walk tells it, and to count takes long."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from storage.caller import Caller

# Shorter ones are counted each time: what a caller has changed is seen at once.
LONG: Final = 10_000
SECONDS: Final = 10.0
CACHED: Final = 1_000


class Counts:
    """Keeps counts by the list, its filter and the locations of the caller. Of several who count the same at once, one does."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        # Each with when it ends: the oldest is the first.
        self._counts: dict[bytes, tuple[int, float]] = {}
        self._running: dict[bytes, asyncio.Task[int]] = {}

    async def count(
        self, kind: str, filter: Mapping[str, Any], caller: Caller, count: Callable[[], Coroutine[Any, Any, int]]
    ) -> int:
        """Return how many records of a kind meet a filter, of those that the caller may see."""
        of = kind, sorted(filter.items()), None if caller.locations is None else sorted(caller.locations)
        key = hashlib.blake2b(repr(of).encode(errors="surrogatepass"), digest_size=16).digest()
        number, end = self._counts.get(key, (0, 0.0))
        if self._now() < end:
            return number
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.ensure_future(self._count(key, count))
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Others may wait for the same when this one is cancelled.
        return await asyncio.shield(task)

    async def _count(self, key: bytes, count: Callable[[], Coroutine[Any, Any, int]]) -> int:
        self._counts.pop(key, None)
        try:
            number = await count()
        finally:
            del self._running[key]
        if number >= LONG:
            self._keep(key, number)
        return number

    def _keep(self, key: bytes, number: int) -> None:
        if len(self._counts) >= CACHED:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = number, self._now() + SECONDS
