"""Heads that are built as bytes are those that aiohttp would write, to the byte."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from aiohttp import hdrs, web

from schema.transport.http import responses
from schema.transport.http.clients import REQUEST_ID
from schema.transport.http.connections import HTTPLimits, Runner
from schema.transport.http.negotiation import GRAPHQL_RESPONSE, JSON
from schema.transport.http.responses import Reply
from tests.schema.transport.http.served import Connection, served

ORIGIN = "https://a.example"
BODY = b'{"data":{"hello":"%b"}}'
LONG = BODY % (b"x" * 70_000)


async def listed(request: web.Request) -> web.StreamResponse:
    """Answer with headers that aiohttp serialises."""
    response = await responses.http_response(
        Reply(200, LONG if "long" in request.query else BODY), request=request, media_type=request.query["type"]
    )
    response.headers[REQUEST_ID] = request.headers[REQUEST_ID]
    if hdrs.ORIGIN in request.headers:
        responses.allow_origin(response, request.headers[hdrs.ORIGIN])
    if "close" in request.query:
        response.force_close()
    return response


async def prebuilt(request: web.Request) -> web.StreamResponse:
    response = await responses.usual_response(
        LONG if "long" in request.query else BODY,
        request=request,
        media_type=request.query["type"],
        request_id=request.headers[REQUEST_ID],
        origin=request.headers.get(hdrs.ORIGIN),
    )
    if "close" in request.query:
        response.force_close()
    return response


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_post("/listed", listed)
    app.router.add_post("/prebuilt", prebuilt)
    runner = Runner(app, HTTPLimits())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def answer(port: int, sent: bytes) -> bytes:
    async with Connection(*await asyncio.open_connection("127.0.0.1", port)) as connection:
        await connection.send(sent)
        head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 20)
        length = int(re.findall(rb"Content-Length: (\d+)", head)[0])
        body = await connection.reader.readexactly(length)
        if b"Connection: close" in head:
            assert await connection.reader.read() == b""
    return re.sub(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", b"Date: now", head) + body


@pytest.mark.parametrize("media_type", [JSON, GRAPHQL_RESPONSE])
async def test_a_head_that_is_built_is_what_aiohttp_would_write(port: int, media_type: str) -> None:
    choices = itertools.product(("", "&long"), ("", "&close"), (False, True), (False, True), (False, True))

    for long, close, gzip, allowed, leaves in choices:
        lines = ["Host: a", "X-Request-Id: id-1", "Content-Length: 2"]
        lines += ["Accept-Encoding: gzip"] if gzip else []
        lines += [f"Origin: {ORIGIN}"] if allowed else []
        lines += ["Connection: close"] if leaves else []
        listed, prebuilt = [
            await answer(
                port, "\r\n".join([f"POST /{way}?type={quote(media_type)}{long}{close} HTTP/1.1", *lines, "", "{}"]).encode()
            )
            for way in ("listed", "prebuilt")
        ]

        assert prebuilt == listed, (long, close, gzip, allowed, leaves)
        assert b"\r\nDate: now\r\n" in prebuilt


@pytest.mark.parametrize("origin", [None, ORIGIN, "https://b.example"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("keeps", ["close", "keep-alive"])
@pytest.mark.parametrize("draining", [False, True])
async def test_a_usual_answer_has_the_headers_that_its_request_asks_for(
    origin: str | None, version: str, keeps: str, draining: bool
) -> None:
    expected = ["Cache-Control", "Content-Security-Policy", "Referrer-Policy", "Server", "X-Content-Type-Options"]
    expected += ["X-Frame-Options", "Content-Type", "Vary", "X-Request-Id"]
    expected += ["Access-Control-Allow-Origin", "Access-Control-Expose-Headers"] if origin == ORIGIN else []
    expected += ["Content-Length", "Date"]
    closes = keeps == "close" or draining
    expected += ["Connection"] if closes == (version == "1.1") else []
    body = b'{"query":"{ hello }"}'
    lines = [f"POST /graphql HTTP/{version}", "Host: a", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"Connection: {keeps}", "X-Request-Id: id-1"] + ([f"Origin: {origin}"] if origin else [])

    async with served(origins=frozenset({ORIGIN})) as server:
        if draining:
            server.endpoint.drain()
        received = await answer(server.port, "\r\n".join([*lines, "", ""]).encode() + body)

    head, _, content = received.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    assert first == f"HTTP/{version} 200 OK"
    assert [line.partition(":")[0] for line in rest] == expected
    assert {"Server: home-visits", "Vary: Accept, Accept-Encoding, Origin", "X-Request-Id: id-1"} <= set(rest)
    assert content == b'{"data":{"hello":"Hello, world!"}}'
