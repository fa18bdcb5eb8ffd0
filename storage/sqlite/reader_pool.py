"""The reader threads, shared out fairly: one to each caller at a time, to callers in turn, and not for long while others wait."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from storage.caller import Accounts
from storage.errors import DatabaseBusy
from storage.queries.statements import Statement
from storage.sqlite.readers import Read, Reader

# A read that takes longer is a long one: nine of ten searches among a million visits take a seventh of it.
SHORT_SECONDS = 0.1


class ReaderPool:
    """Lends readers to reads that wait, of each caller one, first come first served: so callers are served in turn.

    Callers who have overdrawn their accounts are served after all others.

    Long reads have slots, one less than there are readers. One that runs without a slot is interrupted as soon as another
    caller's read waits, and begins anew with the next slot: who comes with a short read never waits for the end of a long one.
    """

    def __init__(self, readers: Iterable[Reader], accounts: Accounts, *, wait_seconds: float) -> None:
        self._idle = list(readers)
        self._slots = max(1, len(self._idle) - 1)
        self._wait_seconds = wait_seconds
        self._accounts = accounts
        # Of each caller with a read in the pool, those that wait for its end.
        self._behind: dict[str, deque[asyncio.Future[None]]] = {}
        self._waiting: dict[Read, asyncio.Future[Reader]] = {}
        self._running: dict[Read, asyncio.TimerHandle | None] = {}
        self._with_slot: set[Read] = set()

    def others_wait(self, subject: str) -> bool:
        """Tell whether the read of another caller waits for a reader."""
        return bool(self._waiting) and any(read.subject != subject for read in self._waiting)

    async def fetch(self, statement: Statement, values: Mapping[str, Any], read: Read) -> list[Any]:
        """Return the rows; raise DatabaseBusy where no reader becomes free in time."""
        async with self._alone(read.subject):
            while True:
                reader = await self._borrow(read)
                try:
                    return await reader.fetch(statement, values, read)
                except sqlite3.OperationalError as error:
                    if not read.is_interrupted or error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                        raise
                finally:
                    self._take_back(read, reader)
                read.is_interrupted = False

    @asynccontextmanager
    async def _alone(self, subject: str) -> AsyncIterator[None]:
        """Wait until no other read of this caller is in the pool, for as long as that takes: nobody else is kept waiting."""
        behind = self._behind.get(subject)
        if behind is None:
            self._behind[subject] = deque()
        else:
            await self._wait_behind(subject, behind)
        try:
            yield
        finally:
            self._let_next_in(subject)

    async def _wait_behind(self, subject: str, behind: "deque[asyncio.Future[None]]") -> None:
        let_in = asyncio.get_running_loop().create_future()
        behind.append(let_in)
        try:
            await let_in
        except asyncio.CancelledError:
            if not let_in.cancelled():
                self._let_next_in(subject)
            with suppress(ValueError):
                behind.remove(let_in)
            raise

    def _let_next_in(self, subject: str) -> None:
        behind = self._behind[subject]
        while behind:
            let_in = behind.popleft()
            if not let_in.done():
                let_in.set_result(None)
                return
        del self._behind[subject]

    async def _borrow(self, read: Read) -> Reader:
        lent: asyncio.Future[Reader] = asyncio.get_running_loop().create_future()
        self._waiting[read] = lent
        self._lend()
        try:
            # Long reads end, each in its time, and whoever waits for them kept others waiting.
            async with asyncio.timeout(None if read.is_long else self._wait_seconds):
                return await lent
        except BaseException as error:
            self._waiting.pop(read, None)
            self._with_slot.discard(read)
            if lent.done() and not lent.cancelled():
                self._take_back(read, lent.result())
            self._lend()
            if isinstance(error, TimeoutError):
                raise DatabaseBusy from None
            raise

    def _lend(self) -> None:
        for read, lent in sorted(self._waiting.items(), key=lambda item: self._accounts.is_overdrawn(item[0].subject)):
            if lent.done() or (read.is_long and not self._has_slot(read)):
                continue
            if not self._idle:
                self._interrupt_one()
                return
            del self._waiting[read]
            lent.set_result(self._idle.pop())
            self._running[read] = None if read.is_long else self._after_a_moment(self._grow_long, read)

    def _has_slot(self, read: Read) -> bool:
        if read not in self._with_slot and len(self._with_slot) < self._slots:
            self._with_slot.add(read)
        return read in self._with_slot

    def _grow_long(self, read: Read) -> None:
        read.is_long = True
        if not self._has_slot(read):
            self._lend()

    def _interrupt_one(self) -> None:
        """Get a reader back from a long read without a slot, unless one is on its way back."""
        surplus = [read for read in self._running if read.is_long and read not in self._with_slot]
        if surplus and not any(read.is_interrupted for read in surplus):
            surplus[0].is_interrupted = True

    def _take_back(self, read: Read, reader: Reader) -> None:
        timer = self._running.pop(read)
        if timer is not None:
            timer.cancel()
        self._with_slot.discard(read)
        self._idle.append(reader)
        self._lend()
        for other in self._running:
            if other.is_long and not other.is_interrupted:
                self._has_slot(other)
        self._accounts.charge_reading(read.subject, read.take_seconds_spent())

    @staticmethod
    def _after_a_moment(call: Callable[[Read], None], read: Read) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(SHORT_SECONDS, call, read)
