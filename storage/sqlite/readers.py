"""Connections that read: one on the event loop itself, for short reads, and others in threads of their own."""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from storage.queries.statements import Statement
from storage.sqlite.access_paths import SHORT_STEPS
from storage.sqlite.connecting import EVERY_CONNECTION, apply, connected, uri

# Instructions of SQLite's virtual machine, a thousand in some 30 microseconds: unlike a clock they count alike on a busy machine.
# But one that searches long notes takes half a millisecond.
STEP = 200
INLINE_STEPS = 250
INLINE_SECONDS = 0.004
# Seconds for which reads together may keep the loop in one of its turns, and what each may take of it then: a page takes less.
TURN_SECONDS = 0.005
LAST_STEPS = 20
LAST_SECONDS = 0.0005
# Seconds of reads that are not worth counting, and of those that are not worth charging.
NOTHING = 0.0003
MOMENT = 0.001
SLOW_FOR = 50
LONG_STEP = 10_000
SLOW_STATEMENTS = 250

# No mmap_size: after each write it costs more than it saves, and where the file is cut or the disk fails it ends the process.
READER = ("query_only = ON", "cache_size = -12000", *EVERY_CONNECTION)


class InlineReader:
    """Runs short reads on the event loop, because waking a thread costs more than most reads.

    A read over its budget of steps or of time is abandoned, for a reader thread to run, and where the statement has proved slow,
    so are the next that run it. Once reads have kept the loop for long, others of that turn get no further than a page does:
    many at once, each within its budget, would keep everybody waiting.

    `seconds` is how long the last read kept the loop, 0 where that was no more than a moment or not for what it had to read.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connected(path, "ro")
        # Nobody else is served while the loop waits: a read that finds the database busy is for a thread.
        try:
            apply(self._connection, (*READER, "busy_timeout = 0"))
        except BaseException:
            self._connection.close()
            raise
        self.seconds = 0.0
        self._clock = clock
        self._turn_seconds = 0.0
        self._steps_left = 0
        self._deadline = 0.0
        self._slow: dict[str, int] = {}
        self._connection.set_progress_handler(self._is_over, STEP)

    def _is_over(self) -> bool:
        self._steps_left -= 1
        return self._steps_left < 0 or self._clock() > self._deadline

    def fetch(self, text: str, values: Sequence[Any]) -> list[Any] | None:
        """Return the rows, or None where a thread should read them."""
        self.seconds = 0.0
        slow = self._slow.get(text)
        if slow:
            self._slow[text] = slow - 1
            return None
        is_used_up = self._turn_seconds >= TURN_SECONDS
        self._steps_left = LAST_STEPS if is_used_up else INLINE_STEPS
        started = self._clock()
        self._deadline = started + (LAST_SECONDS if is_used_up else INLINE_SECONDS)
        try:
            rows = self._connection.execute(text, values).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY):
                raise
            # On a busy machine time passes without us: only what is late twice in a row is slow.
            is_late = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_INTERRUPT and self._steps_left >= 0
            if not is_used_up:
                self._hand_over(text, 0 if is_late and slow is None else SLOW_FOR)
            self._count(self._clock() - started, is_charged=not is_late)
            return None
        self._count(self._clock() - started)
        if slow is not None:
            del self._slow[text]
        return rows

    def _count(self, seconds: float, *, is_charged: bool = True) -> None:
        if seconds < NOTHING:
            return
        if not self._turn_seconds:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        self._turn_seconds += seconds
        if is_charged and seconds > MOMENT:
            self.seconds = seconds

    def _begin_turn(self) -> None:
        self._turn_seconds = 0.0

    def _hand_over(self, text: str, times: int) -> None:
        """Leave a statement to the threads the next times."""
        if len(self._slow) >= SLOW_STATEMENTS:
            self._slow.clear()
        self._slow[text] = times

    def version(self) -> int | None:
        """Return a number that is another one once anybody has written; None where that cannot be told at once."""
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None
        return int(version)

    def close(self) -> None:
        self._connection.close()


class Read:
    """One read by a thread, which may be begun more than once. `is_long` and `is_interrupted` are for the pool to set.

    An interrupted read ends in the thread within a moment. `seconds` is how long it may take each time.
    """

    __slots__ = ("_seconds_spent", "_started", "is_interrupted", "is_long", "seconds", "subject")

    def __init__(self, subject: str, seconds: float) -> None:
        self.subject = subject
        self.seconds = seconds
        self.is_long = False
        self.is_interrupted = False
        self._started: float | None = None
        self._seconds_spent = 0.0

    def begin(self) -> float:
        """Start to count its time; return when that is over."""
        self._started = time.monotonic()
        return self._started + self.seconds

    def end(self) -> None:
        if self._started is not None:
            self._seconds_spent += time.monotonic() - self._started
            self._started = None

    def take_seconds_spent(self) -> float:
        """Return the time that it had a thread since this was called last; what nobody waits for any more has ended now."""
        self.end()
        spent, self._seconds_spent = self._seconds_spent, 0.0
        return spent


class Reader:
    """A connection in a thread, which gives up a read when its time is over or when it is interrupted."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._deadline = 0.0
        self._steps_left: float = math.inf
        self._read: Read | None = None
        self._is_abandoned = False

    @classmethod
    async def open(cls, path: Path) -> "Reader":
        reader = cls(await aiosqlite.connect(uri(path, "ro"), uri=True, isolation_level=None))
        try:
            await reader._prepare()
        except BaseException:
            await reader.close()
            raise
        return reader

    async def _prepare(self) -> None:
        for pragma in READER:
            await self._connection.execute_fetchall(f"PRAGMA {pragma}")
        await self._connection.set_progress_handler(self._is_over, LONG_STEP)

    def _is_over(self) -> bool:
        self._steps_left -= LONG_STEP
        return self._steps_left <= 0 or self._has_no_time()

    def _has_no_time(self) -> bool:
        return (self._read is not None and self._read.is_interrupted) or time.monotonic() > self._deadline

    async def fetch(self, statement: Statement, values: Mapping[str, Any], read: Read) -> list[Any]:
        if self._is_abandoned:
            # A statement that nobody waits for gives up within a moment; with the time of the next read, it would use that up.
            await self._connection.execute_fetchall("SELECT 1")
            self._is_abandoned = False
        self._read = read
        self._deadline = read.begin()
        try:
            while statement.fallback is not None:
                if (rows := await self._within_steps(statement, values)) is not None:
                    return rows
                statement = statement.fallback
            return await self._rows(statement, values)
        except asyncio.CancelledError:
            read.is_interrupted = True
            self._is_abandoned = True
            raise
        finally:
            read.end()

    async def _within_steps(self, statement: Statement, values: Mapping[str, Any]) -> list[Any] | None:
        """Return the rows, or None where the statement takes more than its steps."""
        try:
            return await self._rows(statement, values)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT or self._has_no_time():
                raise
            return None

    async def _rows(self, statement: Statement, values: Mapping[str, Any]) -> list[Any]:
        self._steps_left = (statement.max_steps or SHORT_STEPS) if statement.fallback else math.inf
        return await self._connection.execute_fetchall(statement.text, statement.arguments(values))  # type: ignore[return-value]  # a list

    async def close(self) -> None:
        await self._connection.close()
