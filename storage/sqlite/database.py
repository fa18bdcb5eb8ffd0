"""The embedded database: one writer, a few readers, what each may do and for how long."""

import asyncio
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlmodel import Session

from storage.database import Database, Progress
from storage.errors import DatabaseBusy, DatabaseUnusable, Refusal
from storage.queries.statements import Statement
from storage.sqlite import backup, indexes, migrating
from storage.sqlite.connecting import BUSY_SECONDS, is_writable, writer_of
from storage.sqlite.dialect import DIALECT
from storage.sqlite.errors import translate_errors, unusable
from storage.sqlite.keywords import optimize_index
from storage.sqlite.readers import InlineReader, Reader

T = TypeVar("T")

READERS = 2
STATEMENT_SECONDS = 3.0
WAIT_SECONDS = 2.0
MAX_ATTEMPTS = 5


class SQLiteDatabase(Database):
    """A file. Short reads run on the event loop, others in reader threads, writes one after the other in the writer's thread."""

    dialect = DIALECT

    def __init__(self, path: Path, *, statement_seconds: float = STATEMENT_SECONDS, wait_seconds: float = WAIT_SECONDS) -> None:
        super().__init__()
        self.path = path.absolute()
        self._path = path  # as it was named, for messages
        self._statement_seconds = statement_seconds
        self._wait_seconds = wait_seconds
        self._inline_reader: InlineReader | None = None
        self._readers: list[Reader] = []
        self._idle: list[Reader] = []
        self._free = asyncio.Semaphore(READERS)
        self._writing: set[asyncio.Task[Any]] = set()
        self._may_write = asyncio.Lock()
        self._writer = ThreadPoolExecutor(1, "writer")
        self._engine = writer_of(self.path)

    @classmethod
    def of(cls, url: sa.URL) -> Self:
        """Raise DatabaseUnusable for a URL that names no file."""
        if not url.database or url.database == ":memory:":
            raise DatabaseUnusable("The database must be a file: give a URL like sqlite:///home_visits.db.")
        return cls(Path(url.database))

    def __str__(self) -> str:
        return str(self.path)

    async def open(self) -> Self:
        """Connect; raise DatabaseUnusable where the file cannot be opened or is no database."""
        try:
            with translate_errors():
                await self._in_writer_thread(lambda: self._engine.connect().close())
                for _ in range(READERS):
                    self._readers.append(await Reader.open(self.path))
                self._inline_reader = InlineReader(self.path)
        except BaseException:
            await self.close()
            raise
        self._idle = list(self._readers)
        return self

    async def close(self) -> None:
        while self._writing:
            await asyncio.wait(self._writing)
        for reader in self._readers:
            await reader.close()
        self._readers.clear()
        if self._inline_reader is not None:
            self._inline_reader.close()
            self._inline_reader = None
        self._engine.dispose()
        self._writer.shutdown()

    async def check(self) -> None:
        await self.fetch(Statement("SELECT 1", ()), {})

    async def fetch(self, statement: Statement, values: Mapping[str, Any]) -> list[Any]:
        self.statement_count += 1
        try:
            if (
                self._inline_reader is not None
                and (rows := self._inline_reader.fetch(statement.text, statement.arguments(values))) is not None
            ):
                return rows
            reader = await self._free_reader()
            try:
                return await reader.fetch(statement, values, self._statement_seconds)
            finally:
                self._idle.append(reader)
                self._free.release()
        except sqlite3.Error as error:
            if refusal := unusable(error):
                raise refusal from error
            raise

    async def _free_reader(self) -> Reader:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise DatabaseBusy from None
        return self._idle.pop()

    def version(self) -> int | None:
        return self._inline_reader.version() if self._inline_reader is not None else None

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction that nobody else writes beside, in the writer's thread, and commit it.

        It goes on to its end when the caller goes away: a transaction cut off in the middle would keep the lock.
        `work` runs again from its start when the database was busy.
        """
        task = asyncio.ensure_future(self._attempts(work))
        self._writing.add(task)
        task.add_done_callback(self._end_of_write)
        return await asyncio.shield(task)

    def _end_of_write(self, task: "asyncio.Task[Any]") -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio logs one that nobody has looked at, which nobody does when the caller is gone

    async def _attempts(self, work: Callable[[Session], T]) -> T:
        # Whoever has waited for the lock gives up: SQLite does so some milliseconds before its time-out is over.
        deadline = time.monotonic() + 0.9 * BUSY_SECONDS
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await self._attempt(work)
            except DatabaseBusy:
                if attempt == MAX_ATTEMPTS or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(random.uniform(0.5, 1) * 0.01 * 2**attempt)  # noqa: S311 - jitter is no secret
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, work: Callable[[Session], T]) -> T:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._may_write.acquire()
        except TimeoutError:
            raise DatabaseBusy from None
        try:
            with translate_errors():
                result = await self._in_writer_thread(lambda: self._committed(work))
        finally:
            self._may_write.release()
        self.transaction_count += 1
        return result

    def _committed(self, work: Callable[[Session], T]) -> T:
        with Session(self._engine, expire_on_commit=False, info={"dialect": DIALECT}) as session, session.begin():
            try:
                return work(session)
            except Refusal:
                # It carries records as they were read: the rollback would empty those of the session.
                session.expunge_all()
                raise

    async def _in_writer_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    def importing(self, *, large: bool) -> AbstractAsyncContextManager[None]:
        return indexes.indexes_built_after(self, large=large)

    async def optimize(self) -> None:
        await optimize_index(self)

    def obstacle(self) -> str | None:
        parent = self._path.parent
        return None if os.access(parent, os.W_OK) else f"{parent} is no folder that can be written to"

    def is_empty(self) -> bool:
        return migrating.revision(self._path) is None

    def migrate(self) -> bool:
        return migrating.migrate(self._path)

    def backup(self, target: Path, progress: Progress | None = None) -> None:
        backup.backup(self._path, target, progress)

    @contextmanager
    def readable(self) -> Iterator[Database]:
        if is_writable(self.path) or not self.path.exists():
            yield self
            return
        with tempfile.TemporaryDirectory(prefix="home-visits-") as folder:
            copy = Path(folder, self.path.name)
            backup.backup(self.path, copy)
            yield SQLiteDatabase(copy)

    def restore(self, source: Path) -> Path | None:
        return backup.restore(source, self._path)
