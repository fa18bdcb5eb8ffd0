"""The database past one machine: reads by one call of the driver each, writes in transactions that meet and are run again."""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from shlex import quote
from typing import Any, NoReturn, Self, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.pool import NullPool
from sqlmodel import Session

from storage import migrations
from storage.caller import OURSELVES
from storage.changes import has_events, wakeups
from storage.database import Database, Insert, Progress, Remains, WipedSince
from storage.errors import DatabaseBusy, DatabaseUnusable, Refusal, WriteInDoubt
from storage.postgresql import filling, indexes, locks, migrating, purging
from storage.postgresql.connecting import connect
from storage.postgresql.connections import CONNECTIONS, WAIT_SECONDS, WRITE_LEASE, Connections
from storage.postgresql.dialect import DIALECT, register
from storage.postgresql.health import Health
from storage.postgresql.leases import ANSWER_SECONDS, Lease
from storage.postgresql.refusals import REPEATABLE, STALE, cause_of, is_lost, is_rolled_back, sqlstate, translate_errors
from storage.postgresql.urls import dsn_of, without_password
from storage.postgresql.waking import NOTIFY, Announcer, Listener
from storage.queries.people_search import SEARCH
from storage.queries.search import INDEXED_KEYWORD, KEYWORD
from storage.queries.statements import Statement
from storage.writes import Writes, WriteState

T = TypeVar("T")

MAX_ATTEMPTS = 5
# `/readyz` tells within five seconds.
CHECK_SECONDS = 4.0
# So long a write may take to begin, however often; in what is left of ANSWER_SECONDS it is done and committed.
BEGIN_SECONDS = 4.0
# To rebuild statistics of all tables takes seconds.
PATIENCE_SECONDS = 600.0
# Parameters whose values say how many rows there are: keywords, and times of events.
_TELLING = frozenset((KEYWORD, INDEXED_KEYWORD, SEARCH, "at_from", "at_before"))


class PostgreSQLDatabase(Database):
    """A database that any number of processes share. Nothing is remembered from one request to the next."""

    dialect = DIALECT

    def __init__(
        self, url: str, *, pooled: bool = False, connections: int = CONNECTIONS, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        super().__init__()
        self._dsn = dsn_of(url)
        self._pooled = pooled
        self._size = connections
        self._wait_seconds = wait_seconds
        self._connections = Connections(self._dsn, pooled=pooled, size=connections, wait_seconds=wait_seconds)
        self._engine: AsyncEngine | None = None
        self._writes = Writes()
        self._reading, self._writing = Health("read"), Health("written")
        self._announcer = Announcer(self._notify)
        self._listener = Listener(self._dsn, self.followers)

    def __str__(self) -> str:
        return without_password(self._dsn)

    async def open(self) -> Self:
        self._connections = Connections(
            self._dsn, pooled=self._pooled, size=self._size, wait_seconds=self._wait_seconds, accounts=self.accounts
        )
        register()
        self._engine = create_async_engine(
            "postgresql+home_visits://", async_creator=self._connections.acquire, poolclass=NullPool
        )
        try:
            await self.check()
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        await self._writes.finish()
        await self._announcer.close()
        await self._listener.close()
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None
        await self._connections.close()

    async def check(self) -> None:
        with self._reading.translating(busy=True):
            async with asyncio.timeout(CHECK_SECONDS):
                [schema] = await self._read(migrating.SCHEMA, [], OURSELVES, custom_plan=False)
        if reason := migrations.why_unserved(*schema):
            raise DatabaseUnusable(reason)

    async def fetch(self, statement: Statement, values: Mapping[str, Any], subject: str = OURSELVES) -> list[Any]:
        rows = await self._fetch(statement, values, subject)
        while (following := statement.after(len(rows), values.get("limit", 0))) is not None:
            statement = following
            rows = await self._fetch(statement, values, subject)
        return rows

    async def _fetch(self, statement: Statement, values: Mapping[str, Any], subject: str) -> list[Any]:
        self.statement_count += 1
        custom_plan = statement.by_values or not _TELLING.isdisjoint(statement.names)
        return await self._read(statement.text, statement.arguments(values), subject, custom_plan=custom_plan)

    async def _read(self, text: str, arguments: list[Any], subject: str, *, custom_plan: bool) -> list[Any]:
        try:
            rows = await self._connections.read(text, arguments, subject, custom_plan=custom_plan)
        except Exception as error:
            if sqlstate(error) not in STALE:
                with self._reading.translating():
                    raise
            self._connections.forget_statements()
        else:
            if self._reading.failure is not None:
                self._reading.note_success()
            return rows
        with self._reading.translating():
            return await self._connections.read(text, arguments, subject, custom_plan=custom_plan)

    def others_wait(self, subject: str) -> bool:
        return self._connections.others_wait(subject)

    def version(self) -> int | None:
        return None

    async def write(self, work: Callable[[Session], T], state: WriteState | None = None) -> T:
        """Run `work` in one transaction, and again from its start where it met another one; see `Database.write`."""
        return await self._writes.run(self._attempts(work, state or WriteState(), is_patient=state is None), state)

    async def _attempts(self, work: Callable[[Session], T], state: WriteState, *, is_patient: bool) -> T:
        loop = asyncio.get_running_loop()
        begins_by = loop.time() + BEGIN_SECONDS
        # What nobody waits for, such as a part of an import, may take its time.
        ends = math.inf if is_patient else loop.time() + ANSWER_SECONDS
        for attempt in range(1, MAX_ATTEMPTS + 1):
            lease = Lease(state.subject, ends=begins_by)
            try:
                result = await self._attempt(work, state, lease, ends)
            except Exception as error:
                is_repeatable = self._is_repeatable(error, is_first=attempt == 1) and loop.time() <= begins_by
                if attempt == MAX_ATTEMPTS or not is_repeatable:
                    with self._writing.translating():
                        if lease.is_late and is_lost(error):
                            raise DatabaseBusy from error
                        raise
            else:
                self.transaction_count += 1
                self._writing.note_success()
                return result
            await asyncio.sleep(random.uniform(0.5, 1) * 0.01 * 2**attempt)  # noqa: S311 - jitter is no secret
        raise AssertionError("the last attempt returns or raises")

    def _is_repeatable(self, error: Exception, *, is_first: bool) -> bool:
        """Tell whether a write that failed so may succeed; see to it that it finds no connection of the kind that failed."""
        cause = error.__cause__ if isinstance(error, WriteInDoubt) and error.__cause__ else error
        if is_lost(cause) or isinstance(cause_of(cause), TimeoutError):
            self._connections.drop_idle()
        if sqlstate(error) in STALE:
            self._connections.forget_statements()
        if isinstance(error, DatabaseBusy):
            # Where all connections are taken, one write more is of the kind that takes them: it waits once again.
            return is_first
        return isinstance(error, StaleDataError) or sqlstate(error) in REPEATABLE | STALE

    async def _attempt(self, work: Callable[[Session], T], state: WriteState, lease: Lease, ends: float) -> T:
        WRITE_LEASE.set(lease)
        if self._engine is None:
            raise DatabaseUnusable(f"{self} is not open.")
        options: Any = {"sync_session_class": Session, "expire_on_commit": False, "info": {"dialect": DIALECT}}
        async with AsyncSession(self._engine, **options) as session:
            try:
                await session.connection()  # waits for one that is free
                lease.ends = ends
                state.begin()
                result = await session.run_sync(lambda inner: _run(work, inner))  # type: ignore[arg-type]  # it is the class above
                await session.flush()
            except BaseException:
                # Whatever the server was told, it commits nothing without being told so.
                state.rolled_back()
                raise
            await _commit(session, state)
        if has_events(session.sync_session):
            self.followers.wake()
            self._announcer.announce()
        return result

    async def _notify(self) -> None:
        await self._connections.read(NOTIFY, [], OURSELVES, custom_plan=False)

    async def changes(self) -> AsyncGenerator[None]:
        # Through PgBouncer nothing is heard.
        listening = nullcontext() if self._pooled else self._listener.listening()
        async with self.followers.joined() as latch, listening, aclosing(wakeups(latch)) as wakes:
            async for _ in wakes:
                yield

    def importing(self, *, large: bool) -> AbstractAsyncContextManager[None]:
        return indexes.indexes_built_after(self._dsn, large=large and not self._pooled)

    async def optimize(self) -> None:
        with translate_errors():
            async with self._patient_connection() as connection:
                await _analyze(connection)

    async def purge(self) -> Remains:
        with translate_errors():
            # Statistics hold the most common values of columns, names and addresses among them.
            async with self._patient_connection() as connection:
                await _analyze(connection, purging.TABLES)
                return await purging.purge_statistics(connection)

    def other_copies(self) -> list[Path]:
        return []

    def wiped_since(self, kept: Path, eraser: str) -> WipedSince | None:  # noqa: ARG002 - its backups are PostgreSQL's own
        return None

    def revoked_since(self, kept: Path, source: Path) -> Collection[str] | None:  # noqa: ARG002 - its backups are PostgreSQL's own
        return None

    @asynccontextmanager
    async def _patient_connection(self) -> AsyncIterator[Any]:
        """Connect for what takes long, and end that where its host may have vanished."""
        connection = await connect(self._dsn, pooled=self._pooled, patient=True)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                yield connection
                await connection.close()
        except BaseException:
            connection.terminate()
            raise

    async def number_on(self) -> None:
        with translate_errors():
            for table, column in (("home_visits", "number"), ("home_visit_events", "number")):
                largest = f"(SELECT coalesce(max({column}), 0) + 1 FROM {table})"  # noqa: S608 - our own names
                serial = f"pg_get_serial_sequence('{table}', '{column}')"
                await self._connections.read(f"SELECT setval({serial}, {largest}, false)", [], OURSELVES, custom_plan=False)

    def frozen(self) -> AbstractAsyncContextManager[None]:
        return locks.frozen(self._dsn, pooled=self._pooled)

    def filling(self) -> AbstractAsyncContextManager[Insert]:
        return filling.filling(self._dsn)

    def other_user(self) -> str | None:
        return _now(locks.other_user(self._dsn, pooled=self._pooled))

    def obstacle(self) -> str | None:
        return None

    def is_empty(self) -> bool:
        return _now(migrating.revision(self._dsn, pooled=self._pooled)) is None

    def migrate(self) -> bool:
        if self._pooled:
            _now(migrating.require_up_to_date(self._dsn, str(self)))
            return False
        return _now(migrating.migrate(self._dsn, str(self)))

    def backup(self, target: Path, progress: Progress | None = None) -> None:
        del progress
        _refuse(f"Copy it with PostgreSQL's own tool: pg_dump --format=custom --file={quote(str(target))} {quote(str(self))}")

    @contextmanager
    def readable(self) -> Iterator[Database]:
        yield self

    def restore(self, source: Path) -> Path | None:
        options = f"--clean --if-exists --dbname={quote(str(self))}"
        _refuse(f"Put it back with PostgreSQL's own tool: pg_restore {options} {quote(str(source))}")


def _run(work: Callable[[Session], T], session: Session) -> T:
    try:
        return work(session)
    except Refusal:
        # It carries records as they were read: the rollback would empty those of the session.
        session.expunge_all()
        raise


async def _commit(session: AsyncSession, state: WriteState) -> None:
    """Raise WriteInDoubt where the connection is lost on the way: nobody can say whether the server heard it."""
    try:
        await session.commit()
    except Exception as error:
        if not is_rolled_back(error):
            raise WriteInDoubt from error
        state.rolled_back()
        raise
    state.committed()


def _refuse(advice: str) -> NoReturn:
    # No full stop: it would be copied with the line to run.
    raise DatabaseUnusable(advice)


def _now(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop of its own, which the caller may have as well."""
    with ThreadPoolExecutor(1, "database") as thread:
        return thread.submit(asyncio.run, work).result()


async def _analyze(connection: Any, tables: str = "") -> None:
    # Through PgBouncer the role's time for a statement holds, which is a request's.
    await connection.execute(f"BEGIN; SET LOCAL statement_timeout = 0; ANALYZE {tables}; COMMIT")
