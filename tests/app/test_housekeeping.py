"""What a running server does beside requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from storage.database import Database
from storage.errors import IdempotencyConflict
from storage.instants import clock
from storage.repository import HomeVisits
from tests.app.calling import SECRET
from tests.conftest import StartServer
from tests.databases import database_at
from tests.storage.homes import EVERYTHING, booking, prepare


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """The server's database, which the test opens as well."""
    prepare(tmp_path / "visits.db")
    database = await database_at(tmp_path / "visits.db").open()
    yield database
    await database.close()


async def test_a_server_deletes_the_idempotency_keys_of_yesterday(start_server: StartServer, database: Database) -> None:
    yesterday = HomeVisits(database, EVERYTHING, lambda: clock() - timedelta(days=1))
    today = HomeVisits(database, EVERYTHING, clock)
    await yesterday.book(booking(), idempotency_key="old")
    await today.book(booking(), idempotency_key="new")

    start_server(JWT_SECRET=SECRET)

    async with asyncio.timeout(20):
        while True:
            with suppress(IdempotencyConflict):
                await today.book(booking(notes="other input"), idempotency_key="old")
                break
            await asyncio.sleep(0.05)
    with pytest.raises(IdempotencyConflict):
        await today.book(booking(notes="other input"), idempotency_key="new")
