"""While clients are answered straight, whatever bounds a connection or a request holds as it does without."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.http.connections import HTTPLimits, drain
from schema.transport.shares import ShareLimits, Shares
from storage.caller import Caller
from tests.schema.transport.http.served import AMY, WAIT, Connection, Served, post, served, until

HELLO = post(b'{"query":"{ hello }"}')
# More than the system keeps for a reader that stalls.
LARGE = 12_000_000
LONG = post(json.dumps({"query": f"{{ long(characters: {LARGE}) }}"}).encode())
CLIENTS = 8


async def answer(connection: Connection) -> tuple[bytes, bytes]:
    head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 20)
    length = int(re.findall(rb"Content-Length: (\d+)", head)[0])
    return head, await asyncio.wait_for(connection.reader.readexactly(length), 20)


@asynccontextmanager
async def loaded(**options: Any) -> AsyncIterator[Served]:
    """Serve clients that ask again and again, and are answered straight."""

    async def keep_asking(server: Served) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            async with await server.connect() as connection:
                while not is_over.is_set():
                    await connection.send(HELLO)
                    await answer(connection)
                    await asyncio.sleep(0.002)

    is_over = asyncio.Event()
    async with served(straight=True, **options) as server:
        clients = [asyncio.create_task(keep_asking(server)) for _ in range(CLIENTS)]
        await until(lambda: server.straight_answers > 3 * CLIENTS)
        try:
            yield server
        finally:
            is_over.set()
            await asyncio.gather(*clients)


@asynccontextmanager
async def stalled(server: Served) -> AsyncIterator[Connection]:
    """A client that was answered straight, with more than it has taken."""
    before = server.straight_answers
    connection = await server.connect()
    async with connection:
        connection.stop_reading()
        await connection.send(LONG)
        await until(lambda: server.straight_answers > before and any(getattr(c, "unsent", 0) for c in server.connections))
        yield connection


async def test_a_connection_that_idles_is_closed_and_one_that_is_used_is_not() -> None:
    async with loaded(limits=HTTPLimits(keep_alive_seconds=0.5)) as server, await server.connect() as idle:
        started = asyncio.get_running_loop().time()
        await idle.send(HELLO)
        await answer(idle)
        await idle.closed_after()
        seconds = asyncio.get_running_loop().time() - started
        others = len(server.connections)
        asked = server.straight_answers
        await until(lambda: server.straight_answers > asked + CLIENTS)

    assert 0.49 < seconds < 5
    assert others >= CLIENTS


async def test_a_reader_that_stalls_is_not_taken_for_an_idle_one() -> None:
    limits = HTTPLimits(keep_alive_seconds=0.5, write_seconds=60)
    async with served(straight=True, limits=limits) as server, stalled(server) as connection:
        await asyncio.sleep(1)
        connection.read_on()
        _, long = await answer(connection)
        started = asyncio.get_running_loop().time()
        await connection.send(HELLO)
        _, hello = await answer(connection)
        await connection.closed_after()
        seconds = asyncio.get_running_loop().time() - started

    assert len(long) > LARGE
    assert hello == b'{"data":{"hello":"Hello, world!"}}'
    assert 0.49 < seconds < 5


async def test_a_reader_that_stalls_is_cut_off_in_its_time() -> None:
    async with loaded(limits=HTTPLimits(write_seconds=0.4)) as server, stalled(server):
        await until(lambda: not any(getattr(c, "unsent", 0) for c in server.connections))

        assert len(server.connections) >= CLIENTS


async def test_the_next_request_of_a_reader_that_stalls_waits() -> None:
    async with served(straight=True) as server, stalled(server) as connection:
        before = server.straight_answers
        recorded = len(server.records)
        await connection.send(HELLO * 3)
        await asyncio.sleep(0.2)
        assert len(server.records) == recorded
        connection.read_on()
        answers = [await answer(connection) for _ in range(4)]

    assert [len(body) for _, body in answers] == [LARGE + 20, 34, 34, 34]
    assert server.straight_answers == before


async def test_a_server_that_stops_waits_for_a_reader_to_take_its_answer() -> None:
    async with served(straight=True, limits=HTTPLimits(shutdown_seconds=30)) as server, stalled(server) as connection:
        server.endpoint.drain()
        await drain(server.runner, 0.1)
        stopping = asyncio.create_task(server.runner.cleanup())
        await asyncio.sleep(0.3)
        # A process that ends takes with it what was not sent.
        assert not stopping.done()
        connection.read_on()
        _, body = await answer(connection)
        await stopping

    assert len(body) > LARGE


async def test_a_server_that_stops_waits_no_longer_than_it_should_for_a_reader_that_stalls() -> None:
    async with served(straight=True, limits=HTTPLimits(shutdown_seconds=0.3)) as server, stalled(server):
        async with asyncio.timeout(15):
            await drain(server.runner, 0.1)
            await server.runner.cleanup()


async def test_a_server_that_drains_ends_each_connection_with_an_answer() -> None:
    async with loaded() as server:
        server.endpoint.drain()
        straight = server.straight_answers
        await drain(server.runner, 20)

        assert server.connections == []
    assert server.straight_answers == straight
    assert {record.outcome for record in server.records} == {"ok"}


async def test_what_takes_too_long_is_given_up() -> None:
    async with loaded(limits=HTTPLimits(execution_seconds=0.3)) as server:
        response = await server.ask(WAIT)

    assert response.status == 504
    assert server.work.cleaned == ["wait"]


async def test_who_used_more_than_a_share_is_refused_while_others_wait_and_answered_straight_when_nobody_does() -> None:
    def caller_of(authorization: str | None) -> Caller:
        return Caller(authorization or "somebody", AMY.roles)

    shares = Shares(ShareLimits(rate=100, seconds=10), clock=lambda: 0.0)
    limiter = ConcurrencyLimiter(max_executing=1, shares=shares)
    async with served(straight=True, authenticate=caller_of, concurrency=limiter) as server:
        shares.charge("amy", 1_250)
        alone = (await server.ask(Authorization="amy")).status
        straight = server.straight_answers
        waiting = [asyncio.create_task(server.ask(WAIT, Authorization="bob")) for _ in range(2)]
        await until(lambda: limiter.executing + limiter.queued == 2)
        refused = (await server.ask(Authorization="amy")).status
        server.work.released.set()
        statuses = [(await task).status for task in waiting]

    assert (alone, straight, refused, statuses) == (200, 1, 429, [200, 200])
    assert [(record.caller, record.outcome) for record in server.records] == [
        ("amy", "ok"),
        ("amy", "THROTTLED"),
        ("bob", "ok"),
        ("bob", "ok"),
    ]


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
async def test_each_answer_has_the_headers_that_its_own_request_asked_for(accepted: str) -> None:
    origins = [f"https://{name}.example" for name in "abcd"]

    async def ask(server: Served, number: int) -> None:
        async with await server.connect() as connection:
            for index in range(10):
                id, origin, letters = f"{number}-{index}", origins[(number + index) % 4], 1500 + number
                body = json.dumps({"query": f"{{ long(characters: {letters}) }}"}).encode()
                headers = f"X-Request-Id: {id}\r\nOrigin: {origin}\r\nAccept-Encoding: {accepted}\r\n".encode()
                await connection.send(post(body).replace(b"Host: a\r\n", b"Host: a\r\n" + headers))
                head, content = await answer(connection)
                lines = head.decode().split("\r\n")
                assert f"X-Request-Id: {id}" in lines
                assert (f"Access-Control-Allow-Origin: {origin}" in lines) is (origin in origins[:2])
                assert ("Content-Encoding: gzip" in lines) is (accepted == "gzip")
                text = gzip.decompress(content) if accepted == "gzip" else content
                assert len(text) == letters + 20

    async with loaded(origins=frozenset(origins[:2])) as server:
        before = server.straight_answers
        await asyncio.gather(*(ask(server, number) for number in range(10)))
        ids = [record.request_id for record in server.records if "-" in record.request_id]

    assert sorted(ids) == sorted(f"{number}-{index}" for number in range(10) for index in range(10))
    assert server.straight_answers - before > 90
