"""Every connection is bounded on every path, and a client that has only stopped sending still gets its answer."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from schema.execution.engine import Request, Result
from schema.transport.http.connections import LONGEST_HEADER, HTTPLimits, Runner
from schema.transport.http.requests import LONGEST_AUTHORIZATION
from storage.caller import Caller
from tests.schema.transport.http.served import AMY, Connection, post, served, until

QUICK = HTTPLimits(keep_alive_seconds=0.4, body_seconds=0.3, write_seconds=0.4)
GET = b"GET %s HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n"
PATHS = {
    "a short answer": GET % b"/short",
    "no such path": GET % b"/nowhere",
    "a preflight": b"OPTIONS /graphql HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n",
    "the explorer": GET % b"/graphql",
    "a wrong method": b"DELETE /graphql HTTP/1.1\r\nHost: a\r\n\r\n",
    "a body unread": b"POST /short HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "GraphQL": post(b'{"query":"{ hello }"}'),
    "a file": GET % b"/file",
}


@asynccontextmanager
async def running(path: Path, limits: HTTPLimits) -> AsyncIterator[tuple[int, Runner]]:
    """Serve what a server has beside GraphQL, and GraphQL; little is kept for a reader that stalls."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)

    async def short(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def file(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path)

    async with served(limits=limits, page=(b"<html>" * 100, {})) as server:
        app = web.Application()
        app.router.add_route("*", "/graphql", server.endpoint.handle)
        app.router.add_route("*", "/short", short)
        app.router.add_get("/file", file)
        runner = Runner(app, limits)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        try:
            yield runner.addresses[0][1], runner
        finally:
            await runner.cleanup()
            listener.close()


def connections(runner: Runner) -> int:
    return len(runner.server.connections) if runner.server else 0


@pytest.mark.parametrize("request_", PATHS.values(), ids=PATHS)
async def test_a_client_that_never_reads_is_cut_off(tmp_path: Path, request_: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10_000)

    async def sending(connection: Connection) -> None:
        with suppress(ConnectionError):
            while True:
                await connection.send(request_ * 100)

    async with (
        running(path, QUICK) as (port, runner),
        Connection(*await asyncio.open_connection("127.0.0.1", port, limit=2**16)) as connection,
    ):
        connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.stop_reading()
        task = asyncio.create_task(sending(connection))
        await until(lambda: connections(runner))
        await until(lambda: not connections(runner))
        task.cancel()
        connection.writer.transport.abort()
        await asyncio.wait([task])


async def test_200_clients_that_never_read_leave_room_for_others() -> None:
    async with served(limits=QUICK) as server:
        clients = [await server.connect() for _ in range(200)]
        for client in clients:
            client.stop_reading()
            client.writer.write(b"OPTIONS /graphql HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
        response = await server.ask()
        await until(lambda: len(server.connections) <= 1)
        for client in clients:
            client.writer.transport.abort()
        await asyncio.sleep(0)

    assert response.status == 200


async def half_close(connection: Connection) -> bytes:
    connection.writer.write_eof()
    return await asyncio.wait_for(connection.reader.read(), 20)


def final(answer: bytes) -> bytes:
    """Leave out interim responses."""
    return answer.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")


async def test_a_half_closed_client_gets_its_answer_at_once_and_the_end() -> None:
    async with served(limits=HTTPLimits(keep_alive_seconds=60)) as server, await server.connect() as connection:
        connection.writer.write(post(b'{"query":"{ hello }"}'))
        answer = await half_close(connection)

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b'{"data":{"hello":"Hello, world!"}}')


async def test_a_half_closed_client_gets_an_answer_that_takes_a_while() -> None:
    async with served() as server, await server.connect() as connection:
        connection.writer.write(post(b'{"query":"{ wait }"}'))
        await until(lambda: server.work.ran)
        asyncio.get_running_loop().call_later(0.5, server.work.released.set)
        answer = await half_close(connection)

    assert final(answer).startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b'{"data":{"wait":"done"}}')
    assert [record.outcome for record in server.records] == ["ok"]


async def test_a_half_closed_client_gets_each_answer_that_it_has_asked_for() -> None:
    async with served() as server, await server.connect() as connection:
        connection.writer.write(post(b'{"query":"{ hello }"}') * 3 + b"POST")
        answer = await half_close(connection)

    assert answer.count(b"HTTP/1.1 200 OK") == 3


async def test_a_half_closed_client_of_the_older_http_sees_no_interim_response() -> None:
    async with served() as server, await server.connect() as connection:
        connection.writer.write(post(b'{"query":"{ wait }"}').replace(b"HTTP/1.1", b"HTTP/1.0"))
        await until(lambda: server.work.ran)
        asyncio.get_running_loop().call_later(0.5, server.work.released.set)
        answer = await half_close(connection)

    assert answer.startswith(b"HTTP/1.0 200 OK")


@pytest.mark.parametrize("sent", [b"", b"POST /graphql HT", post(b'{"query":"{ hel', length=100)], ids=["none", "head", "body"])
async def test_a_client_that_stops_before_its_request_is_whole_is_closed_at_once(sent: bytes) -> None:
    async with served(limits=HTTPLimits(keep_alive_seconds=60, body_seconds=60)) as server, await server.connect() as connection:
        connection.writer.write(sent)
        await asyncio.sleep(0.05)
        answer = await half_close(connection)

    assert answer == b""


async def test_what_works_for_a_client_that_is_gone_is_cancelled_as_soon_as_its_system_says_so() -> None:
    async def forever(request: Request, context: object, _faults: list[Exception]) -> Result:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    started = asyncio.Event()
    async with served(execute=forever) as server:
        async with await server.connect() as connection:
            connection.writer.write(post(b'{"query":"{ hello }"}'))
            await started.wait()
        began = asyncio.get_running_loop().time()
        await until(lambda: server.records)
        seconds = asyncio.get_running_loop().time() - began

    assert [record.outcome for record in server.records] == ["DISCONNECTED"]
    assert seconds < HTTPLimits().execution_seconds / 2


def with_headers(*headers: bytes) -> bytes:
    return post(b'{"query":"{ hello }"}').replace(b"Host: a\r\n", b"Host: a\r\n" + b"".join(line + b"\r\n" for line in headers))


TOO_LONG_AUTHORIZATION = "The Authorization header is longer than 16,384 bytes. Ask for a shorter token."
TOO_LONG_HEADER = f"A header is longer than {LONGEST_HEADER:,} bytes; Authorization may have 16,384. Send shorter ones."
TWO = "Send one Authorization header: there are several, and each might name somebody else."
REFUSED = {
    "Authorization by a byte": (
        with_headers(b"Authorization: " + b"a" * (LONGEST_AUTHORIZATION + 1)),
        431,
        TOO_LONG_AUTHORIZATION,
    ),
    "Authorization by much": (with_headers(b"Authorization: " + b"a" * 100_000), 431, TOO_LONG_HEADER),
    "a cookie": (with_headers(b"Cookie: " + b"a" * 20_000), 431, TOO_LONG_HEADER),
    "a name": (with_headers(b"a" * 20_000 + b": b"), 431, TOO_LONG_HEADER),
    "a path": (
        GET % (b"/" + b"a" * 20_000),
        414,
        "The first line of the request is longer than 8,192 bytes. Send a shorter one, or GraphQL by POST.",
    ),
    "two signatures": (with_headers(b"Authorization: Bearer a.b.c", b"Authorization: Bearer d.e.f"), 400, TWO),
    "the same twice": (with_headers(b"Authorization: Bearer a.b.c", b"authorization: Bearer a.b.c"), 400, TWO),
}


@pytest.mark.parametrize(("sent", "status", "message"), REFUSED.values(), ids=REFUSED)
async def test_headers_that_are_too_long_or_too_many_are_refused_by_a_coded_error_and_recorded(
    sent: bytes, status: int, message: str
) -> None:
    async with served() as server, await server.connect() as connection:
        connection.writer.write(sent)
        head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 20)
        body = await connection.reader.readexactly(int(re.findall(rb"Content-Length: (\d+)", head)[0]))

    [error] = json.loads(body)["errors"]
    [record] = server.records
    assert int(head.split()[1]) == status
    assert error == {"message": message, "extensions": {"code": "BAD_REQUEST", "requestId": record.request_id}}
    assert (record.outcome, record.status, record.client) == ("BAD_REQUEST", status, "127.0.0.1")
    assert server.work.ran == []


async def test_an_authorization_header_of_16_kib_is_taken() -> None:
    seen = list[str | None]()

    def authenticate(authorization: str | None) -> Caller:
        seen.append(authorization)
        return AMY

    async with served(authenticate=authenticate) as server, await server.connect() as connection:
        connection.writer.write(with_headers(b"Authorization: " + b"a" * LONGEST_AUTHORIZATION))
        head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 20)

    assert head.startswith(b"HTTP/1.1 200 OK")
    assert seen == ["a" * LONGEST_AUTHORIZATION]
