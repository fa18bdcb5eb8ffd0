"""A follower finds every event exactly once, whoever writes beside it, and hears soon that there is one."""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from storage.database import Database
from storage.events.reading import HomeVisitEvents, events_after, newest_event
from storage.queries.paging import Window
from storage.repository import HomeVisits
from tests import databases
from tests.databases import database_at, engine_at
from tests.storage.homes import EVERYTHING, Clock, booking, rows_of

ROOT = Path(__file__).parents[3]
PROCESSES = {"one": 7, "two": 7, "three": 6}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.storage.events.writers", databases.url_of(path)]
    processes = [subprocess.Popen([*command, name, str(writers)], cwd=ROOT) for name, writers in PROCESSES.items()]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait(timeout=30)


class Follower:
    """Pages through the feed; of some pages the answer is lost, and it asks again."""

    def __init__(self, database: Database, number: int) -> None:
        self.events = HomeVisitEvents(database, EVERYTHING)
        self.chance = random.Random(number)  # noqa: S311 - so that it can be repeated
        self.cursor: str | None = None
        self.seen: list[tuple[int, str, str, int]] = []

    async def ask(self) -> int:
        page = await self.events.page({}, Window(self.chance.randint(1, 100), False, self.cursor, None))
        if self.chance.random() < 0.3:
            return 1
        self.seen += [(event.sequence or 0, event.id or "", event.home_visit, event.version) for event in page.nodes]
        self.cursor = page.end_cursor
        return len(page.nodes)


@pytest.mark.parametrize("events", [300, pytest.param(5_000, marks=pytest.mark.slow)])
async def test_followers_see_every_event_once_with_twenty_writers_in_three_processes(
    path: Path, database: Database, events: int
) -> None:
    followers = [Follower(database, number) for number in range(3)]

    with writing(path):
        ends = time.monotonic() + 120
        while time.monotonic() < ends and min(len(follower.seen) for follower in followers) < events:
            await asyncio.gather(*(follower.ask() for follower in followers))
    for follower in followers:
        while await follower.ask():
            pass

    rows = sorted(rows_of(path, "home_visit_events"), key=lambda row: int(row["sequence"]))
    assert len(rows) >= events
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    expected = [(row["sequence"], row["id"], row["home_visit"], row["version"]) for row in rows]
    assert [follower.seen == expected for follower in followers] == [True] * 3
    versions: dict[str, list[int]] = {}
    for _, _, visit, version in expected:
        versions.setdefault(visit, []).append(version)
    assert all(of == list(range(1, len(of) + 1)) for of in versions.values())


@pytest.fixture
async def another(path: Path) -> AsyncIterator[Database]:
    """The same database, as another process has it."""
    database = await database_at(path).open()
    yield database
    await database.close()


async def waited(changes: AsyncIterator[None]) -> float:
    began = time.monotonic()
    await anext(changes)
    return time.monotonic() - began


async def test_a_change_of_this_process_or_another_wakes_who_follows(database: Database, another: Database) -> None:
    changes = database.changes()
    assert await waited(changes) < 0.5
    await waited(changes)  # PostgreSQL wakes once it listens

    for writer in (database, another):
        waiting = asyncio.ensure_future(waited(changes))
        await asyncio.sleep(0.1)
        await HomeVisits(writer, EVERYTHING, Clock()).book(booking())
        assert await waiting < 0.6


async def test_a_change_while_its_follower_is_busy_is_heard_at_once(database: Database) -> None:
    changes = database.changes()
    await anext(changes)
    await HomeVisits(database, EVERYTHING, Clock()).book(booking())

    assert await waited(changes) < 0.5
    (event,) = await events_after(database, 0, 10)
    assert (event.sequence, event.type) == (1, "BOOKED")
    assert await newest_event(database) == event


async def test_a_follower_looks_once_a_second_whatever_it_hears(database: Database) -> None:
    changes = database.changes()
    await anext(changes)
    await waited(changes)

    assert 0.5 < await waited(changes) < 5


async def test_a_change_right_after_the_first_yield_is_heard_at_once(database: Database, path: Path) -> None:
    changes = database.changes()
    await anext(changes)
    with engine_at(path).begin() as connection:  # before any other task has run
        connection.execute(sa.text("UPDATE locations SET phone = '1'"))

    assert await waited(changes) < 0.5
    await changes.aclose()
