"""Connections that read: one at a glance, on the loop itself, and others in threads of their own."""

import asyncio
import math
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from storage.queries.statements import Statement
from storage.sqlite import checkpoints

BUSY_SECONDS = 5.0
# Instructions of SQLite's virtual machine, a thousand in some 30 microseconds: unlike a clock they count alike on a busy machine.
STEP = 1_000
INLINE_STEPS = 50
SLOW_FOR = 50
LONG_STEP = 10_000
SLOW_KNOWN = 1_000

EVERY_CONNECTION = (
    "foreign_keys = ON",
    "secure_delete = ON",
    "trusted_schema = OFF",
    f"busy_timeout = {int(BUSY_SECONDS * 1000)}",
    *checkpoints.PRAGMAS,
)
# No mmap_size: after each write it costs more than it saves, and where the file is cut or the disk fails it ends the process.
READER = ("query_only = ON", "cache_size = -12000", *EVERY_CONNECTION)


class InlineReader:
    """A connection that reads on the loop itself, for as long as that costs less than to have a thread do it.

    Waking a thread takes longer than most reads do. One that is not done within its time is given to a thread after all, and
    so are the next that run the same statement.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            # Nobody else is served while the loop waits: what finds the database busy is for a thread.
            for pragma in (*READER, "busy_timeout = 0"):
                self._connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            self._connection.close()
            raise
        self._left = 0
        self._slow: dict[str, int] = {}
        self._connection.set_progress_handler(self._is_over, STEP)

    def _is_over(self) -> bool:
        self._left -= 1
        return self._left < 0

    def fetch(self, text: str, values: Sequence[Any]) -> list[Any] | None:
        """Return the rows, or None where a thread should read them."""
        if (slow := self._slow.get(text)) is not None:
            if slow:
                self._slow[text] = slow - 1
                return None
            del self._slow[text]
        self._left = INLINE_STEPS
        try:
            return self._connection.execute(text, values).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY):
                raise
        if len(self._slow) >= SLOW_KNOWN:
            self._slow.clear()
        self._slow[text] = SLOW_FOR
        return None

    def version(self) -> int | None:
        """Return a number that is another one once anybody has written; None where that cannot be told at once."""
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None
        return int(version)

    def close(self) -> None:
        self._connection.close()


class Reader:
    """A connection that gives up a statement when its time is over, or when nobody waits for it any more."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._until = 0.0
        self._steps: float = math.inf
        self._left_behind = False

    @classmethod
    async def open(cls, path: Path) -> "Reader":
        reader = cls(await aiosqlite.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None))
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
        self._steps -= LONG_STEP
        return self._steps <= 0 or time.monotonic() > self._until

    async def fetch(self, statement: Statement, values: Mapping[str, Any], seconds: float) -> list[Any]:
        if self._left_behind:
            # What nobody waits for gives up within a moment; given new time, it would use up that of this statement.
            await self._connection.execute_fetchall("SELECT 1")
            self._left_behind = False
        self._until = time.monotonic() + seconds
        try:
            while statement.fallback is not None:
                if (rows := await self._soon(statement, values)) is not None:
                    return rows
                statement = statement.fallback
            return await self._rows(statement, values)
        except asyncio.CancelledError:
            self._until = 0.0
            self._left_behind = True
            raise

    async def _soon(self, statement: Statement, values: Mapping[str, Any]) -> list[Any] | None:
        """Return the rows, or None where that takes long."""
        try:
            return await self._rows(statement, values)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT or time.monotonic() > self._until:
                raise
            return None

    async def _rows(self, statement: Statement, values: Mapping[str, Any]) -> list[Any]:
        self._steps = statement.max_steps if statement.fallback else math.inf
        return await self._connection.execute_fetchall(statement.text, statement.given(values))  # type: ignore[return-value]  # a list

    async def close(self) -> None:
        await self._connection.close()
