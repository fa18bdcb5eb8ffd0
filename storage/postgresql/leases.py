"""Who may use a connection: callers in turn, and nobody for long while others wait."""

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from typing import Any

from storage.caller import Accounts
from storage.errors import DatabaseBusy

# A read that takes longer is a long one.
SHORT_SECONDS = 0.1
# What a usual read takes is part of its request's price.
USUAL_SECONDS = 0.004
# PostgreSQL itself ends a statement after three seconds: whoever waits for longer waits for a server that hangs.
READ_SECONDS = 4.0
# So long a caller waits for all of it: for a connection, for its repetition, for a transaction from its BEGIN to its COMMIT.
ANSWER_SECONDS = 5.0


class Lease:
    """One use of a connection for a caller. `task` is the one that reads, which may be interrupted; a write has none.

    At `ends`, on the clock of the event loop, its connection is closed, whatever it waits for; `is_late` says that it was.
    """

    __slots__ = (
        "_cancelling",
        "admitted",
        "connection",
        "ends",
        "is_interrupted",
        "is_late",
        "is_long",
        "since",
        "subject",
        "task",
    )

    def __init__(self, subject: str, task: "asyncio.Task[Any] | None" = None, *, ends: float | None = None) -> None:
        self.subject = subject
        self.task = task
        # None: so long after it begins as a caller may wait.
        self.ends = ends
        # Since when it waits, or runs.
        self.since = 0.0
        self.admitted: asyncio.Future[None] | None = None
        self.connection: Any = None
        self.is_long = False
        self.is_interrupted = False
        self.is_late = False
        self._cancelling = 0

    def interrupt(self) -> None:
        if self.task is not None and not self.is_interrupted:
            self.is_interrupted, self._cancelling = True, self.task.cancelling()
            self.task.cancel()

    def resume(self) -> bool:
        """Take an interruption back; return whether there was one, and nobody else has cancelled the task."""
        if self.task is None or not self.is_interrupted:
            return False
        self.is_interrupted = False
        return self.task.uncancel() <= self._cancelling

    def anew(self) -> "Lease":
        """Return one for the same read, a long one: this one ends only once the server has ended what was interrupted."""
        lease = Lease(self.subject, self.task, ends=math.inf)
        lease.is_long = True
        return lease

    def again(self) -> "Lease":
        """Return one for the same read, whose connection was lost."""
        lease = Lease(self.subject, self.task, ends=self.ends)
        lease.is_long = self.is_long
        return lease


class Leases:
    """Admits as many leases at a time as there are connections. Callers who wait are served in turn, for a bounded time.

    Callers who have overdrawn their accounts are served after all others. Long reads have slots, half as many as there are
    connections, each caller at most one. One that runs without a slot is interrupted as soon as another caller waits, and begins
    anew with a slot. Nobody interrupts a write: they leave some connections to reads.
    """

    def __init__(self, size: int, accounts: Accounts, *, wait_seconds: float) -> None:
        self._free = size
        self._free_for_writes = size - size // 5
        self._slots = max(1, size // 2)
        self._accounts = accounts
        self._wait_seconds = wait_seconds
        # In the order of their `since`, and in the one in which callers are next.
        self._running: dict[Lease, None] = {}
        self._queues: dict[str, deque[Lease]] = {}
        self._with_slot: dict[str, Lease] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def others_wait(self, subject: str) -> bool:
        """Tell whether another caller waits for a connection."""
        return len(self._queues) > (subject in self._queues)

    async def begin(self, lease: Lease) -> None:
        """Return when a connection is free for it; raise DatabaseBusy where none becomes free in time. It ends by `end`."""
        loop = self.loop
        if loop is None:
            # get_running_loop is a system call before Python 3.12.
            loop = self.loop = asyncio.get_running_loop()
        lease.since = loop.time()
        if lease.ends is None:
            lease.ends = lease.since + max(ANSWER_SECONDS, self._wait_seconds)
        if self._timer is None:
            self._timer = loop.call_later(SHORT_SECONDS, self._look)
        if self._queues or not self._is_admissible(lease):
            await self._wait(lease, loop)
        else:
            self._admit(lease)

    def restart(self, lease: Lease) -> None:
        """Have its time begin now: a caller does not pay for connecting, nor have less time to read in."""
        del self._running[lease]
        if self.loop is not None:
            lease.since = self.loop.time()
        self._running[lease] = None

    def seconds_left(self, lease: Lease) -> float:
        """Return for how long it may go on."""
        return math.inf if self.loop is None or lease.ends is None else lease.ends - self.loop.time()

    def end(self, lease: Lease) -> None:
        del self._running[lease]
        self._free += 1
        self._free_for_writes += lease.task is None
        self._leave_slot(lease)
        if self._queues:
            self._admit_next()
        if self.loop is not None and lease.task is not None:
            seconds = self.loop.time() - lease.since
            if seconds > USUAL_SECONDS:
                self._accounts.charge_reading(lease.subject, seconds)

    async def _wait(self, lease: Lease, loop: asyncio.AbstractEventLoop) -> None:
        lease.admitted = loop.create_future()
        self._queues.setdefault(lease.subject, deque()).append(lease)
        if self._free > 0:
            self._admit_next()
        self._interrupt_long(loop.time())
        try:
            await lease.admitted
        except asyncio.CancelledError:
            if lease.admitted.cancelled():
                if lease in self._queues.get(lease.subject, ()):
                    self._remove(lease)
                self._leave_slot(lease)
                self._admit_next()
            elif lease.admitted.exception() is None:
                self.end(lease)
            raise

    def _is_admissible(self, lease: Lease) -> bool:
        if self._free <= 0 or (lease.task is None and self._free_for_writes <= 0):
            return False
        return not lease.is_long or self._has_slot(lease)

    def _admit(self, lease: Lease) -> None:
        self._free -= 1
        self._free_for_writes -= lease.task is None
        self._running[lease] = None

    def _admit_next(self) -> None:
        while self._free > 0 and (lease := next(self._admissible(), None)) is not None:
            queue = self._remove(lease)
            if queue:
                # The caller is next when all others were.
                self._queues[lease.subject] = self._queues.pop(lease.subject)
            if lease.admitted is not None and not lease.admitted.done():
                if self.loop is not None:
                    lease.since = self.loop.time()
                self._admit(lease)
                lease.admitted.set_result(None)

    def _admissible(self) -> Iterator[Lease]:
        """Yield of each caller the first lease that can be admitted, in the order in which they are next."""
        subjects = list(self._queues)
        if len(subjects) > 1:
            subjects.sort(key=self._accounts.is_overdrawn)
        for subject in subjects:
            yield from (lease for lease in self._queues[subject] if self._is_admissible(lease))

    def _remove(self, lease: Lease) -> "deque[Lease]":
        queue = self._queues[lease.subject]
        queue.remove(lease)
        if not queue:
            del self._queues[lease.subject]
        return queue

    def _has_slot(self, lease: Lease) -> bool:
        if lease.subject not in self._with_slot and len(self._with_slot) < self._slots:
            self._with_slot[lease.subject] = lease
        return self._with_slot.get(lease.subject) is lease

    def _leave_slot(self, lease: Lease) -> None:
        if self._with_slot.get(lease.subject) is lease:
            del self._with_slot[lease.subject]

    def _look(self) -> None:
        """End what takes too long, now and then: a timer for each would cost more than most reads."""
        self._timer = None
        if self.loop is None or not (self._running or self._queues):
            return
        now = self.loop.time()
        late = [lease for lease in self._running if lease.connection is not None and self._is_late(lease, now)]
        for lease in late:
            # What waits for the server fails at once. It commits nothing that it was not told to before.
            lease.is_late = True
            lease.connection.terminate()
        self._refuse(now, is_hanging=bool(late))
        self._interrupt_long(now)
        self._timer = self.loop.call_later(SHORT_SECONDS, self._look)

    @staticmethod
    def _is_late(lease: Lease, now: float) -> bool:
        is_hanging = lease.task is not None and now - lease.since > READ_SECONDS
        return is_hanging or (lease.ends is not None and now > lease.ends)

    def _refuse(self, now: float, *, is_hanging: bool) -> None:
        """Refuse those who have waited for too long; long reads wait for each other, for as long as nothing hangs."""
        waiting = [lease for queue in self._queues.values() for lease in queue]
        for lease in waiting:
            if (is_hanging or not lease.is_long) and now - lease.since > self._wait_seconds and lease.admitted is not None:
                self._remove(lease)
                if not lease.admitted.done():
                    lease.admitted.set_exception(DatabaseBusy())

    def _interrupt_long(self, now: float) -> None:
        """Interrupt long reads without a slot, as many as others wait for."""
        eldest = next(iter(self._running), None)
        if eldest is None or now - eldest.since < SHORT_SECONDS:
            return
        waiting = [lease.subject for queue in self._queues.values() for lease in queue if not lease.is_long]
        for lease in self._running:
            if now - lease.since < SHORT_SECONDS:
                return
            if lease.task is None or lease.connection is None:  # a write, or one that connects
                continue
            lease.is_long = True
            if not lease.is_interrupted and self._has_slot(lease):
                continue
            other = next((subject for subject in waiting if subject != lease.subject), None)
            if other is not None:
                waiting.remove(other)
                lease.interrupt()
