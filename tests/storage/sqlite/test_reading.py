"""Reads are served at once or when a reader is free, and each has its time."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

import pytest

from storage.database import Database
from storage.errors import DatabaseBusy, DatabaseUnusable
from storage.queries import listing
from storage.queries.conditions import conditions
from storage.queries.statements import Statement
from storage.sqlite import reader_pool, readers
from storage.sqlite.dialect import DIALECT
from storage.sqlite.readers import INLINE_SECONDS, InlineReader
from tests.storage.homes import ALICE, everything_in, keep, visit
from tests.storage.sqlite.handling import (
    A_WHILE,
    COUNT,
    ENDLESS,
    alices_name,
    close_inline_reader,
    let_steps_alone_count,
    name_alice,
    opened,
)

# As https://sqlite.org/walformat.html has it: the header, which is there twice, and the bytes that stand for locks.
WAL_INDEX_HEADER, WRITE_LOCK, RECOVER_LOCK = 96, 120, 122
RECOVER = f"""
import fcntl, sys
with open(sys.argv[1], "r+b", buffering=0) as index:
    for lock in ({WRITE_LOCK}, {RECOVER_LOCK}):
        fcntl.lockf(index, fcntl.LOCK_EX, 1, lock)
    index.write(bytes({WAL_INDEX_HEADER}))
    print("locked", flush=True)
    header = sys.stdin.buffer.read()
    index.seek(0)
    index.write(header)
"""


async def test_what_was_written_is_read_at_once(database: Database) -> None:
    for number in range(50):
        await database.write(lambda session, name=str(number): name_alice(session, name))

        assert await alices_name(database) == str(number)


async def test_readers_cannot_write(database: Database, path: Path) -> None:
    before = everything_in(path)

    for on_the_loop in (True, False):
        if not on_the_loop:
            close_inline_reader(database)
        with pytest.raises((sqlite3.OperationalError, DatabaseUnusable), match="attempt to write a readonly database"):
            await database.fetch(Statement("DELETE FROM users", ()), {})

    assert everything_in(path) == before


async def test_a_read_that_takes_too_long_is_given_up_and_the_next_has_its_own_time(path: Path) -> None:
    async with opened(path, statement_seconds=1.0) as database:
        for _ in range(2):
            with pytest.raises(DatabaseBusy):
                await database.fetch(COUNT, ENDLESS)

            assert await database.fetch(COUNT, A_WHILE) == [(20_000,)]


async def test_a_read_that_nobody_waits_for_ends_at_once_and_the_next_is_served(path: Path) -> None:
    async with opened(path, statement_seconds=60) as database, asyncio.timeout(20):
        for _ in range(10):
            reads = [asyncio.ensure_future(database.fetch(COUNT, ENDLESS)) for _ in range(4)]
            await asyncio.sleep(0.02)
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)

            assert await asyncio.gather(*(database.fetch(COUNT, A_WHILE) for _ in range(2))) == [[(20_000,)]] * 2


@contextmanager
def recovering(path: Path) -> Iterator[None]:
    """Be another process that is restoring the log's index after a crash: until it is done, nobody can read."""
    index = Path(f"{path}-shm")
    header = index.read_bytes()[:WAL_INDEX_HEADER]
    command = [sys.executable, "-c", RECOVER, index]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert (other.stdin, other.stdout) != (None, None)
        assert other.stdout.readline() == b"locked\n"  # type: ignore[union-attr]
        try:
            yield
        finally:
            other.communicate(header, timeout=10)


async def test_what_finds_the_database_busy_waits_in_a_thread(database: Database, path: Path) -> None:
    await database.write(lambda session: name_alice(session, "Alison"))

    with recovering(path):
        read = asyncio.ensure_future(alices_name(database))
        await asyncio.sleep(0.1)
        waits = not read.done()

    assert (waits, await read) == (True, "Alison")


async def test_nothing_is_remembered_while_it_cannot_be_told_whether_anybody_has_written(database: Database, path: Path) -> None:
    await database.write(lambda session: name_alice(session, "Alison"))

    with recovering(path):
        database.reference_cache.get_or_reset("user")[ALICE] = "Alison"
        remembered = database.reference_cache.get_or_reset("user")

    assert remembered == {}


@pytest.fixture
def _nothing_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that reads that go on keep their readers, whoever waits."""
    monkeypatch.setattr(reader_pool, "SHORT_SECONDS", 60.0)


@asynccontextmanager
async def occupied(path: Path, **options: float) -> AsyncIterator[Database]:
    """Open a database both of whose reading threads are busy for longer than a test takes."""
    async with opened(path, statement_seconds=60, **options) as database:
        reads = [asyncio.ensure_future(database.fetch(COUNT, ENDLESS, f"busy {number}")) for number in range(2)]
        await asyncio.sleep(0.05)
        try:
            yield database
            assert not any(read.done() for read in reads)
        finally:
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)


@pytest.mark.usefixtures("_nothing_is_long")
async def test_a_read_waits_its_turn_but_not_for_ever(path: Path) -> None:
    async with occupied(path, wait_seconds=0.3) as database:
        with pytest.raises(DatabaseBusy):
            await database.fetch(COUNT, A_WHILE)


async def test_a_read_that_waits_is_served_when_a_reader_is_free(path: Path) -> None:
    async with opened(path) as database:
        answers = await asyncio.gather(*(database.fetch(COUNT, A_WHILE) for _ in range(6)))

        assert answers == [[(20_000,)]] * 6


@pytest.fixture
def _steps_alone_count(monkeypatch: pytest.MonkeyPatch) -> None:
    let_steps_alone_count(monkeypatch)


@pytest.mark.usefixtures("_steps_alone_count")
async def test_short_reads_are_served_while_long_ones_run(path: Path) -> None:
    async with occupied(path) as database:
        assert [await alices_name(database) for _ in range(20)] == ["Alice"] * 20


@pytest.mark.usefixtures("_steps_alone_count", "_nothing_is_long")
async def test_the_loop_itself_reads_for_a_moment_only(path: Path) -> None:
    async with occupied(path, wait_seconds=0.3) as database:
        of_a_moment, longer = (COUNT._replace(text=f"{COUNT.text} -- {length}") for length in ("of a moment", "longer"))

        assert await database.fetch(of_a_moment, {"to": 1000}) == [(1000,)]
        with pytest.raises(DatabaseBusy):
            await database.fetch(longer, A_WHILE)


@pytest.mark.parametrize(
    ("seconds_at_a_look", "rows"), [(0.0004, [(100,)]), (0.0041, None)], ids=["within its time", "over its time"]
)
async def test_the_loop_reads_for_four_milliseconds_however_few_its_steps(
    database: Database, path: Path, seconds_at_a_look: float, rows: list[tuple[int]] | None
) -> None:
    reader = InlineReader(path, clock=count(0.0, seconds_at_a_look).__next__)
    try:
        assert reader.fetch(COUNT.text, [100]) == rows
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("rows", "seconds_at_a_look", "seconds"),
    [(10, 0.0009, 0.0), (10, 0.0011, 0.0011), (100, 0.0041, 0.0)],
    ids=["a moment", "longer", "late"],
)
async def test_reads_tell_how_long_they_kept_the_loop_but_for_a_moment_or_where_they_were_late(
    database: Database, path: Path, rows: int, seconds_at_a_look: float, seconds: float
) -> None:
    reader = InlineReader(path, clock=count(0.0, seconds_at_a_look).__next__)
    try:
        reader.fetch(COUNT.text, [rows])
        assert reader.seconds == pytest.approx(seconds)
    finally:
        reader.close()


async def test_once_reads_have_kept_the_loop_for_long_the_others_of_that_turn_take_next_to_nothing(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "TURN_SECONDS", 0.01)
    monkeypatch.setattr(readers, "INLINE_SECONDS", 60.0)
    # A look at each step: the longer ones take 9 milliseconds.
    reader = InlineReader(path, clock=count(0.0, 0.0001).__next__)

    def are_served(*rows: int) -> list[bool]:
        return [reader.fetch(COUNT.text, [number]) is not None for number in rows]

    short, longer = 10, 1_000
    try:
        of_one_turn = are_served(short, longer, short, longer, short, longer)
        await asyncio.sleep(0)
        of_the_next = are_served(longer, *[short] * 100)
    finally:
        reader.close()

    assert of_one_turn == [True, True, True, True, True, False]
    assert of_the_next == [True] * 101


async def test_only_a_statement_that_is_late_twice_in_a_row_is_left_to_the_threads(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "SLOW_FOR", 2)
    now, seconds_at_a_look = 0.0, 0.0

    def clock() -> float:
        nonlocal now
        now += seconds_at_a_look
        return now

    async def is_served(seconds: float) -> bool:
        nonlocal seconds_at_a_look
        seconds_at_a_look = seconds
        await asyncio.sleep(0)  # each in a turn of its own
        return reader.fetch(COUNT.text, [100]) is not None

    reader = InlineReader(path, clock)
    served = [await is_served(seconds) for seconds in (0.0041, 0, 0.0041, 0.0041, 0, 0, 0)]
    reader.close()

    assert served == [False, True, False, False, False, False, True]


async def test_the_loop_itself_never_searches_many_long_notes(database: Database) -> None:
    await keep(database, *(visit(number, notes="z" * 30_000) for number in range(400)))
    assert database._inline_reader is not None
    listed = conditions({"keyword": "zq"}, None, DIALECT)
    statement = listing.page(DIALECT, listing.Shape(listed.shape, (("id", False),))).statement

    seconds = []
    for number in range(10):
        await asyncio.sleep(0)  # each in a turn of its own
        started = time.thread_time()
        database._inline_reader.fetch(f"{statement.text} -- {number}", statement.arguments({**listed.values, "limit": 11}))
        seconds.append(time.thread_time() - started)

    assert sorted(seconds)[5] < INLINE_SECONDS * 3


async def test_the_loop_goes_on_while_long_reads_run(path: Path) -> None:
    async with occupied(path):
        for _ in range(20):
            await asyncio.sleep(0.01)


async def test_what_proves_long_goes_to_a_thread_for_a_while_and_is_then_tried_again(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "SLOW_FOR", 2)
    reader = InlineReader(path, clock=lambda: 0.0)

    tried = [reader.fetch(COUNT.text, [to]) for to in (150_000, 1, 2, 3)]
    reader.close()

    assert tried == [None, None, None, [(3,)]]


async def test_no_more_is_kept_of_what_proved_long_than_fits(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "SLOW_STATEMENTS", 3)
    assert database._inline_reader is not None

    for number in range(10):
        await asyncio.sleep(0)  # each in a turn of its own
        assert database._inline_reader.fetch(f"{COUNT.text} -- {number}", [10**6]) is None
        assert len(database._inline_reader._slow) <= 3


async def test_what_takes_long_is_read_by_its_fallback(path: Path) -> None:
    statement = COUNT._replace(fallback=Statement("SELECT 'otherwise'", ()))

    async with opened(path) as database:
        for _ in range(3):
            assert await database.fetch(statement, ENDLESS) == [("otherwise",)]
        close_inline_reader(database)
        assert await database.fetch(statement, {"to": 10}) == [(10,)]


async def test_fallbacks_are_run_one_after_the_other(path: Path) -> None:
    third = Statement("SELECT 'third'", ())
    second = COUNT._replace(fallback=third, names=("second",))
    first = COUNT._replace(fallback=second, names=("first",))

    async with opened(path) as database:
        long, short = 10**12, 10
        assert await database.fetch(first, {"first": short, "second": long}) == [(10,)]
        assert await database.fetch(first, {"first": long, "second": short}) == [(10,)]
        assert await database.fetch(first, {"first": long, "second": long}) == [("third",)]


async def test_the_time_of_fallbacks_ends_too(path: Path) -> None:
    async with opened(path, statement_seconds=1.0) as database:
        with pytest.raises(DatabaseBusy):
            await database.fetch(COUNT._replace(fallback=COUNT), ENDLESS)
        with pytest.raises(DatabaseBusy):
            await database.fetch(COUNT._replace(fallback=Statement("SELECT 'otherwise'", ()), max_steps=10**12), ENDLESS)

        assert await database.fetch(COUNT, A_WHILE) == [(20_000,)]


async def test_a_statement_that_fails_is_not_followed_by_its_fallback(path: Path) -> None:
    statement = Statement("SELECT unknown", (), fallback=Statement("SELECT 'otherwise'", ()))

    async with opened(path) as database:
        with pytest.raises(sqlite3.OperationalError, match="no such column: unknown"):
            await database.fetch(statement, {})
