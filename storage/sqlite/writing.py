"""Transactions that write: one after the other, each whole, and acknowledged only where a restart would find it."""

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlmodel import Session

from storage import migrations
from storage.errors import DatabaseBusy, DatabaseUnusable, Refusal, WriteInDoubt
from storage.sqlite import checkpoints, migrating, rewriting
from storage.sqlite.dialect import DIALECT
from storage.sqlite.errors import is_rolled_back, translate_errors
from storage.sqlite.health import Health
from storage.sqlite.locking import BUSY_SECONDS, driver_connection
from storage.sqlite.migrating import Schema
from storage.writes import Writes, WriteState, WriteWithdrawn

T = TypeVar("T")

MAX_ATTEMPTS = 5
TRUNCATING_PAUSE_SECONDS, LONGEST_TRUNCATING_PAUSE_SECONDS = 0.02, 1.0
# How long one attempt to cut off the log waits for who is writing.
TRUNCATING_SECONDS = 1.0
INTERRUPTING_PAUSE_SECONDS = 0.05


class Writer:
    """Runs transactions in its thread; `on_commit` is called after each that was committed."""

    def __init__(self, engine: sa.Engine, path: Path, wait_seconds: float, on_commit: Callable[[], None]) -> None:
        self._engine = engine
        self._path = path
        self._wait_seconds = wait_seconds
        self._on_commit = on_commit
        self._health: Health | None = None
        self._writes = Writes()
        self._may_write = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "writer")
        self._is_finishing = False
        self._purging: sqlite3.Connection | None = None
        self._purging_lock = threading.Lock()

    async def open(self) -> None:
        await self._in_thread(self._connect)

    def _connect(self) -> None:
        with self._engine.connect() as connection:
            # The log is there from the first read on.
            driver_connection(connection).execute("SELECT 1 FROM sqlite_schema").fetchone()
        checkpoints.move_leftovers(self._engine, self._path)

    def begin_watching(self, health: Health) -> None:
        """From now on refuse what a restart would not find."""
        self._health = health

    async def finish(self) -> None:
        """Wait for all writes to end, and break off what purges."""
        self._is_finishing = True
        finishing = asyncio.ensure_future(self._writes.finish())
        while not finishing.done():
            with self._purging_lock:
                if self._purging is not None:
                    self._purging.interrupt()
            await asyncio.wait({finishing}, timeout=INTERRUPTING_PAUSE_SECONDS)

    async def close(self, *, keep_log: bool) -> None:
        """Disconnect; where `keep_log`, without moving what is in the log into the database, as SQLite does otherwise."""
        if keep_log:
            await self._in_thread(self._interrupt)
        self._engine.dispose()
        self._thread.shutdown()

    def _interrupt(self) -> None:
        with self._engine.connect() as connection:
            driver_connection(connection).interrupt()

    async def truncate_log(self, seconds: float) -> bool:
        """Cut off the log; return whether that was done in time: somebody may read in it."""
        until, pause = time.monotonic() + seconds, TRUNCATING_PAUSE_SECONDS
        while time.monotonic() < until:
            if await self._purge(self._truncate_log, min(until, time.monotonic() + TRUNCATING_SECONDS)):
                return True
            await asyncio.sleep(pause)
            # Each attempt is a transaction, and has the disk write.
            pause = min(2 * pause, LONGEST_TRUNCATING_PAUSE_SECONDS)
        return False

    async def rewrite(self, seconds: float) -> str | None:
        """Rewrite the file; return why that could not be, see `rewriting.rewrite`. Raises DatabaseBusy."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await self._purge(self._rewrite, seconds)
            except DatabaseBusy:
                if attempt == MAX_ATTEMPTS:
                    raise
            # Whoever waits meanwhile in this process gets the lock before the next attempt.
            await asyncio.sleep(LONGEST_TRUNCATING_PAUSE_SECONDS)
        raise AssertionError("the last attempt returns or raises")

    async def _purge(self, work: Callable[[sqlite3.Connection, float], T], seconds: float) -> T:
        async def in_turn() -> T:
            async with self._may_write:
                return await self._in_thread(lambda: self._interruptible(work, seconds))

        # One that goes on without its caller is waited for as a write is.
        return await self._writes.run(in_turn(), None)

    def _interruptible(self, work: Callable[[sqlite3.Connection, float], T], seconds: float) -> T:
        if self._is_finishing:
            raise DatabaseBusy
        with translate_errors(), self._engine.connect() as connection:
            driver = driver_connection(connection)
            self._set_purging(driver)
            try:
                return work(driver, seconds)
            finally:
                self._set_purging(None)

    def _set_purging(self, driver: sqlite3.Connection | None) -> None:
        with self._purging_lock:
            self._purging = driver

    def _rewrite(self, driver: sqlite3.Connection, seconds: float) -> str | None:
        if self._health:
            self._health.require_writable()
        return rewriting.rewrite(driver, self._path, seconds)

    def _truncate_log(self, driver: sqlite3.Connection, until: float) -> bool:
        return checkpoints.truncate(driver, self._path, until)

    async def write(self, work: Callable[[Session], T], state: WriteState | None = None) -> T:
        """Run `work` in one transaction; see `Database.write`.

        Once begun it goes on to its end when the caller goes away: a transaction cut off in the middle would keep the lock.
        `work` runs again from its start when the database was busy.
        """
        return await self._writes.run(self._attempts(work, state or WriteState()), state)

    async def _attempts(self, work: Callable[[Session], T], state: WriteState) -> T:
        # Whoever has waited for the lock gives up: SQLite does so some milliseconds before its time-out is over.
        deadline = time.monotonic() + 0.9 * BUSY_SECONDS
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await self._attempt(work, state)
            except DatabaseBusy:
                if attempt == MAX_ATTEMPTS or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(random.uniform(0.5, 1) * 0.01 * 2**attempt)  # noqa: S311 - jitter is no secret
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, work: Callable[[Session], T], state: WriteState) -> T:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._may_write.acquire()
        except TimeoutError:
            raise DatabaseBusy from None
        try:
            if state.is_withdrawn:
                raise WriteWithdrawn
            result = await self._in_thread(lambda: self._in_transaction(work, state))
        finally:
            self._may_write.release()
        self._on_commit()
        return result

    def _in_transaction(self, work: Callable[[Session], T], state: WriteState) -> T:
        health = self._health
        try:
            with translate_errors():
                return self._run(work, state, health)
        except DatabaseBusy:
            raise
        except DatabaseUnusable as refusal:
            if health:
                health.note_failure(refusal)
            raise

    def _run(self, work: Callable[[Session], T], state: WriteState, health: Health | None) -> T:
        if health:
            # Before a checkpoint, which would write into whatever file is open.
            health.require_writable()
        with Session(self._engine, expire_on_commit=False, info={"dialect": DIALECT}) as session:
            try:
                connection = driver_connection(session.connection())  # waits for the write lock
                state.begin()
                self._require_schema(connection, health)
                result = work(session)
                session.flush()
            except BaseException as error:
                if isinstance(error, Refusal):
                    # It carries records as they were read: the rollback would empty those of the session.
                    session.expunge_all()
                session.rollback()
                state.rolled_back()
                raise
            self._commit(session, state, health)
        return result

    def _require_schema(self, connection: sqlite3.Connection, health: Health | None) -> None:
        """Raise DatabaseUnusable where a newer version of the program has changed the schema, and left none for this one."""
        (serves_from,) = connection.execute("PRAGMA user_version").fetchone()
        if health and serves_from > int(migrations.HEAD):
            health.note_schema(Schema.of(*connection.execute(migrating.SCHEMA).fetchone()).fault())
            health.require_writable()

    def _commit(self, session: Session, state: WriteState, health: Health | None) -> None:
        """Raise WriteInDoubt where the commit fails, unless SQLite is sure to have rolled it back."""
        try:
            session.commit()
        except Exception as error:
            session.rollback()
            if not is_rolled_back(error):
                raise WriteInDoubt from error
            state.rolled_back()
            raise
        if health:
            health.require_kept()
            health.note_commit()
        state.committed()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
