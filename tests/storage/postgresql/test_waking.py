"""Other processes hear of events soon, by few notices, and again after the connection that hears them was lost."""

import asyncio
import time
from pathlib import Path

import asyncpg
import psycopg
import pytest

from storage.changes import Followers
from storage.postgresql import waking
from storage.postgresql.database import PostgreSQLDatabase
from storage.postgresql.waking import CHANNEL, INTERVAL_SECONDS, NOTIFY, Announcer, Listener
from storage.repository import HomeVisits
from tests import databases
from tests.storage.homes import EVERYTHING, Clock, booking, prepare

LISTENING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
END_LISTENING = LISTENING.replace("*", "pg_terminate_backend(pid)")


async def book(database: PostgreSQLDatabase) -> None:
    await HomeVisits(database, EVERYTHING, Clock()).book(booking())


async def test_a_burst_of_bookings_is_announced_a_few_times(tmp_path: Path) -> None:
    path = tmp_path / "homes.db"
    prepare(path)
    heard: list[float] = []
    database = await PostgreSQLDatabase(databases.url_of(path)).open()
    connection = await asyncpg.connect(databases.url_of(path))
    await connection.add_listener(CHANNEL, lambda *_: heard.append(time.monotonic()))

    began = time.monotonic()
    await asyncio.gather(*(book(database) for _ in range(40)))
    await asyncio.sleep(3 * INTERVAL_SECONDS)
    took = time.monotonic() - began

    await connection.close()
    await database.close()
    assert 1 <= len(heard) <= 2 + took / INTERVAL_SECONDS
    assert len(heard) < 40


async def test_a_follower_that_lost_its_connection_hears_again(tmp_path: Path) -> None:
    path = tmp_path / "homes.db"
    prepare(path)
    url = databases.url_of(path)
    database, another = [await PostgreSQLDatabase(url).open() for _ in range(2)]
    changes = database.changes()
    await anext(changes)
    await anext(changes)

    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(END_LISTENING).fetchall()
    assert ended == [(1,)]
    meanwhile = asyncio.ensure_future(anext(changes))
    await book(another)
    await asyncio.wait_for(asyncio.ensure_future(_awaited(meanwhile)), 3)

    # Woken by its new connection, not by looking each second.
    soon = 0
    for _ in range(8):
        waiting, began = asyncio.ensure_future(_awaited(anext(changes))), time.monotonic()
        await asyncio.sleep(0.05)
        await book(another)
        await waiting
        soon += time.monotonic() - began < 0.7
    await database.close()
    await another.close()
    assert soon >= 5


async def _awaited(work: object) -> None:
    await work  # type: ignore[misc]  # a future, or what a generator returns


async def test_a_notice_under_way_is_sent_before_it_closes() -> None:
    began, sent = asyncio.Event(), []

    async def send() -> None:
        began.set()
        await asyncio.sleep(0.01)
        sent.append(NOTIFY)

    announcer = Announcer(send)
    announcer.announce()
    await began.wait()
    await announcer.close()

    assert sent == [NOTIFY]


async def test_a_listener_outlives_an_option_that_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "HEAL_SECONDS", 0.01)
    followers = Followers()
    listener = Listener(f"{url}?default_text_search_config=public.later", followers)

    async with followers.joined() as latch, listener.listening():
        await asyncio.sleep(0.2)
        was_woken = latch.is_set()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TEXT SEARCH CONFIGURATION public.later (COPY = simple)")
        await asyncio.wait_for(latch.wait(), 5)

    assert not was_woken


async def test_a_database_that_is_closed_listens_no_more(tmp_path: Path) -> None:
    path = tmp_path / "homes.db"
    prepare(path)
    url = databases.url_of(path)
    database = await PostgreSQLDatabase(url).open()
    changes = database.changes()
    await anext(changes)
    await anext(changes)
    await database.close()

    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(100):
            [(left,)] = connection.execute(LISTENING).fetchall()
            if not left:
                break
            await asyncio.sleep(0.02)
    await changes.aclose()
    assert left == 0
