"""The embedded database: one writer, a few readers, what each may do and for how long."""

import asyncio
import contextlib
import math
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from storage import checkpoints
from storage.errors import DatabaseBusy, DatabaseFull, DatabaseUnusable, Refusal
from storage.statements import Statement

T = TypeVar("T")

READERS = 2
BUSY_SECONDS = 5.0
STATEMENT_SECONDS = 3.0
# Instructions of SQLite's virtual machine, a thousand in some 30 microseconds: unlike a clock they count alike on a busy machine.
STEP = 1_000
GLANCE_STEPS = 50
SLOW_FOR = 50
LONG_STEP = 10_000
SLOW_KNOWN = 1_000
WAIT_SECONDS = 2.0
TRIES = 5

EVERY_CONNECTION = (
    "foreign_keys = ON",
    "secure_delete = ON",
    "trusted_schema = OFF",
    f"busy_timeout = {int(BUSY_SECONDS * 1000)}",
    *checkpoints.PRAGMAS,
)
# The index of keywords is kept by triggers, in which SQLite before 3.44 takes it for unsafe.
TRUSTED = "OFF" if sqlite3.sqlite_version_info >= (3, 44) else "ON"
WRITER = ("journal_mode = WAL", "synchronous = FULL", *EVERY_CONNECTION, f"trusted_schema = {TRUSTED}")
# No mmap_size: after each write it costs more than it saves, and where the file is cut or the disk fails it ends the process.
READER = ("query_only = ON", "cache_size = -12000", *EVERY_CONNECTION)


def sent(session: Session, statement: Statement, values: Mapping[str, Any]) -> Sequence[Any]:
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


class _Glance:
    """A connection that reads on the loop itself, for as long as that costs less than to have a thread do it.

    Waking a thread takes longer than most reads do. One that is not done within its time is given to a thread after all, and
    so are the next that run the same statement.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        # Nobody else is served while the loop waits: what finds the database busy is for a thread.
        for pragma in (*READER, "busy_timeout = 0"):
            self._connection.execute(f"PRAGMA {pragma}")
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
        self._left = GLANCE_STEPS
        try:
            return self._connection.execute(text, values).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY):
                raise
        if len(self._slow) >= SLOW_KNOWN:
            self._slow.clear()
        self._slow[text] = SLOW_FOR
        return None

    def close(self) -> None:
        self._connection.close()


class _Reader:
    """A connection that gives up a statement when its time is over, or when nobody waits for it any more."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._until = 0.0
        self._steps: float = math.inf
        self._left_behind = False

    @classmethod
    async def open(cls, path: Path) -> "_Reader":
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
            while statement.instead is not None:
                if (rows := await self._soon(statement, values)) is not None:
                    return rows
                statement = statement.instead
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
        self._steps = statement.steps if statement.instead else math.inf
        return await self._connection.execute_fetchall(statement.text, statement.given(values))  # type: ignore[return-value]  # a list

    async def close(self) -> None:
        await self._connection.close()


class Database:
    """`fetched` counts the statements that reads sent, `written` the transactions that were committed."""

    def __init__(self, path: Path, *, statement_seconds: float = STATEMENT_SECONDS, wait_seconds: float = WAIT_SECONDS) -> None:
        self.path = path.absolute()
        self.fetched = 0
        self.written = 0
        self._statement_seconds = statement_seconds
        self._wait_seconds = wait_seconds
        self._glance: _Glance | None = None
        self._readers: list[_Reader] = []
        self._idle: list[_Reader] = []
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
            with told_plainly():
                await self._by_the_writer(lambda: self._engine.connect().close())
                for _ in range(READERS):
                    self._readers.append(await _Reader.open(self.path))
                self._glance = _Glance(self.path)
        except BaseException:
            await self.close()
            raise
        self._idle = list(self._readers)
        return self

    async def fetch(self, statement: Statement, values: dict[str, Any]) -> list[Any]:
        """Run one statement and return its rows, each a tuple as stored."""
        self.fetched += 1
        try:
            if self._glance is not None and (rows := self._glance.fetch(statement.text, statement.given(values))) is not None:
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

    async def _free_reader(self) -> _Reader:
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
            with told_plainly():
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
        if self._glance is not None:
            self._glance.close()
            self._glance = None
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
def told_plainly() -> Iterator[None]:
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
