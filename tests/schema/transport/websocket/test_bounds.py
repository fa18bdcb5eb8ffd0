"""Clients that read nothing, say nothing or send garbage are bounded, and others are served."""

import asyncio
import base64
import json
import os
import random
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from schema.transport.http.connections import HTTPLimits
from schema.transport.http.protocol import Connection as ServersConnection
from schema.transport.http.protocol import Server
from schema.transport.websocket.sockets import WebSocketLimits
from tests.schema.transport.http.served import Connection, until
from tests.schema.transport.websocket.connected import BELLS, INIT, PROTOCOL, Connected, next_of, rung, serving

LOUD = {"loud": True}
REFUSALS = ("BAD_REQUEST", "BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED")


@asynccontextmanager
async def raw(connected: Connected) -> AsyncIterator[Connection]:
    """A socket after the upgrade, byte by byte."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET /graphql HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
    )
    connection = Connection(*await asyncio.open_connection("127.0.0.1", connected.port, limit=2**16))
    async with connection:
        await connection.send(head.encode())
        assert b" 101 " in await connection.reader.readuntil(b"\r\n\r\n")
        yield connection


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """Return a masked frame; the mask changes nothing."""
    head = bytes([0x80 | opcode])
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + struct.pack("!H", size)
    return head + length + bytes(4) + payload


async def test_a_subscriber_who_takes_nothing_is_closed_with_4290_when_the_buffer_is_full_and_others_go_on() -> None:
    async with serving() as connected, connected.open() as client, raw(connected) as stalled:
        await stalled.send(frame(json.dumps(INIT).encode()))
        await stalled.send(
            frame(json.dumps({"type": "subscribe", "id": "s", "payload": {"query": BELLS, "variables": LOUD}}).encode())
        )
        await until(lambda: connected.work.bells)
        stalled.stop_reading()
        bells = rung(connected)
        while not bells.closed:
            bells.ring(1_000_000)
            await asyncio.sleep(0.005)
        await client.subscribe("{ hello }")

        assert await client.receive() == next_of({"hello": "Hello, world!"})
        stalled.read_on()
        received = await stalled.reader.read()
        reason = b"You take messages too slowly: connect again, and resume from your last cursor."
        # Nothing comes after the close frame.
        assert received.endswith(bytes([0x88, len(reason) + 2]) + struct.pack("!H", 4290) + reason)
        assert connected.sockets.stalled == 1


async def test_a_subscriber_who_takes_nothing_for_a_heartbeat_is_closed_too() -> None:
    limits = WebSocketLimits(heartbeat_seconds=0.5)
    async with serving(limits=limits) as connected, raw(connected) as stalled:
        await stalled.send(frame(json.dumps(INIT).encode()))
        long = {"query": "{ long(characters: 8000000) }"}
        await stalled.send(frame(json.dumps({"type": "subscribe", "id": "s", "payload": long}).encode()))
        stalled.stop_reading()

        await until(lambda: connected.records)
        began = asyncio.get_running_loop().time()
        await until(lambda: not connected.sockets.connections)

        assert asyncio.get_running_loop().time() - began < 5


@asynccontextmanager
async def blocked(connected: Connected) -> AsyncIterator[Connection]:
    """A client that reads nothing, and whose operation `big` waits to be completed."""
    async with raw(connected) as stalled:
        stalled.stop_reading()
        await stalled.send(frame(json.dumps(INIT).encode()) + subscribing("big", "{ long(characters: 8000000) }"))
        await until(lambda: connected.records)
        yield stalled


def subscribing(id: str, query: str) -> bytes:
    return frame(json.dumps({"type": "subscribe", "id": id, "payload": {"query": query}}).encode())


async def test_operations_that_wait_to_be_ended_count_as_running_for_who_reads_nothing() -> None:
    async with serving(limits=WebSocketLimits(operations=3)) as connected, blocked(connected) as stalled:
        await stalled.send(b"".join(subscribing(str(number), "{ nothing }") for number in range(50)))
        await until(lambda: len(connected.records) >= 3)
        await asyncio.sleep(0.2)
        outcomes = [record.outcome for record in connected.records]
        stalled.read_on()
        await stalled.send(frame(struct.pack("!H", 1000), opcode=8))
        received = await stalled.reader.read()

    assert outcomes == ["ok", "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_VALIDATION_FAILED"]
    assert received.count(b'"type":"error"') == 50


async def test_a_server_that_stops_sends_what_waits_for_a_slow_client_to_end() -> None:
    async with serving() as connected, blocked(connected) as stalled:
        await stalled.send(subscribing("bad", "{ nothing }"))
        await until(lambda: len(connected.records) == 2)
        connected.endpoint.drain()
        await asyncio.sleep(0.1)
        stalled.read_on()
        received = await stalled.reader.read()

    ends = [b'{"id":"big","type":"complete"}', b'{"id":"bad","type":"error"', b"\x03\xe9The server is stopping"]
    assert [received.count(end) for end in ends] == [1, 1, 1]
    assert received.index(ends[2]) == max(map(received.index, ends))


async def test_answers_that_wait_for_slow_clients_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = 60_000_000
    monkeypatch.setattr("schema.transport.http.stalls.MOST_UNSENT", bound)
    async with serving() as connected, AsyncExitStack() as stack:
        for number in range(4):
            stalled = await stack.enter_async_context(blocked(connected))
            await stalled.send(b"".join(subscribing(str(n), "{ long(characters: 3000000) }") for n in range(10)))
            await until(lambda number=number: len(connected.records) == 11 * (number + 1))
        server = connected.runner.server
        assert isinstance(server, Server)
        unsent = [connection.unsent for connection in server.connections if isinstance(connection, ServersConnection)]

        assert sum(unsent) <= bound
        assert sum(size > 0 for size in unsent) < 4
        async with connected.open() as client:
            await client.subscribe("{ hello }")
            assert await client.receive() == next_of({"hello": "Hello, world!"})


@pytest.mark.parametrize(
    "endless", [b"\x00\x80" + bytes(4), b"\x01\x80" + bytes(4)], ids=["of one message", "of a refused client"]
)
async def test_frames_without_end_are_read_no_further(endless: bytes) -> None:
    sent = 0
    async with serving() as connected, connected.open() as client, raw(connected) as flooding:
        await flooding.send(b"\x01\x80" + bytes(4))
        with suppress(ConnectionError):
            while sent < 100_000_000:
                await flooding.send(endless * 10_000)
                sent += 60_000
        await client.subscribe("{ hello }")

        assert await client.receive() == next_of({"hello": "Hello, world!"})
    # Beside what is read, the system takes some megabytes.
    assert sent < 30_000_000


async def flood(connection: Connection) -> int:
    """Send pings until nothing is taken any more; return how many bytes were."""
    sent = 0
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(10):
            while True:
                await connection.send(frame(b"x" * 125, opcode=9) * 100)
                sent += 13_100
    return sent


async def test_who_floods_with_pings_and_reads_nothing_is_not_answered_for_ever() -> None:
    async with serving(http=HTTPLimits(write_seconds=1)) as connected, raw(connected) as flooding:
        flooding.stop_reading()
        sent = await flood(flooding)

        await until(lambda: not connected.sockets.connections)
        # What the system keeps for both sides, and some more: far from what could be sent in that time.
        assert sent < 64 << 20


@pytest.mark.parametrize(
    "idle",
    [
        frame(b"", opcode=9),
        frame(b"", opcode=10),
        frame(b'{"type":"ping"}'),
        frame(b'{"type":"pong"}'),
        frame(b'{"type":"complete","id":"1"}'),
    ],
    ids=["ping frames", "pong frames", "pings", "pongs", "completions of nothing"],
)
async def test_who_floods_with_what_asks_for_nothing_is_closed_and_others_are_served_meanwhile(
    idle: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.transport.websocket.sockets.CLOSING_SECONDS", 0.1)
    async with serving() as connected, connected.open() as client, raw(connected) as flooding:
        await flooding.send(idle * 200)
        await client.subscribe("{ hello }")
        assert await client.receive() == next_of({"hello": "Hello, world!"})
        assert connected.sockets.connections == 2

        await flooding.send(idle * 100)
        reason = b"Send fewer pings: at most 20 a second."
        await flooding.reader.readuntil(bytes([0x88, len(reason) + 2]) + struct.pack("!H", 4400) + reason)
        await until(lambda: connected.sockets.connections == 1)


async def test_one_connection_gives_way_to_others_between_its_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.execution.runs.SLICE", 1e-9)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serving() as connected, raw(connected) as client:
        counting = asyncio.create_task(count_turns())
        await client.send(frame(b'{"type":"pong"}') * 150 + frame(b'{"type":"ping"}'))
        await asyncio.sleep(0)
        turns = 0
        await client.reader.readuntil(b'"pong"}')
        counting.cancel()

    assert turns >= 150


async def test_a_client_that_does_not_answer_pings_is_closed() -> None:
    limits = WebSocketLimits(heartbeat_seconds=0.2, init_seconds=30)
    async with serving(limits=limits) as connected, raw(connected) as silent:
        seconds = await silent.closed_after()

    assert 0.25 < seconds < limits.init_seconds / 2


async def test_a_client_that_answers_pings_stays() -> None:
    limits = WebSocketLimits(heartbeat_seconds=0.5)
    async with serving(limits=limits) as connected, connected.open() as client:
        waiting = asyncio.create_task(client.receive())
        await asyncio.sleep(1.5)
        await client.subscribe("{ hello }")

        assert await waiting == next_of({"hello": "Hello, world!"})


async def test_a_client_that_has_only_stopped_sending_is_closed() -> None:
    limits = WebSocketLimits(init_seconds=60)
    async with serving(limits=limits) as connected, raw(connected) as halved:
        halved.writer.write_eof()

        assert await halved.closed_after() < limits.heartbeat_seconds / 2
        await until(lambda: not connected.sockets.connections)


async def test_a_websocket_outlives_the_keep_alive_of_requests() -> None:
    async with serving(http=HTTPLimits(keep_alive_seconds=0.2)) as connected, connected.open() as client:
        await asyncio.sleep(0.6)
        await client.subscribe("{ hello }")

        assert await client.receive() == next_of({"hello": "Hello, world!"})


def garbage(seed: int) -> bytes:
    """Return bytes that are nearly frames, and frames whose messages are nearly right."""
    chance = random.Random(seed)  # noqa: S311 - the same garbage each time
    message = json.dumps({"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "variables": {"a": [1, 2]}}}).encode()
    match seed % 6:
        case 0:
            return chance.randbytes(chance.randrange(1, 200))
        case 1:
            return frame(chance.randbytes(chance.randrange(200)), opcode=chance.randrange(16))
        case 2:
            at = chance.randrange(len(message))
            return frame(message[:at] + chance.randbytes(2) + message[at + 2 :])
        case 3:
            return frame(b"[" * chance.randrange(1, 20_000))
        case 4:
            return frame(
                b'{"type":"subscribe","id":"\\ud800","payload":{"query":"{ hello }","variables":{"n":1' + b"0" * 5_000 + b"}}}"
            )
        case _:
            framed = frame(message)
            return bytes([framed[0] & 0x7F]) + framed[1:] + frame(message[: chance.randrange(len(message))], opcode=0)


async def close_code(connected: Connected, seed: int) -> int | None:
    """Send garbage, and then a close frame; return the code by which the server has closed, if it was one."""
    async with raw(connected) as client:
        await client.send(frame(json.dumps(INIT).encode()) + garbage(seed))
        # What is no whole frame yet swallows this, and ends as it is silent.
        await client.send(frame(struct.pack("!H", 1000), opcode=8))
        async with asyncio.timeout(20):
            received = await client.reader.read()
    at = received.rfind(b"\x88")
    return struct.unpack("!H", received[at + 2 : at + 4])[0] if 0 <= at <= len(received) - 4 else None


async def test_garbage_closes_its_connection_with_a_code_of_ours_and_logs_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(limits=WebSocketLimits(heartbeat_seconds=0.5)) as connected:
        codes = await asyncio.gather(*(close_code(connected, seed) for seed in range(300)))
        async with connected.open() as client:
            await client.subscribe("{ hello }")
            assert await client.receive() == next_of({"hello": "Hello, world!"})

    assert {code for code in codes if code} == {1000, 1002, 1007, 4400}
    assert {record.outcome for record in connected.records} <= {"ok", *REFUSALS, "DISCONNECTED"}
    assert [record for record in caplog.records if record.exc_info] == []


async def test_clients_that_break_off_leave_nothing_behind() -> None:
    async with serving() as connected:
        for _ in range(50):
            async with raw(connected) as client:
                await client.send(frame(json.dumps(INIT).encode()))
                await client.send(frame(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": BELLS}}).encode()))
                await client.reader.readexactly(2)
                client.writer.transport.abort()
        await until(lambda: not connected.sockets.connections)
        await until(lambda: all(bells.closed for bells in connected.work.bells))

        assert connected.sockets.subscriptions == 0
        assert len(asyncio.all_tasks()) < 10
