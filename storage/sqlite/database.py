"""The embedded database: one writer, a few readers, what each may do and for how long."""

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from storage.errors import DatabaseBusy, DatabaseFull, DatabaseUnusable, Refusal
from storage.queries.reference_cache import ReferenceCache
from storage.queries.statements import Statement
from storage.sqlite import checkpoints
from storage.sqlite.readers import BUSY_SECONDS, EVERY_CONNECTION, InlineReader, Reader

T = TypeVar("T")

READERS = 2
STATEMENT_SECONDS = 3.0
WAIT_SECONDS = 2.0
TRIES = 5

# The index of keywords is kept by triggers, in which SQLite before 3.44 takes it for unsafe.
TRUSTED = "OFF" if sqlite3.sqlite_version_info >= (3, 44) else "ON"
WRITER = ("journal_mode = WAL", "synchronous = FULL", *EVERY_CONNECTION, f"trusted_schema = {TRUSTED}")


def execute_in_session(session: Session, statement: Statement, values: Mapping[str, Any]) -> Sequence[Any]:
    """Run one statement in a transaction and return its rows, each a tuple as stored."""
    given = tuple(values[name] for name in statement.names)
    return session.connection().exec_driver_sql(statement.text, given).fetchall()


def database_path(url: str) -> Path:
    """Return the file that a URL such as `sqlite:///home_visits.db` names; raise DatabaseUnusable for any other."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise DatabaseUnusable("The database URL cannot be read: write it like sqlite:///home_visits.db.") from None
    if parsed.get_backend_name() != "sqlite":
        raise DatabaseUnusable(f"{parsed.get_backend_name()} databases are not served: give a URL like sqlite:///home_visits.db.")
    if not parsed.database or parsed.database == ":memory:":
        raise DatabaseUnusable("The database must be a file: give a URL like sqlite:///home_visits.db.")
    return Path(parsed.database)


class Database:
    """`fetched` counts the statements that reads sent, `written` the transactions that were committed."""

    def __init__(self, path: Path, *, statement_seconds: float = STATEMENT_SECONDS, wait_seconds: float = WAIT_SECONDS) -> None:
        self.path = path.absolute()
        self.fetched = 0
        self.written = 0
        self.reference_cache = ReferenceCache(self._version)
        self._statement_seconds = statement_seconds
        self._wait_seconds = wait_seconds
        self._inline_reader: InlineReader | None = None
        self._readers: list[Reader] = []
        self._idle: list[Reader] = []
        self._free = asyncio.Semaphore(READERS)
        self._writing: set[asyncio.Task[Any]] = set()
        self._may_write = asyncio.Lock()
        self._writer = ThreadPoolExecutor(1, "writer")
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self.path)), pool_size=1, max_overflow=0, pool_reset_on_return=None
        )
        sa.event.listen(self._engine, "connect", _prepare_writer)
        checkpoints.keep_log_short(self._engine, self.path)
        sa.event.listen(self._engine, "begin", _begin)

    async def open(self) -> "Database":
        """Connect; raise DatabaseUnusable where the file cannot be opened or is no database."""
        try:
            with translate_errors():
                await self._by_the_writer(lambda: self._engine.connect().close())
                for _ in range(READERS):
                    self._readers.append(await Reader.open(self.path))
                self._inline_reader = InlineReader(self.path)
        except BaseException:
            await self.close()
            raise
        self._idle = list(self._readers)
        return self

    async def fetch(self, statement: Statement, values: dict[str, Any]) -> list[Any]:
        """Run one statement and return its rows, each a tuple as stored."""
        self.fetched += 1
        try:
            if (
                self._inline_reader is not None
                and (rows := self._inline_reader.fetch(statement.text, statement.given(values))) is not None
            ):
                return rows
            reader = await self._free_reader()
            try:
                return await reader.fetch(statement, values, self._statement_seconds)
            finally:
                self._idle.append(reader)
                self._free.release()
        except sqlite3.Error as error:
            if told := _plain(error):
                raise told from error
            raise

    def _version(self) -> int | None:
        return self._inline_reader.version() if self._inline_reader is not None else None

    async def _free_reader(self) -> Reader:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise DatabaseBusy from None
        return self._idle.pop()

    async def check(self) -> None:
        """Raise DatabaseUnusable where it does not answer."""
        await self.fetch(Statement("SELECT 1", ()), {})

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction that nobody else writes beside, in the writer's thread, and commit it.

        It goes on to its end when the caller goes away: a transaction cut off in the middle would keep the lock.
        `work` runs again from its start when the database was busy.
        """
        task = asyncio.ensure_future(self._attempts(work))
        self._writing.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    def _written(self, task: "asyncio.Task[Any]") -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # somebody has asked for it, even if the caller is gone

    async def _attempts(self, work: Callable[[Session], T]) -> T:
        until = time.monotonic() + BUSY_SECONDS
        for attempt in range(1, TRIES + 1):
            try:
                return await self._attempt(work)
            except DatabaseBusy:
                if attempt == TRIES or time.monotonic() > until:
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
                done = await self._by_the_writer(lambda: self._committed(work))
        finally:
            self._may_write.release()
        self.written += 1
        return done

    def _committed(self, work: Callable[[Session], T]) -> T:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            try:
                return work(session)
            except Refusal:
                # It tells of records as they were read: the rollback would empty those of the session.
                session.expunge_all()
                raise

    async def _by_the_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    async def close(self) -> None:
        """Finish what is being written, then disconnect."""
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


def _prepare_writer(connection: Any, _record: Any) -> None:
    # The driver's own transactions begin too late; ours take the write lock with their first word.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in WRITER:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Turn what the driver says about the database itself into what the caller can do."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        if told := _plain(error):
            raise told from error
        raise


def _plain(error: DBAPIError | sqlite3.Error) -> DatabaseUnusable | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    match getattr(cause, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return DatabaseFull()
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_INTERRUPT:
            return DatabaseBusy()
        case (
            sqlite3.SQLITE_CANTOPEN
            | sqlite3.SQLITE_NOTADB
            | sqlite3.SQLITE_CORRUPT
            | sqlite3.SQLITE_READONLY
            | sqlite3.SQLITE_IOERR
        ):
            return DatabaseUnusable(f"The database cannot be used: {cause}. Check the file, its folder and their permissions.")
    return None
