"""A concurrency limit with a bounded queue: what exceeds both is refused at once, before it costs anything."""

import asyncio
from collections import deque

from schema.transport.errors import RequestError


class ConcurrencyLimiter:
    """Admits, with `async with`, so many operations at once and queues so many more, first come, first served.

    One is shared by all transports of a process.
    """

    def __init__(self, *, max_executing: int = 64, max_queued: int = 128) -> None:
        self._max_executing = max_executing
        self._max_queued = max_queued
        self._queue: deque[asyncio.Future[None]] = deque()
        self.executing = 0

    @property
    def queued(self) -> int:
        return len(self._queue)

    async def __aenter__(self) -> None:
        if self.executing < self._max_executing:
            self.executing += 1
            return
        if len(self._queue) >= self._max_queued:
            raise RequestError("OVERLOADED", "The server is busy. Try again in a second.")
        await self._wait()

    async def __aexit__(self, *_: object) -> None:
        self._release()

    async def _wait(self) -> None:
        admitted = asyncio.get_running_loop().create_future()
        self._queue.append(admitted)
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():
                self._queue.remove(admitted)
            else:
                # It was admitted in the moment it was cancelled.
                self._release()
            raise

    def _release(self) -> None:
        # Handed on while others are queued, not freed: nobody overtakes them.
        for admitted in self._queue:
            if not admitted.done():
                admitted.set_result(None)
                self._queue.remove(admitted)
                return
        self.executing -= 1
