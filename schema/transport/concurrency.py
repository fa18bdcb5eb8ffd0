"""A bounded queue before execution: under more load than a process can bear some wait their turn, the rest are told at once."""

import asyncio
from collections import deque

from schema.transport.errors import RequestError


class ConcurrencyLimiter:
    """`async with` it to execute: first come, first served. One is shared by all transports of a process."""

    def __init__(self, *, executing: int = 64, waiting: int = 128) -> None:
        self._places = executing
        self._seats = waiting
        self._queue: deque[asyncio.Future[None]] = deque()
        self.executing = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def __aenter__(self) -> None:
        if self.executing < self._places:
            self.executing += 1
            return
        if len(self._queue) >= self._seats:
            raise RequestError("OVERLOADED", "The server is busy. Try again in a second.")
        await self._wait()

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._queue.remove(turn)
            else:
                # The place was given in the moment its taker left.
                self._leave()
            raise

    def _leave(self) -> None:
        # A place is handed on, not freed, while others wait: nobody overtakes them.
        for turn in self._queue:
            if not turn.done():
                turn.set_result(None)
                self._queue.remove(turn)
                return
        self.executing -= 1
