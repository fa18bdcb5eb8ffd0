"""What goes on beside requests: from start to end, and never silently to a stop."""

import asyncio
import logging
from pathlib import Path

import pytest
from aiohttp import web

from schema.server.background import running
from storage.database import Database
from storage.sqlite.database import SQLiteDatabase
from storage.sqlite.migrating import migrate


@pytest.fixture
def database(tmp_path: Path) -> Database:
    migrate(tmp_path / "visits.db")
    return SQLiteDatabase(tmp_path / "visits.db")


async def test_what_goes_on_ends_with_the_server(database: Database) -> None:
    ended = list[str]()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def close() -> None:
        ended.append("what was open")

    server = running(database, [work], close)(web.Application())
    await anext(server)
    await asyncio.sleep(0)
    while_serving = ended.copy()
    await anext(server, None)

    assert while_serving == []
    assert ended == ["work", "what was open"]


async def test_what_fails_is_told_while_the_rest_goes_on(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("no more")

    server = running(database, [fail], None)(web.Application())
    await anext(server)
    await asyncio.sleep(0.01)
    await database.check()
    await anext(server, None)

    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "Something that goes on beside requests has ended: restart the server"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no more"
