"""A concurrency limit with a bounded queue: what exceeds both is refused at once, before it costs anything."""

import asyncio

from schema.transport.errors import RequestError


class ConcurrencyLimiter:
    """Admits, with `async with`, so many operations at once and queues so many more, first come, first served.

    One is shared by all transports of a process.
    """

    def __init__(self, *, max_executing: int = 64, max_queued: int = 128) -> None:
        self._slots = asyncio.Semaphore(max_executing)
        self._max_requests = max_executing + max_queued
        self.executing = 0
        self.queued = 0

    async def __aenter__(self) -> None:
        if self.executing + self.queued >= self._max_requests:
            raise RequestError("OVERLOADED", "The server is busy. Try again in a second.")
        self.queued += 1
        try:
            await self._slots.acquire()
        finally:
            self.queued -= 1
        self.executing += 1

    async def __aexit__(self, *_: object) -> None:
        self.executing -= 1
        self._slots.release()
