"""Whoever hangs while numbering events keeps no feed from showing those that have a number."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from storage.database import Database, opened
from storage.events.reading import events_after
from storage.postgresql import numbering
from storage.repository import HomeVisits
from tests.databases import database_at, url_of
from tests.storage.homes import EVERYTHING, Clock, booking, prepare


async def test_a_feed_shows_what_has_a_number_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "visits.db"
    prepare(path)
    monkeypatch.setattr("storage.events.numbering.READ_WAIT_SECONDS", 0.2)

    async def work(database: Database) -> None:
        visits = HomeVisits(database, EVERYTHING, Clock())
        await visits.book(booking())
        before = await events_after(database, 0, 10)
        await visits.book(booking())

        async with await psycopg.AsyncConnection.connect(url_of(path)) as other:
            await other.execute(f"SELECT pg_advisory_xact_lock({numbering.LOCK})".encode())
            async with asyncio.timeout(1):
                meanwhile = await events_after(database, 0, 10)

        assert [event.id for event in meanwhile] == [event.id for event in before]
        assert [event.sequence for event in await events_after(database, 0, 10)] == [1, 2]

    await opened(database_at(path), work)
