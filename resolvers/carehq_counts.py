"""How many documents long lists have: kept for some seconds, because each page of a walk tells it, and to count takes long."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from weakref import WeakValueDictionary

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
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def count(self, of: Any, count: Callable[[], Awaitable[int]]) -> int:
        """Return how many there are of what `of` tells from all else by its text."""
        key = hashlib.blake2b(repr(of).encode(errors="surrogatepass"), digest_size=16).digest()
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            number, end = self._counts.get(key, (0, 0.0))
            if self._now() < end:
                return number
            self._counts.pop(key, None)
            number = await count()
            if number >= LONG:
                self._keep(key, number)
            return number

    def _keep(self, key: bytes, number: int) -> None:
        if len(self._counts) >= CACHED:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = number, self._now() + SECONDS
