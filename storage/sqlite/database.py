"""The embedded database: one writer, a few readers, what each may do and for how long."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlmodel import Session

from storage.caller import OURSELVES
from storage.changes import wakeups
from storage.database import Database, Insert, NotAtOnce, Progress, Remains, WipedSince
from storage.errors import DatabaseBusy, DatabaseUnusable
from storage.queries.statements import Statement
from storage.sqlite import backup, files, filling, indexes, leftovers, migrating, people, revoking
from storage.sqlite.connecting import is_writable, writer_of
from storage.sqlite.dialect import DIALECT
from storage.sqlite.errors import translate_errors, unusable
from storage.sqlite.files import OpenFiles
from storage.sqlite.health import Health
from storage.sqlite.keywords import optimize_index
from storage.sqlite.migrating import Schema
from storage.sqlite.reader_pool import ReaderPool
from storage.sqlite.readers import InlineReader, Read, Reader
from storage.sqlite.wiped_since import wiped_since
from storage.sqlite.writing import Writer
from storage.writes import WriteState

T = TypeVar("T")

READERS = 2
STATEMENT_SECONDS = 3.0
WAIT_SECONDS = 2.0
WATCH_SECONDS = 1.0
# To ask whether another process has written takes some microseconds.
POLL_SECONDS = 0.02
# Whoever reads in the log keeps it from being cut off.
TRUNCATING_SECONDS = 30.0

SCHEMA = Statement(migrating.SCHEMA, ())


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
        self._pool = ReaderPool([], self.accounts, wait_seconds=wait_seconds)
        self._engine = writer_of(self.path)
        self._writer = Writer(self._engine, self.path, wait_seconds, self._count_commit)
        self._files: OpenFiles | None = None
        self._health: Health | None = None
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, url: sa.URL) -> Self:
        """Raise DatabaseUnusable for a URL that names no file."""
        if not url.database or url.database == ":memory:":
            raise DatabaseUnusable("The database must be a file: give a URL like sqlite:///home_visits.db.")
        return cls(Path(url.database))

    def __str__(self) -> str:
        return str(self.path)

    async def open(self) -> Self:
        """Connect; raise DatabaseUnusable where the file cannot be opened or written, or is no database."""
        files.put_foreign_log_aside(self.path)
        try:
            with translate_errors():
                await self._writer.open()
                for _ in range(READERS):
                    self._readers.append(await Reader.open(self.path))
                self._inline_reader = InlineReader(self.path)
            self._pool = ReaderPool(self._readers, self.accounts, wait_seconds=self._wait_seconds)
            await self._begin_watching()
        except BaseException:
            await self.close()
            raise
        return self

    async def _begin_watching(self) -> None:
        if obstacle := self.obstacle():
            raise DatabaseUnusable(f"{obstacle}.")
        self._files = OpenFiles(self.path)
        self._health = Health(self._files)
        self._writer.begin_watching(self._health)
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        await self._writer.finish()
        for reader in self._readers:
            await reader.close()
        self._readers.clear()
        if self._inline_reader is not None:
            self._inline_reader.close()
            self._inline_reader = None
        await self._writer.close(keep_log=self._files is not None and self._files.is_overwritten)
        if self._files is not None:
            self._files.close()
            self._files = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            with suppress(DatabaseUnusable):
                await self.check()

    async def check(self) -> None:
        if self._health is None or self._files is None:
            raise DatabaseUnusable("The database is not open.")
        self._health.check_permissions()
        if self._health.look() is files.OVERWRITTEN and not self._files.is_overwritten:
            await asyncio.to_thread(self._examine, self._files)
        self._health.require_writable()
        try:
            [schema] = await self._rows(SCHEMA, {})
        except (sqlite3.Error, ValueError):
            raise DatabaseUnusable("The database no longer holds the tables of this program. Restore a backup.") from None
        self._health.note_schema(Schema.of(*schema).fault())
        self._health.require_usable()

    def _examine(self, opened: OpenFiles) -> None:
        """Find out whether a file was damaged that something else than SQLite has touched."""
        if backup.problem(self.path, "PRAGMA quick_check(1)"):
            opened.condemn()
        else:
            opened.accept()

    async def fetch(self, statement: Statement, values: Mapping[str, Any], subject: str = OURSELVES) -> list[Any]:
        self.statement_count += 1
        if self._health is not None and self._health.fault is not None:
            self._health.require_readable()
        try:
            return await self._rows(statement, values, subject)
        except sqlite3.OperationalError:
            # A newer version of the program may have changed the tables a moment ago.
            await self.check()
            raise

    async def _rows(self, statement: Statement, values: Mapping[str, Any], subject: str = OURSELVES) -> list[Any]:
        try:
            # Who has used more than a share keeps the loop from nobody while others wait for a thread.
            is_last = self._pool.others_wait(subject) and self.accounts.is_overdrawn(subject)
            if not is_last and (rows := self._rows_at_once(statement, values, subject)) is not None:
                return rows
            return await self._pool.fetch(statement, values, Read(subject, self._statement_seconds))
        except sqlite3.Error as error:
            if refusal := self._refusal_for(error):
                raise refusal from error
            raise

    def at_once(self) -> Database:
        return _AtOnce(self)

    def _rows_at_once(self, statement: Statement, values: Mapping[str, Any], subject: str) -> list[Any] | None:
        """Return the rows, or None where a thread should read them."""
        reader = self._inline_reader
        if reader is None:
            return None
        rows = reader.fetch(statement.text, statement.arguments(values))
        if reader.seconds:
            self.accounts.charge_reading(subject, reader.seconds)
        return rows

    def others_wait(self, subject: str) -> bool:
        return self._pool.others_wait(subject)

    def _refusal_for(self, error: sqlite3.Error) -> DatabaseUnusable | None:
        refusal = unusable(error)
        if refusal and self._health and not isinstance(refusal, DatabaseBusy):
            self._health.note_failure(refusal)
        return refusal

    def version(self) -> int | None:
        return self._inline_reader.version() if self._inline_reader is not None else None

    async def write(self, work: Callable[[Session], T], state: WriteState | None = None) -> T:
        return await self._writer.write(work, state)

    def _count_commit(self) -> None:
        self.transaction_count += 1
        self.followers.wake()

    async def changes(self) -> AsyncGenerator[None]:
        async with self.followers.joined() as latch, aclosing(wakeups(latch)) as wakes:
            polling = asyncio.create_task(self._poll(latch, self.version()))
            try:
                async for _ in wakes:
                    yield
            finally:
                polling.cancel()
                await asyncio.gather(polling, return_exceptions=True)

    async def _poll(self, latch: asyncio.Event, version: int | None) -> None:
        """Set the latch once anybody has written since `version`: this process too, which says so sooner by itself."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            # None: it cannot be told just now.
            if (present := self.version()) not in (version, None):
                version = present
                latch.set()

    def importing(self, *, large: bool) -> AbstractAsyncContextManager[None]:
        return indexes.indexes_built_after(self, large=large)

    async def optimize(self) -> None:
        for index in ("home_visits_notes", *people.INDEXES):
            await optimize_index(self, index)

    async def purge(self) -> Remains:
        await self.optimize()
        # Beside a reader that stays, the log would grow by the whole file each time.
        if await self._writer.truncate_log(TRUNCATING_SECONDS):
            if obstacle := await self._writer.rewrite(self.lock_seconds):
                return Remains((obstacle,))
            if await self._writer.truncate_log(TRUNCATING_SECONDS):
                return Remains()
        return Remains((f"{self.path}-wal holds what was wiped: somebody has been reading for long. Run it again.",))

    def other_copies(self) -> list[Path]:
        leftovers.remove_leftovers(self.path.parent)
        return files.kept_aside(self.path)

    def wiped_since(self, kept: Path, eraser: str) -> WipedSince | None:
        return wiped_since(self.path, kept, eraser)

    def revoked_since(self, kept: Path, source: Path) -> Collection[str] | None:
        return revoking.revoked_since(kept, source)

    async def number_on(self) -> None:
        """SQLite numbers from the largest number that there is."""

    def frozen(self) -> AbstractAsyncContextManager[None]:
        return filling.frozen(self.path)

    def filling(self) -> AbstractAsyncContextManager[Insert]:
        return filling.filling(self)

    def other_user(self) -> str | None:
        process = files.lock_holder(self.path)
        return f"process {process}" if process else None

    def obstacle(self) -> str | None:
        return files.obstacle(self._path)

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
        with leftovers.temporary_folder() as folder:
            copy = folder / self.path.name
            backup.backup(self.path, copy)
            yield SQLiteDatabase(copy)

    def restore(self, source: Path) -> Path | None:
        return backup.restore(source, self._path)


class _AtOnce(SQLiteDatabase):
    """A database, all of its state included, whose reads are those on the event loop alone."""

    is_at_once = True

    def __init__(self, database: SQLiteDatabase) -> None:
        self.__dict__ = database.__dict__

    async def fetch(
        self,
        statement: Statement,
        values: Mapping[str, Any],
        subject: str = OURSELVES,
    ) -> list[Any]:
        if self._health is not None and self._health.fault is not None:
            raise NotAtOnce
        rows = self._rows_at_once(statement, values, subject)
        if rows is None:
            raise NotAtOnce
        self.statement_count += 1
        return rows

    def begin(self, reading: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
        reading.close()
        raise NotAtOnce

    async def write(self, work: object, state: object = None) -> Any:  # noqa: ARG002 - nothing is written
        raise NotAtOnce
