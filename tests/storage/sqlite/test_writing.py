"""Writes are whole or nothing, one after the other, whatever their callers do."""

import asyncio
import gc
import sqlite3
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select, update

from storage.database import Database
from storage.errors import DatabaseBusy, DatabaseFull, DatabaseUnusable
from storage.models import User
from storage.queries.statements import Statement
from storage.sqlite import writing
from storage.sqlite.database import SQLiteDatabase
from tests.inspection import inspect
from tests.storage.homes import ALICE, everything_in, keep, visit
from tests.storage.sqlite.handling import alices_name, name_alice


async def test_a_write_is_committed_and_answers(database: Database, path: Path) -> None:
    def work(session: Session) -> str:
        name_alice(session, "Alison")
        return "done"

    assert await database.write(work) == "done"
    assert database.transaction_count == 1
    assert ("Alison") in str(everything_in(path)["users"])


async def test_what_fails_is_rolled_back_whole(database: Database, path: Path) -> None:
    before = everything_in(path)

    def work(session: Session) -> None:
        name_alice(session, "Alison")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(work)

    assert (everything_in(path), database.transaction_count) == (before, 0)


async def test_what_fails_for_another_reason_is_raised_as_it_is(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError) as raised:
        await keep(database, visit(1), visit(1))

    assert raised.value.__cause__ is raised.value.orig


async def test_what_refers_to_nothing_is_rolled_back_whole(database: Database, path: Path) -> None:
    before = everything_in(path)

    with pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY constraint failed"):
        await keep(database, visit(1), visit(2, assigned_to="9" * 24))
    with pytest.raises(sa.exc.IntegrityError, match="CHECK constraint failed: not_both"):
        await keep(database, visit(1, cancelled=visit(1).created, completed=visit(1).created))

    assert everything_in(path) == before


async def test_a_write_waits_for_another_process(path: Path, database: Database) -> None:
    release = threading.Event()

    def hold_lock() -> None:
        with inspect(path).locked():
            locked.set()
            release.wait(5)

    locked = threading.Event()
    other = threading.Thread(target=hold_lock)
    other.start()
    locked.wait(5)
    writing = asyncio.ensure_future(database.write(lambda session: name_alice(session, "Alison")))
    await asyncio.sleep(0.2)

    assert await alices_name(database) == "Alice"
    assert not writing.done()
    release.set()
    await writing
    other.join()
    assert await alices_name(database) == "Alison"


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writer not wait for locks itself, so that only attempts count."""
    monkeypatch.setattr("storage.sqlite.locking.BUSY_SECONDS", 0)


@pytest.fixture
def refusal() -> Iterator[tuple[threading.Event, threading.Event]]:
    """Be told of the first statement that a database refuses, and let its connection go on."""
    refused, may_go_on = threading.Event(), threading.Event()

    def wait(_context: sa.ExceptionContext) -> None:
        refused.set()
        assert may_go_on.wait(10)

    sa.event.listen(sa.Engine, "handle_error", wait)
    yield refused, may_go_on
    sa.event.remove(sa.Engine, "handle_error", wait)


@pytest.mark.usefixtures("_impatient")
async def test_a_write_that_finds_the_database_busy_is_tried_again(
    path: Path, database: Database, refusal: tuple[threading.Event, threading.Event]
) -> None:
    refused, may_go_on = refusal

    with inspect(path).locked():
        writing = asyncio.ensure_future(database.write(lambda session: name_alice(session, "Alison")))
        was_refused = await asyncio.to_thread(refused.wait, 10)
    may_go_on.set()
    await writing

    assert (was_refused, await alices_name(database)) == (True, "Alison")


@pytest.mark.usefixtures("_impatient")
async def test_a_write_that_finds_the_database_busy_for_long_is_given_up_with_nothing_changed(
    path: Path, database: Database
) -> None:
    before, began = everything_in(path), time.monotonic()

    with inspect(path).locked(), pytest.raises(DatabaseBusy, match="Nothing was changed: try again in a moment"):
        await database.write(lambda session: name_alice(session, "Alison"))

    assert time.monotonic() - began > 0.1
    assert everything_in(path) == before
    await database.write(lambda session: name_alice(session, "Alison"))
    assert await alices_name(database) == "Alison"


@pytest.mark.slow
async def test_a_write_that_has_waited_for_its_lock_is_not_attempted_again(path: Path, database: Database) -> None:
    refusals: list[sa.ExceptionContext] = []

    def note(context: sa.ExceptionContext) -> None:
        refusals.append(context)

    sa.event.listen(sa.Engine, "handle_error", note)
    with inspect(path).locked(), pytest.raises(DatabaseBusy):
        await database.write(lambda session: name_alice(session, "Alison"))
    sa.event.remove(sa.Engine, "handle_error", note)

    assert len(refusals) == 1


def failure(code: int) -> sqlite3.OperationalError:
    """Make an error as the driver raises it."""
    error = sqlite3.OperationalError("the driver's words")
    error.sqlite_errorcode = code
    return error


UNUSABLE = "The database cannot be used: the driver's words. Check the file, its folder and their permissions."


@pytest.mark.parametrize(
    ("codes", "refusal", "message"),
    [
        (
            [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT],
            DatabaseBusy,
            "The database did not answer in time. Nothing was changed: try again in a moment.",
        ),
        (
            [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CORRUPT_INDEX],
            DatabaseUnusable,
            UNUSABLE,
        ),
        (
            [sqlite3.SQLITE_READONLY, sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_FSYNC],
            DatabaseUnusable,
            UNUSABLE,
        ),
    ],
)
async def test_what_the_driver_says_of_the_database_becomes_what_a_caller_can_do(
    database: Database, codes: list[int], refusal: type[DatabaseUnusable], message: str
) -> None:
    def fail(_session: Session, code: int) -> None:
        raise failure(code)

    for code in codes:
        with pytest.raises(DatabaseUnusable) as refused:
            await database.write(partial(fail, code=code))

        assert (type(refused.value), str(refused.value)) == (refusal, message), code


async def test_a_full_disk_and_what_is_no_fault_of_the_database_are_told_apart(database: Database) -> None:
    def fail(_session: Session, code: int) -> None:
        raise failure(code)

    with pytest.raises(DatabaseFull):
        await database.write(partial(fail, code=sqlite3.SQLITE_FULL))
    with pytest.raises(sqlite3.OperationalError, match="the driver's words"):
        await database.write(partial(fail, code=sqlite3.SQLITE_ERROR))


async def test_a_write_is_attempted_five_times_and_then_given_up(database: Database, path: Path) -> None:
    attempts, before = [], everything_in(path)

    def work(session: Session) -> None:
        attempts.append(session)
        name_alice(session, "Alison")
        raise failure(sqlite3.SQLITE_BUSY)

    with pytest.raises(DatabaseBusy):
        await database.write(work)

    assert (len(attempts), database.transaction_count, everything_in(path)) == (5, 0, before)


async def test_work_that_is_tried_again_starts_from_the_beginning(database: Database) -> None:
    begun = []

    def work(session: Session) -> str | None:
        begun.append(first_name(session))
        name_alice(session, "Alison")
        if len(begun) < 3:
            raise failure(sqlite3.SQLITE_BUSY)
        return first_name(session)

    def first_name(session: Session) -> str | None:
        return session.exec(select(User.first_name).where(User.id == ALICE)).one()

    assert await database.write(work) == "Alison"
    assert begun == ["Alice"] * 3


@pytest.mark.parametrize("delay", [0, 0.001, 0.005])
async def test_a_write_goes_on_to_its_end_when_its_caller_goes_away(database: Database, delay: float) -> None:
    def work(session: Session) -> None:
        name_alice(session, "Alison")
        time.sleep(0.05)

    calling = asyncio.ensure_future(database.write(work))
    await asyncio.sleep(delay)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    await database.write(lambda session: session.exec(update(User).values(last_name="Reid")))

    assert calling.cancelled()
    assert await database.fetch(Statement("SELECT first_name, last_name FROM users LIMIT 1", ()), {}) == [("Alison", "Reid")]
    assert database.transaction_count == 2


async def test_a_caller_that_goes_away_before_the_write_has_begun_takes_it_back(database: Database) -> None:
    calling = asyncio.ensure_future(database.write(lambda session: name_alice(session, "Alison")))
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    await database.write(lambda session: session.exec(update(User).values(last_name="Reid")))

    assert await alices_name(database) == "Alice"
    assert database.transaction_count == 1


async def test_what_nobody_waits_for_may_fail_in_silence(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    def work(session: Session) -> None:
        failing.append(session)
        raise ZeroDivisionError

    failing: list[Session] = []
    calling = asyncio.ensure_future(database.write(work))
    await asyncio.sleep(0)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    await database.write(lambda session: name_alice(session, "Alison"))
    gc.collect()

    assert (len(failing), caplog.records) == (1, [])


async def test_a_stop_waits_neither_long_nor_with_all_others_for_a_purge(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "TRUNCATING_SECONDS", 0.3)
    database = await SQLiteDatabase(path).open()
    gaps = list[float]()

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)

    with inspect(path).locked():
        ticking = asyncio.create_task(tick())
        purging = asyncio.create_task(database._writer.truncate_log(10))
        await asyncio.sleep(0.1)
        purging.cancel()
        await database.close()
        await asyncio.sleep(0.02)
        ticking.cancel()

    assert max(gaps) < 3
    assert sum(gaps) < 5
