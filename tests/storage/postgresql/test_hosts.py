"""Of several hosts the one that answers is found soon, also where those before it are gone without a word."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from sqlmodel import text

from storage.postgresql import hosts
from storage.postgresql.connecting import connect
from storage.postgresql.database import PostgreSQLDatabase


class Silent:
    """Hosts that take whoever connects, and say nothing. `calls` counts those."""

    def __init__(self) -> None:
        self.calls = 0
        self._ends: list[asyncio.StreamWriter] = []

    async def take(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        self._ends.append(writer)

    def close(self) -> None:
        for end in self._ends:
            end.transport.abort()


@asynccontextmanager
async def silent_before(url: str, number: int) -> AsyncIterator[tuple[str, Silent]]:
    """Give the URL of a database with so many silent hosts before its own."""
    silent, parts = Silent(), urlsplit(url)
    servers = [await asyncio.start_server(silent.take, "127.0.0.1", 0) for _ in range(number)]
    ports = [server.sockets[0].getsockname()[1] for server in servers] + [parts.port]
    listed = ",".join(f"127.0.0.1:{port}" for port in ports)
    yield f"postgresql://{parts.username}@{listed}{parts.path}?target_session_attrs=read-write", silent
    for server in servers:
        server.close()
    silent.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("number", [1, 2])
async def test_a_database_opens_and_is_written_though_its_first_hosts_say_nothing(url: str, number: int) -> None:
    PostgreSQLDatabase(url).migrate()
    async with silent_before(url, number) as (several, _):
        began = time.monotonic()
        database = await PostgreSQLDatabase(several).open()
        opened = time.monotonic() - began
        result = await database.write(lambda session: session.execute(text("SELECT 1")).scalar())
        await database.close()

    assert result == 1
    assert number * hosts.NEXT_HOST_SECONDS <= opened < number * hosts.NEXT_HOST_SECONDS + 1


async def test_the_host_that_took_us_last_is_tried_before_all_others(url: str) -> None:
    async with silent_before(url, 2) as (several, silent):
        connections = [await connect(several) for _ in range(3)]
        for connection in connections:
            await connection.close()

    assert silent.calls == 2


async def test_where_the_host_that_took_us_last_is_gone_another_one_is_found(url: str) -> None:
    async with silent_before(url, 1) as (several, _):
        hosts._LAST[several] = several.replace(f",127.0.0.1:{urlsplit(url).port}", "")
        connection = await connect(several)
        await connection.close()

    assert hosts._LAST[several] == url + "?target_session_attrs=read-write"


async def test_where_no_host_answers_all_have_their_time_at_once(url: str) -> None:
    async with silent_before(url, 2) as (several, _):
        nowhere = several.rpartition(",")[0] + "/visits"
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await connect(nowhere, seconds=1.0)

    assert time.monotonic() - began < 1.0 + hosts.NEXT_HOST_SECONDS + 0.5


async def test_what_a_host_refuses_for_good_is_not_asked_of_the_next(url: str) -> None:
    async with silent_before(url, 1) as (several, silent):
        name, _, others = several.rpartition("@")[2].partition(",")
        first_ours = f"postgresql://nobody@{others.partition('/')[0]},{name}/visits"
        with pytest.raises(Exception, match='role "nobody" does not exist'):
            await connect(first_ours)

    assert silent.calls == 0
