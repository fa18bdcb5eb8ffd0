import asyncio
import shutil
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select, update

from storage import database as database_module
from storage.database import Database, database_path
from storage.errors import DatabaseBusy, DatabaseUnusable
from storage.models import User
from storage.statements import Statement
from tests.storage.homes import ALICE, everything_in, keep, visit

COUNT = Statement("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n", ("to",))
ENDLESS = {"to": 10**12}
A_WHILE = {"to": 150_000}  # too long for the loop, and a fraction of a second for a thread


def name_alice(session: Session, name: str) -> None:
    session.exec(update(User).where(col(User.id) == ALICE).values(first_name=name))


async def alices_name(database: Database) -> str:
    [[name]] = await database.fetch(Statement("SELECT first_name FROM users WHERE id = ?", ("id",)), {"id": ALICE})
    return str(name)


@asynccontextmanager
async def opened(path: Path, **options: float) -> AsyncIterator[Database]:
    database = await Database(path, **options).open()
    try:
        yield database
    finally:
        await database.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock, as another process might."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def ends_with(threads: list[threading.Thread]) -> bool:
    """Tell whether soon no other threads are left: they end a moment after they have said so."""
    for _ in range(100):
        if threading.enumerate() == threads:
            return True
        await asyncio.sleep(0.01)
    return False


# Opening


@pytest.mark.parametrize("url", ["sqlite:///visits.db", "sqlite+aiosqlite:///visits.db"])
def test_a_url_names_a_file(url: str) -> None:
    assert database_path(url) == Path("visits.db")
    assert database_path(url.replace("///", "////tmp/")) == Path("/tmp/visits.db")  # noqa: S108 - a name only


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "The database URL cannot be read: write it like sqlite:///home_visits.db."),
        ("visits.db", "The database URL cannot be read: write it like sqlite:///home_visits.db."),
        ("sqlite://", "The database must be a file: give a URL like sqlite:///home_visits.db."),
        ("sqlite:///:memory:", "The database must be a file: give a URL like sqlite:///home_visits.db."),
        ("mysql://u:secret@h/d", "mysql databases are not served: give a URL like sqlite:///home_visits.db."),
    ],
)
def test_a_url_that_names_none_is_refused_without_repeating_it(url: str, message: str) -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        database_path(url)

    assert str(refused.value) == message


async def test_a_file_that_cannot_be_opened_is_told_plainly_and_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ada, " * 100)
    before = threading.enumerate()

    for path, reason in [
        (tmp_path / "no folder" / "x.db", "unable to open database file"),
        (tmp_path, "unable to open database file"),
        (tmp_path / "letter.txt", "file is not a database"),
    ]:
        database = Database(path)
        with pytest.raises(DatabaseUnusable) as refused:
            await database.open()
        assert str(refused.value) == f"The database cannot be used: {reason}. Check the file, its folder and their permissions."

    assert await ends_with(before)


async def test_an_open_that_fails_half_way_leaves_no_thread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "READER", ("no pragma",))
    before = threading.enumerate()

    with pytest.raises(sqlite3.OperationalError):
        await Database(path).open()

    assert await ends_with(before)


async def test_a_path_may_have_any_characters(tmp_path: Path, template: Path) -> None:
    path = Path(shutil.copy(template, tmp_path / "a?mode=memory&b#c %41'é.db"))

    async with opened(path) as database:
        await database.write(lambda session: name_alice(session, "Alison"))
        read = await alices_name(database)

    assert (read, files_in(tmp_path)) == ("Alison", [path.name])


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


async def test_a_database_that_is_damaged_is_told_plainly(path: Path) -> None:
    damage(path)

    with pytest.raises(DatabaseUnusable, match="database disk image is malformed"):
        async with opened(path) as database:
            await alices_name(database)


PRAGMAS = ["journal_mode", "synchronous", "foreign_keys", "secure_delete", "trusted_schema", "busy_timeout", "query_only",
           "wal_autocheckpoint", "mmap_size"]  # fmt: skip


async def test_connections_are_set_up_to_be_safe(database: Database) -> None:
    def ask(session: Session) -> list[Any]:
        return [session.exec(sa.text(f"PRAGMA {name}")).scalar() for name in PRAGMAS]  # type: ignore[call-overload]

    async def read() -> list[Any]:
        return [(await database.fetch(Statement(f"PRAGMA {name}", ()), {}))[0][0] for name in PRAGMAS]

    writer, on_the_loop = await database.write(ask), await read()
    database._glance = None
    in_a_thread = await read()

    assert dict(zip(PRAGMAS, writer, strict=True)) == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "trusted_schema": int(sqlite3.sqlite_version_info < (3, 44)),
        "busy_timeout": 5000,
        "query_only": 0,
        "wal_autocheckpoint": 0,
        "mmap_size": 0,
    }
    assert in_a_thread == ["wal", 2, 1, 1, 0, 5000, 1, 0, 0]
    # Nobody else is served while the loop waits.
    assert on_the_loop == ["wal", 2, 1, 1, 0, 0, 1, 0, 0]


# Reading


async def test_what_was_written_is_read_at_once(database: Database) -> None:
    for number in range(50):
        await database.write(lambda session, name=str(number): name_alice(session, name))

        assert await alices_name(database) == str(number)


async def test_readers_cannot_write(database: Database, path: Path) -> None:
    before = everything_in(path)

    for glance in (database._glance, None):
        database._glance = glance
        with pytest.raises((sqlite3.OperationalError, DatabaseUnusable), match="attempt to write a readonly database"):
            await database.fetch(Statement("DELETE FROM users", ()), {})

    assert everything_in(path) == before


async def test_a_read_that_takes_too_long_is_given_up_and_the_next_has_its_own_time(path: Path) -> None:
    async with opened(path, statement_seconds=1.0) as database:
        for _ in range(2):
            with pytest.raises(DatabaseBusy):
                await database.fetch(COUNT, ENDLESS)

            assert await database.fetch(COUNT, A_WHILE) == [(150_000,)]


async def test_after_a_read_that_nobody_waits_for_the_next_has_its_own_time(path: Path) -> None:
    async with opened(path, statement_seconds=2.0) as database:
        for _ in range(10):
            reads = [asyncio.ensure_future(database.fetch(COUNT, ENDLESS)) for _ in range(4)]
            await asyncio.sleep(0.02)
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)

            assert await asyncio.gather(*(database.fetch(COUNT, A_WHILE) for _ in range(2))) == [[(150_000,)]] * 2


@asynccontextmanager
async def occupied(path: Path, **options: float) -> AsyncIterator[Database]:
    """Open a database both of whose reading threads are busy for longer than a test takes."""
    async with opened(path, statement_seconds=60, **options) as database:
        reads = [asyncio.ensure_future(database.fetch(COUNT, ENDLESS)) for _ in range(2)]
        await asyncio.sleep(0.05)
        yield database
        assert not any(read.done() for read in reads)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)


async def test_a_read_waits_its_turn_but_not_for_ever(path: Path) -> None:
    async with occupied(path, wait_seconds=0.3) as database:
        with pytest.raises(DatabaseBusy):
            await database.fetch(COUNT, A_WHILE)


async def test_a_read_that_waits_is_served_when_a_reader_is_free(path: Path) -> None:
    async with opened(path) as database:
        answers = await asyncio.gather(*(database.fetch(COUNT, A_WHILE) for _ in range(6)))

        assert answers == [[(150_000,)]] * 6


async def test_short_reads_are_served_while_long_ones_run(path: Path) -> None:
    async with occupied(path) as database:
        assert [await alices_name(database) for _ in range(20)] == ["Alice"] * 20


async def test_the_loop_goes_on_while_a_long_read_runs(path: Path) -> None:
    async with opened(path, statement_seconds=1.0) as database:
        read = asyncio.ensure_future(database.fetch(COUNT, ENDLESS))
        beats = 0
        while not read.done():
            await asyncio.sleep(0.01)
            beats += 1

        assert isinstance(read.exception(), DatabaseBusy)
        assert beats > 20


async def test_what_proves_long_goes_to_a_thread_for_a_while_and_is_then_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "SLOW_FOR", 2)
    assert database._glance is not None

    tried = [database._glance.fetch(COUNT.text, [to]) for to in (150_000, 1, 2, 3)]

    assert tried == [None, None, None, [(3,)]]


async def test_no_more_is_kept_of_what_proved_long_than_fits(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "SLOW_KNOWN", 3)
    assert database._glance is not None

    for number in range(10):
        assert database._glance.fetch(f"{COUNT.text} -- {number}", [10**6]) is None
        assert len(database._glance._slow) <= 3


# Writing


async def test_a_write_is_committed_and_answers(database: Database, path: Path) -> None:
    def work(session: Session) -> str:
        name_alice(session, "Alison")
        return "done"

    assert await database.write(work) == "done"
    assert database.written == 1
    assert ("Alison") in str(everything_in(path)["users"])


async def test_what_fails_is_rolled_back_whole(database: Database, path: Path) -> None:
    before = everything_in(path)

    def work(session: Session) -> None:
        name_alice(session, "Alison")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(work)

    assert (everything_in(path), database.written) == (before, 0)


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

    def hold() -> None:
        with locked(path):
            held.set()
            release.wait(5)

    held = threading.Event()
    other = threading.Thread(target=hold)
    other.start()
    held.wait(5)
    writing = asyncio.ensure_future(database.write(lambda session: name_alice(session, "Alison")))
    await asyncio.sleep(0.2)

    assert await alices_name(database) == "Alice"
    assert not writing.done()
    release.set()
    await writing
    other.join()
    assert await alices_name(database) == "Alison"


async def impatient(database: Database) -> None:
    """Let the writer not wait for locks itself, so that only the tries count."""
    await database.write(lambda session: session.exec(sa.text("PRAGMA busy_timeout = 0")))  # type: ignore[call-overload]


async def test_a_write_that_finds_the_database_busy_is_tried_again(path: Path, database: Database) -> None:
    await impatient(database)

    with locked(path):
        writing = asyncio.ensure_future(database.write(lambda session: name_alice(session, "Alison")))
        await asyncio.sleep(0.05)
    await writing

    assert await alices_name(database) == "Alison"


async def test_a_write_gives_up_after_five_tries_with_nothing_changed(path: Path, database: Database) -> None:
    await impatient(database)
    before, began = everything_in(path), time.monotonic()

    with locked(path), pytest.raises(DatabaseBusy, match="Nothing was changed: try again in a moment"):
        await database.write(lambda session: name_alice(session, "Alison"))

    assert time.monotonic() - began > 0.1
    assert everything_in(path) == before
    await database.write(lambda session: name_alice(session, "Alison"))
    assert await alices_name(database) == "Alison"


async def test_work_that_is_tried_again_starts_from_the_beginning(database: Database) -> None:
    begun = []

    def work(session: Session) -> str | None:
        begun.append(first_name(session))
        name_alice(session, "Alison")
        if len(begun) < 3:
            busy = sqlite3.OperationalError("database is locked")
            busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise busy
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
    [[first, last]] = await database.fetch(Statement("SELECT first_name, last_name FROM users LIMIT 1", ()), {})
    # A caller that goes away before the write has begun takes it back.
    assert (first, last) == ("Alison" if delay else first, "Reid")


async def test_what_nobody_waits_for_may_fail_in_silence(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    def work(session: Session) -> None:
        time.sleep(0.02)
        raise ZeroDivisionError

    calling = asyncio.ensure_future(database.write(work))
    await asyncio.sleep(0.01)
    calling.cancel()
    await asyncio.sleep(0.05)

    assert caplog.records == []


async def test_closing_waits_for_what_is_being_written(path: Path) -> None:
    database = await Database(path).open()

    def work(session: Session) -> None:
        name_alice(session, "Alison")
        time.sleep(0.05)

    async def one_after_another() -> None:
        await database.write(work)
        await database.write(work)

    writing = asyncio.ensure_future(one_after_another())
    await asyncio.sleep(0.01)
    await database.close()

    assert await asyncio.gather(writing, return_exceptions=True) == [None]
    assert "Alison" in str(everything_in(path)["users"])


async def test_a_closed_database_leaves_one_file(path: Path, database: Database) -> None:
    await database.write(lambda session: name_alice(session, "Alison"))
    before = files_in(path.parent)

    await database.close()

    assert before == ["home_visits.db", "home_visits.db-shm", "home_visits.db-wal"]
    assert files_in(path.parent) == ["home_visits.db"]


# Another way


async def test_what_takes_long_is_asked_in_another_way(path: Path) -> None:
    statement = COUNT._replace(instead=Statement("SELECT 'otherwise'", ()))

    async with opened(path) as database:
        for _ in range(3):
            assert await database.fetch(statement, ENDLESS) == [("otherwise",)]
        database._glance = None
        assert await database.fetch(statement, {"to": 10}) == [(10,)]


async def test_time_for_another_way_ends_too(path: Path) -> None:
    async with opened(path, statement_seconds=0.2) as database:
        with pytest.raises(DatabaseBusy):
            await database.fetch(COUNT._replace(instead=COUNT), ENDLESS)

        assert await database.fetch(COUNT, A_WHILE) == [(150_000,)]


async def test_what_cannot_be_asked_is_not_asked_in_another_way(path: Path) -> None:
    statement = Statement("SELECT unknown", (), instead=Statement("SELECT 'otherwise'", ()))

    async with opened(path) as database:
        with pytest.raises(sqlite3.OperationalError, match="no such column: unknown"):
            await database.fetch(statement, {})
