"""What reads cost their callers, in threads and on the loop, and what those may not do who have used too much."""

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from storage.caller import NoAccounts
from storage.database import Database
from storage.queries.statements import Statement
from tests.storage.sqlite.handling import (
    A_WHILE,
    COUNT,
    ENDLESS,
    close_inline_reader,
    inline_reader,
    let_steps_alone_count,
    opened,
)

NAME = Statement("SELECT ?", ("name",))


class Charged(NoAccounts):
    def __init__(self) -> None:
        self.subjects: list[str] = []

    def charge_reading(self, subject: str, _seconds: float) -> None:
        self.subjects.append(subject)


async def test_a_database_tells_what_is_read_in_threads_for_whom(path: Path) -> None:
    charged = Charged()
    numbers = count()

    async def read(database: Database, *subject: str) -> None:
        statement = NAME._replace(text=f"{NAME.text} -- {next(numbers)}")
        assert await database.fetch(statement, {"name": "x"}, *subject) == [("x",)]

    async with opened(path, charged) as database:
        await read(database, "inline")
        close_inline_reader(database)
        await read(database, "amy")
        await read(database)

    assert charged.subjects == ["amy", ""]


async def test_who_keeps_the_loop_for_more_than_a_moment_is_charged_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_steps_alone_count(monkeypatch)
    charged = Charged()

    async with opened(path, charged) as database:
        # A look at each step: the longer ones take 9 milliseconds.
        monkeypatch.setattr(inline_reader(database), "_clock", count(0.0, 0.0001).__next__)
        for subject, rows in (("a moment", 10), ("longer", 1_000), ("a moment", 10)):
            assert await database.fetch(COUNT, {"to": rows}, subject) == [(rows,)]
        at_once = database.at_once()
        assert at_once is not None
        await at_once.fetch(COUNT, {"to": 1_000}, "at once")

    assert charged.subjects == ["longer", "at once"]


class GreedyOverdrew(NoAccounts):
    def is_overdrawn(self, subject: str) -> bool:
        return subject == "greedy"


async def test_who_has_overdrawn_a_share_keeps_the_loop_from_nobody_who_waits(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_steps_alone_count(monkeypatch)
    async with opened(path, GreedyOverdrew(), statement_seconds=60) as database:

        def begin(subject: str, values: dict[str, int] = A_WHILE) -> "asyncio.Future[list[Any]]":
            # What one has read for long is left to the threads for a while: each has a statement of its own.
            statement = COUNT._replace(text=f"{COUNT.text} -- {subject}")
            return asyncio.ensure_future(database.fetch(statement, values, subject))

        alone = await begin("greedy", {"to": 10})
        endless = [begin(f"busy {number}", ENDLESS) for number in range(3)]
        while not database.others_wait("greedy"):  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0)
        usual, greedy = begin("usual", {"to": 10}), begin("greedy", {"to": 10})
        await usual
        await asyncio.sleep(0)
        is_served = greedy.done()
        for read in (greedy, *endless):
            read.cancel()
        await asyncio.gather(greedy, *endless, return_exceptions=True)

    assert (alone, usual.result(), is_served) == ([(10,)], [(10,)], False)
