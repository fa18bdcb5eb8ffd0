"""Reads are served at once or in their turn, and each has its time."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from storage.errors import DatabaseBusy, DatabaseUnusable
from storage.queries.statements import Statement
from storage.sqlite import readers
from storage.sqlite.database import Database
from tests.storage.homes import everything_in
from tests.storage.sqlite.handling import A_WHILE, COUNT, ENDLESS, alices_name, close_inline_reader, name_alice, opened


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
    monkeypatch.setattr(readers, "SLOW_FOR", 2)
    assert database._inline_reader is not None

    tried = [database._inline_reader.fetch(COUNT.text, [to]) for to in (150_000, 1, 2, 3)]

    assert tried == [None, None, None, [(3,)]]


async def test_no_more_is_kept_of_what_proved_long_than_fits(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "SLOW_KNOWN", 3)
    assert database._inline_reader is not None

    for number in range(10):
        assert database._inline_reader.fetch(f"{COUNT.text} -- {number}", [10**6]) is None
        assert len(database._inline_reader._slow) <= 3


async def test_what_takes_long_is_asked_in_another_way(path: Path) -> None:
    statement = COUNT._replace(fallback=Statement("SELECT 'otherwise'", ()))

    async with opened(path) as database:
        for _ in range(3):
            assert await database.fetch(statement, ENDLESS) == [("otherwise",)]
        close_inline_reader(database)
        assert await database.fetch(statement, {"to": 10}) == [(10,)]


async def test_ways_are_tried_one_after_the_other(path: Path) -> None:
    third = Statement("SELECT 'third'", ())
    second = COUNT._replace(fallback=third, names=("second",))
    first = COUNT._replace(fallback=second, names=("first",))

    async with opened(path) as database:
        long, short = 10**12, 10
        assert await database.fetch(first, {"first": short, "second": long}) == [(10,)]
        assert await database.fetch(first, {"first": long, "second": short}) == [(10,)]
        assert await database.fetch(first, {"first": long, "second": long}) == [("third",)]


async def test_time_for_another_way_ends_too(path: Path) -> None:
    async with opened(path, statement_seconds=0.2) as database:
        with pytest.raises(DatabaseBusy):
            await database.fetch(COUNT._replace(fallback=COUNT), ENDLESS)

        assert await database.fetch(COUNT, A_WHILE) == [(150_000,)]


async def test_what_cannot_be_asked_is_not_asked_in_another_way(path: Path) -> None:
    statement = Statement("SELECT unknown", (), fallback=Statement("SELECT 'otherwise'", ()))

    async with opened(path) as database:
        with pytest.raises(sqlite3.OperationalError, match="no such column: unknown"):
            await database.fetch(statement, {})
