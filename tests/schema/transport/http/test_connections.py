"""A slow client costs a bounded time and bounded memory."""

import asyncio
import json
import logging
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from graphql import GraphQLError

from schema.transport.http.connections import HTTPLimits
from schema.transport.http.stalls import MOST_UNSENT
from tests.schema.transport.http.malformed import REQUESTS, Malformed
from tests.schema.transport.http.served import Connection, post, served, until

HEAD = b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"

QUICK = HTTPLimits(keep_alive_seconds=0.4, body_seconds=0.3, write_seconds=0.4)
# A busy machine may take ten times as long, but nothing may end early.
KEEP_ALIVE, BODY = (0.39, 4.0), (0.29, 3.0)


async def drip(connection: Connection, data: bytes, pause: float) -> float:
    """Send byte after byte until the other side closes; return the seconds that took."""

    async def sending() -> None:
        with suppress(ConnectionError):
            for byte in data:
                await connection.send(bytes([byte]))
                await asyncio.sleep(pause)

    task = asyncio.create_task(sending())
    try:
        return await connection.closed_after()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def answered(connection: Connection) -> bytes:
    """Read one response to its end."""
    head = await connection.reader.readuntil(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    return head + await connection.reader.readexactly(length)


async def test_a_connection_on_which_nothing_comes_is_closed() -> None:
    async with served(limits=QUICK) as server, await server.connect() as connection:
        seconds = await connection.closed_after()

    assert KEEP_ALIVE[0] < seconds < KEEP_ALIVE[1]


async def test_headers_that_drip_are_cut_off() -> None:
    async with served(limits=QUICK) as server, await server.connect() as connection:
        seconds = await drip(connection, HEAD * 10, 0.05)

    assert KEEP_ALIVE[0] < seconds < KEEP_ALIVE[1]


async def test_headers_that_drip_after_an_answer_are_cut_off() -> None:
    async with served(limits=QUICK) as server, await server.connect() as connection:
        await connection.send(post(b'{"query":"{ hello }"}'))
        await answered(connection)
        seconds = await drip(connection, HEAD * 10, 0.05)

    assert KEEP_ALIVE[0] < seconds < KEEP_ALIVE[1]


async def test_a_connection_that_is_used_no_more_is_closed() -> None:
    async with served(limits=QUICK) as server, await server.connect() as connection:
        await connection.send(post(b'{"query":"{ hello }"}'))
        await answered(connection)
        seconds = await connection.closed_after()

    assert KEEP_ALIVE[0] < seconds < KEEP_ALIVE[1]


async def test_a_body_that_drips_is_cut_off_with_a_408() -> None:
    async with served(limits=QUICK) as server, await server.connect() as connection:
        await connection.send(HEAD + b"Content-Length: 1000\r\n\r\n")
        seconds = await drip(connection, b" " * 1000, 0.05)

    assert BODY[0] < seconds < BODY[1]
    assert [(record.outcome, record.status) for record in server.records] == [("BAD_REQUEST", 408)]


async def test_a_body_that_stops_is_answered_before_it_is_cut_off() -> None:
    async with served(limits=QUICK) as server, await server.connect() as connection:
        await connection.send(HEAD + b'Content-Length: 1000\r\n\r\n{"query"')
        answer = await answered(connection)
        rest = await connection.reader.read()

    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"The body did not arrive within 0.3 seconds." in answer
    assert rest == b""


async def test_a_body_that_a_stop_cuts_short_is_answered_that_the_server_stops() -> None:
    limits = HTTPLimits(body_seconds=20, shutdown_seconds=0.1)
    async with served(limits=limits) as server, await server.connect() as connection:
        await connection.send(HEAD + b'Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n{"query"')
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        server.endpoint.drain()
        await server.runner.cleanup()
        answer = await answered(connection)
        rest = await connection.reader.read()

    head, _, body = answer.partition(b"\r\n\r\n")
    [error] = json.loads(body)["errors"]
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert {b"Connection: close", b"Retry-After: 1"} <= set(head.split(b"\r\n"))
    assert (error["message"], error["extensions"]["code"]) == ("The server is stopping. Send the request again.", "OVERLOADED")
    assert rest == b""
    assert [(record.outcome, record.status, record.failure) for record in server.records] == [("OVERLOADED", 503, None)]


async def test_a_body_in_two_parts_is_one_body() -> None:
    async with served() as server, await server.connect() as connection:
        await connection.send(HEAD + b'Content-Length: 21\r\n\r\n{"query":"{ h')
        await asyncio.sleep(0.1)
        await connection.send(b'ello }"}')
        answer = await answered(connection)

    assert answer.endswith(b'{"data":{"hello":"Hello, world!"}}')


LONG = b'{"query":"{ long(characters: 30000000) }"}'


async def test_a_reader_that_stalls_is_cut_off() -> None:
    async with served(limits=QUICK) as server, await server.connect() as connection:
        connection.stop_reading()
        await connection.send(post(LONG))
        await until(lambda: server.records)
        await until(lambda: not server.connections)
        connection.read_on()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(connection.reader.readexactly(30_000_000), 20)

    assert [(record.outcome, record.status) for record in server.records] == [("ok", 200)]


async def test_a_reader_of_many_small_answers_that_stalls_is_cut_off() -> None:
    request = post(b'{"query":"{ long(characters: 30000) }"}')

    async with served(limits=QUICK) as server, await server.connect() as connection:
        connection.stop_reading()
        for _ in range(2000):
            connection.writer.write(request)
        await until(lambda: server.records)
        await until(lambda: not server.connections)

    assert 0 < len(server.records) < 2000


async def test_of_many_readers_that_stall_those_that_stalled_first_are_cut_off() -> None:
    async with served(limits=HTTPLimits(write_seconds=30)) as server, AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(await server.connect()) for _ in range(8)]
        for number, connection in enumerate(connections):
            connection.stop_reading()
            await connection.send(post(LONG))
            await until(lambda number=number: len(server.records) > number)
        await until(lambda: len(server.connections) < len(connections))
        kept = len(server.connections)
        first, last = connections[0], connections[-1]
        first.read_on()
        last.read_on()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(first.reader.readexactly(30_000_000), 20)
        answer = await asyncio.wait_for(answered(last), 20)

    # Of each, the system has taken some megabytes.
    assert MOST_UNSENT // 30_000_000 <= kept < len(connections)
    assert len(answer) > 30_000_000


async def test_a_reader_that_takes_its_time_gets_everything() -> None:
    async with served(limits=HTTPLimits(write_seconds=30)) as server, await server.connect() as connection:
        connection.stop_reading()
        await connection.send(post(LONG))
        await until(lambda: server.records)
        await asyncio.sleep(0.3)
        connection.read_on()
        answer = await asyncio.wait_for(answered(connection), 20)

    assert answer.endswith(b'xxx"}}')


@pytest.mark.parametrize("malformed", REQUESTS, ids=str)
async def test_what_is_not_http_leaves_nothing_in_the_log(malformed: Malformed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async with served() as server, await server.connect() as connection:
        await connection.send(malformed.sent)
        await connection.closed_after()

    assert caplog.records == []


async def test_a_failure_of_the_server_itself_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def fail(error: GraphQLError, request_id: str, context: object) -> dict[str, Any]:
        raise RuntimeError("no disk")

    async with served(present_error=fail) as server:
        response = await server.ask({"query": "{"})

    assert response.status == 500
    assert [(record.levelname, str(record.exc_info and record.exc_info[1])) for record in caplog.records] == [
        ("ERROR", "no disk")
    ]


async def test_a_client_that_expects_100_continue_gets_it() -> None:
    async with served() as server, await server.connect() as connection:
        await connection.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 21\r\n\r\n")
        invited = await connection.reader.readuntil(b"\r\n\r\n")
        await connection.send(b'{"query":"{ hello }"}')
        answer = await answered(connection)

    assert invited == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.endswith(b'{"data":{"hello":"Hello, world!"}}')
