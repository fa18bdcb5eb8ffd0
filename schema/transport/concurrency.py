"""A concurrency limit with a bounded queue, shared out fairly: what exceeds both is refused at once, before it costs anything."""

import asyncio
from collections import deque
from collections.abc import Awaitable

from schema.transport.errors import RequestError
from schema.transport.shares import Shares


class ConcurrencyLimiter:
    """Admits so many operations at once and queues so many more; callers who wait are admitted in turn.

    A caller may have as many executing as there are places left, and one more: whatever one does, there is room for the next.
    While others wait, who has overdrawn their share is refused; where the queue is full, it is who has most in it.
    One limiter is shared by all transports of a process.
    """

    def __init__(self, *, max_executing: int = 64, max_queued: int = 128, shares: Shares | None = None) -> None:
        self.shares = Shares() if shares is None else shares
        self.executing = 0
        self.queued = 0
        self._max_executing = max_executing
        self._max_queued = max_queued
        self._executing_of: dict[str, int] = {}
        # In the order in which callers are next.
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}

    def enter(self, subject: str) -> Awaitable[None] | None:
        """Admit a caller's operation and return None, or return what to await; raise RequestError. Each ends in `leave`."""
        self.require_share(subject)
        if self._may_execute(subject):
            self._admit(subject)
            return None
        if self.queued >= self._max_queued:
            self._make_room(subject)
        return self._wait_in_queue(subject)

    def is_free_for(self, subject: str) -> bool:
        """Tell whether a caller's operation would be admitted at once, with nobody waiting for anything."""
        return not self._queues and self._may_execute(subject) and not self.shares.others_wait(subject)

    def require_share(self, subject: str) -> None:
        """Raise RequestError where others wait and this caller has used more than a share."""
        if (self._others_queue(subject) or self.shares.others_wait(subject)) and self.shares.is_overdrawn(subject):
            raise self.shares.throttled(subject)

    def leave(self, subject: str, cost: int) -> None:
        """End an operation, charge its caller with what it cost, and admit who is next."""
        self.executing -= 1
        remaining = self._executing_of[subject] - 1
        if remaining:
            self._executing_of[subject] = remaining
        else:
            del self._executing_of[subject]
        self.shares.charge(subject, cost)
        if self._queues:
            self._admit_next()

    def _others_queue(self, subject: str) -> bool:
        return len(self._queues) > (subject in self._queues)

    def _may_execute(self, subject: str) -> bool:
        free = self._max_executing - self.executing
        return free > 0 and self._executing_of.get(subject, 0) <= free

    def _admit(self, subject: str) -> None:
        self.executing += 1
        self._executing_of[subject] = self._executing_of.get(subject, 0) + 1

    async def _wait_in_queue(self, subject: str) -> None:
        admitted = asyncio.get_running_loop().create_future()
        self._queues.setdefault(subject, deque()).append(admitted)
        self.queued += 1
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():
                self._remove(subject, admitted)
            elif admitted.exception() is None:
                self.leave(subject, 0)
            raise

    def _remove(self, subject: str, admitted: "asyncio.Future[None]") -> None:
        queue = self._queues.get(subject, ())
        if admitted in queue:
            self._queues[subject].remove(admitted)
            self.queued -= 1
            if not queue:
                del self._queues[subject]

    def _admit_next(self) -> None:
        while (subject := next(filter(self._may_execute, self._queues), None)) is not None:
            queue = self._queues.pop(subject)
            admitted = queue.popleft()
            self.queued -= 1
            if queue:
                self._queues[subject] = queue
            if not admitted.done():
                self._admit(subject)
                admitted.set_result(None)

    def _make_room(self, subject: str) -> None:
        """Refuse the latest operation of the caller who has most in the queue; that may be this one."""
        busiest = max(self._queues, key=lambda other: len(self._queues[other]), default=subject)
        own = len(self._queues.get(subject, ()))
        if len(self._queues.get(busiest, ())) > own + 1:
            admitted = self._queues[busiest][-1]
            self._remove(busiest, admitted)
            admitted.set_exception(self.shares.throttled(busiest))
        elif own and self._others_queue(subject):
            raise self.shares.throttled(subject)
        else:
            raise RequestError("OVERLOADED", "The server is busy. Try again in a second.")
