"""Which requests are answered straight: whole ones on an idle connection, and never before what came first."""

import asyncio
import gzip
import json
import re
from typing import Any, cast

import pytest

from schema.execution.engine import Request, Result
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.http.protocol import Connection as ServedConnection
from schema.transport.shares import ShareLimits, Shares
from tests.schema.transport.http.served import AMY, WAIT, Connection, Served, at_once, post, served, until
from tests.schema.transport.http.streams import TURN, Wire, run, settle

BODY = b'{"query":"{ hello }"}'
HELLO = post(BODY)


async def answers(connection: Connection, number: int) -> list[bytes]:
    """Read so many responses, and return their bodies."""
    bodies = []
    for _ in range(number):
        head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 20)
        if head.startswith(b"HTTP/1.1 100"):
            head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 20)
        bodies.append(await connection.reader.readexactly(int(re.findall(rb"Content-Length: (\d+)", head)[0])))
    return bodies


def changed(line: bytes, by: bytes) -> bytes:
    assert line in HELLO
    return HELLO.replace(line, by, 1)


def with_header(header: bytes) -> bytes:
    return changed(b"Host: a\r\n", b"Host: a\r\n" + header + b"\r\n")


CHUNKED = changed(b"Content-Length: 21\r\n", b"Transfer-Encoding: chunked\r\n").replace(BODY, b"15\r\n" + BODY + b"\r\n0\r\n\r\n")
ORDINARY = {
    "the older HTTP": changed(b"HTTP/1.1", b"HTTP/1.0"),
    "the older HTTP, kept open": changed(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n"),
    "one that ends its connection": with_header(b"Connection: close"),
    "chunks": CHUNKED,
    "one that asks first": with_header(b"Expect: 100-continue"),
    "one with a coding": with_header(b"Content-Encoding: identity"),
    "one that would rather have another protocol": with_header(b"Upgrade: h2c\r\nConnection: Upgrade"),
    "an upgrade that nobody listens to": with_header(b"Upgrade: websocket"),
    "a query in its target": changed(b"/graphql", b"/graphql?"),
    "a whole URL": changed(b"/graphql", b"http://a/graphql"),
    "another way to write the path": changed(b"/graphql", b"/%67raphql"),
    "a length with a zero before it": changed(b"Content-Length: 21", b"Content-Length: 021"),
    "another method": changed(b"POST", b"PUT"),
    "two at once": HELLO * 2,
    "a wrong type": changed(b"application/json", b"text/plain"),
    "two signatures": with_header(b"Authorization: a\r\nAuthorization: b"),
    "a mutation": post(b'{"query":"mutation { book }"}'),
    "what is refused": post(b'{"query":"{ refused }"}'),
    "what is no document": post(b'{"query":"{"}'),
    "what is no JSON": post(b"{"),
}


@pytest.mark.parametrize("sent", ORDINARY.values(), ids=ORDINARY)
async def test_whatever_is_unusual_takes_the_ordinary_way(sent: bytes) -> None:
    async with served(straight=True) as server, await server.connect() as connection:
        await connection.send(sent)
        await answers(connection, 1 + (sent == HELLO * 2))

    assert server.straight_answers == 0
    assert len(server.records) >= 1


async def test_a_usual_request_is_answered_straight_also_after_others() -> None:
    async with served(straight=True) as server, await server.connect() as connection:
        for _ in range(3):
            await connection.send(HELLO)
            assert await answers(connection, 1) == [b'{"data":{"hello":"Hello, world!"}}']
            await connection.send(CHUNKED)
            assert await answers(connection, 1) == [b'{"data":{"hello":"Hello, world!"}}']

    assert server.straight_answers == 3
    assert [record.outcome for record in server.records] == ["ok"] * 6
    assert len({record.request_id for record in server.records}) == 6


async def test_a_request_whose_head_comes_in_parts_is_answered_straight_once_it_is_whole() -> None:
    async with served(straight=True) as server, await server.connect() as connection:
        await connection.send(HELLO[:30])
        await asyncio.sleep(0.05)
        await connection.send(HELLO[30:] + HELLO[:20])
        first = await answers(connection, 1)
        await connection.send(HELLO[20:])
        second = await answers(connection, 1)

    assert first == second == [b'{"data":{"hello":"Hello, world!"}}']
    assert server.straight_answers == 2


async def test_no_request_is_answered_before_the_one_that_came_first() -> None:
    async with served(straight=True) as server, await server.connect() as connection:
        await connection.send(post(json.dumps(WAIT).encode()))
        await until(lambda: server.work.running.locked() is False)
        for _ in range(3):
            await connection.send(HELLO)
            await asyncio.sleep(0.02)
        assert server.records == []
        server.work.released.set()
        bodies = await answers(connection, 4)

    assert bodies == [b'{"data":{"wait":"done"}}', *[b'{"data":{"hello":"Hello, world!"}}'] * 3]
    assert server.straight_answers == 0


async def test_nothing_is_answered_after_an_answer_that_ends_the_connection_however_soon_it_comes() -> None:
    async with served(straight=True) as server:
        for turns in range(20):
            connection: ServedConnection = cast(Any, server.runner.server)()
            wire = Wire(connection)
            await settle(wire)
            # What comes next is sent before the server's own tasks go on, in each turn.
            sending = asyncio.create_task(send_later(wire, turns))
            await asyncio.sleep(0)
            wire.receive(with_header(b"Connection: close"))
            await sending
            await settle(wire)

            assert wire.is_closed
            assert wire.sent.count(b"HTTP/1.1") == 1, turns

    assert server.straight_answers == 0


async def send_later(wire: Wire, turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    wire.receive(HELLO)


async def test_an_answer_comes_after_those_before_it_however_soon_it_is_asked_for() -> None:
    async with served(straight=True) as server:
        for turns in range(20):
            connection: ServedConnection = cast(Any, server.runner.server)()
            wire = await run(connection, [CHUNKED, *[TURN] * turns, *[post(b'{"query":"{ number(value: 1) }"}')] * 2])
            bodies = re.findall(rb'"(hello|number)"', wire.sent)
            wire.abort()

            assert bodies == [b"hello", b"number", b"number"], turns

    assert 0 < server.straight_answers < 40


async def test_nothing_is_answered_straight_by_a_server_that_drains() -> None:
    async with served(straight=True) as server, await server.connect() as connection:
        server.endpoint.drain()
        await connection.send(HELLO)
        received = await asyncio.wait_for(connection.reader.read(), 20)

    assert b"\r\nConnection: close\r\n" in received
    assert server.straight_answers == 0


async def test_nobody_is_answered_before_those_who_wait_for_a_place() -> None:
    limiter = ConcurrencyLimiter(max_executing=1)
    async with served(straight=True, concurrency=limiter) as server, await server.connect() as connection:
        tasks = [asyncio.create_task(server.ask(WAIT)) for _ in range(2)]
        await until(lambda: limiter.executing + limiter.queued == 2)
        await connection.send(HELLO)
        await until(lambda: limiter.queued == 2)
        assert server.records == []
        server.work.released.set()
        bodies = await answers(connection, 1)
        await asyncio.gather(*tasks)

    assert bodies == [b'{"data":{"hello":"Hello, world!"}}']
    assert server.straight_answers == 0


async def test_a_fault_of_the_straight_way_costs_nobody_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_request: Request, _make_context: object) -> Result:
        raise RuntimeError

    async with served() as server:
        options = at_once(server.work, lambda _authorization: AMY)._replace(execute=fail)
    async with served(at_once=options) as server, await server.connect() as connection:
        await connection.send(HELLO)
        bodies = await answers(connection, 1)

    assert bodies == [b'{"data":{"hello":"Hello, world!"}}']
    assert [record.message for record in caplog.records] == ["A request could not be answered straight"]


async def concurrently(server: Served, number: int) -> list[bytes]:
    async with await server.connect() as connection:
        received = []
        for index in range(number):
            name = f"{id(connection)}-{index}"
            await connection.send(post(json.dumps({"query": f'{{ hello(name: "{name}") }}'}).encode()))
            [body] = await answers(connection, 1)
            assert body == b'{"data":{"hello":"Hello, %b!"}}' % name.encode()
            received.append(body)
        return received


async def test_what_is_left_to_the_ordinary_way_once_it_was_run_is_paid_for_once() -> None:
    shares = Shares(ShareLimits(rate=100, seconds=10), clock=lambda: 0.0)
    async with served(straight=True, concurrency=ConcurrencyLimiter(shares=shares)) as server:
        server.work.cost = 100
        response = await server.ask({"query": "{ long(characters: 70000) }"}, Accept_Encoding="gzip")
        long = json.loads(gzip.decompress(await response.read()))

    assert len(long["data"]["long"]) == 70_000
    assert (server.straight_answers, shares.share(AMY.subject).available) == (0, 900)


async def test_nobody_gets_the_answer_of_another() -> None:
    async with served(straight=True) as server:
        bodies = await asyncio.gather(*(concurrently(server, 30) for _ in range(20)))

    assert sum(map(len, bodies)) == 600
    assert server.straight_answers > 100
