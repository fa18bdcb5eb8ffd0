"""A slow reader of a file costs a bounded time."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from schema.transport.http.connections import HTTPLimits, Runner
from schema.transport.http.files import TimedFile
from tests.schema.transport.http.served import Connection, until

CONTENT = b"0123456789abcdef" * 1_000_000
REQUEST = b"GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def reading(path: Path, *, seconds: float) -> AsyncIterator[tuple[Connection, web.AppRunner]]:
    async def file(_request: web.Request) -> web.StreamResponse:
        return TimedFile(path, {"Cache-Control": "no-cache"}, seconds=seconds)

    app = web.Application()
    app.router.add_get("/file", file)
    runner = Runner(app, HTTPLimits())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        port = runner.addresses[0][1]
        async with Connection(*await asyncio.open_connection("127.0.0.1", port, limit=2**25)) as connection:
            yield connection, runner
    finally:
        await runner.cleanup()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.js"
    path.write_bytes(CONTENT)
    return path


async def test_a_reader_of_a_file_that_stalls_is_cut_off_and_leaves_nothing_in_the_log(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async with reading(path, seconds=0.3) as (connection, runner):
        connection.stop_reading()
        began = asyncio.get_running_loop().time()
        await connection.send(REQUEST)
        await until(lambda: runner.server and runner.server.connections)
        await until(lambda: runner.server and not runner.server.connections)
        seconds = asyncio.get_running_loop().time() - began

    assert 0.3 <= seconds < 3
    assert [record.message for record in caplog.records] == []


async def test_a_reader_of_a_file_that_takes_its_time_gets_all_of_it(path: Path) -> None:
    async with reading(path, seconds=30) as (connection, _):
        connection.stop_reading()
        await connection.send(REQUEST)
        await asyncio.sleep(0.3)
        connection.read_on()
        answer = await asyncio.wait_for(connection.reader.read(), 20)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Cache-Control: no-cache" in head
    assert body == CONTENT


async def test_who_takes_gzip_gets_the_compressed_copy(path: Path) -> None:
    path.with_name("file.js.gz").write_bytes(gzip.compress(CONTENT))

    async with reading(path, seconds=5) as (connection, _):
        await connection.send(REQUEST.replace(b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n"))
        answer = await asyncio.wait_for(connection.reader.read(), 20)

    assert gzip.decompress(answer.partition(b"\r\n\r\n")[2]) == CONTENT
