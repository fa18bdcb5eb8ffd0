"""Whatever is sent, the answer is a coded error of the 400s, and the server goes on."""

import asyncio
import json
from http import HTTPStatus

import pytest
from aiohttp.http_parser import HttpRequestParserPy

from schema.transport.http.connections import HTTPLimits
from schema.transport.http.negotiation import GRAPHQL_RESPONSE as MODERN
from schema.transport.http.negotiation import JSON as LEGACY
from tests.schema.transport.http.malformed import BODIES, HEADERS, REQUESTS, Malformed
from tests.schema.transport.http.served import HELLO, served


@pytest.mark.parametrize("malformed", BODIES, ids=str)
@pytest.mark.parametrize("accept", [MODERN, LEGACY])
async def test_a_malformed_body_is_a_400_that_says_why(malformed: Malformed, accept: str) -> None:
    async with served() as server:
        headers = {"Content-Type": "application/json", "Accept": accept, "X-Request-Id": "req-1"}
        response = await server.client.post("/graphql", data=malformed.sent, headers=headers)
        body = await response.json(content_type=accept)
        after = await server.ask()

    assert response.status == 400
    assert list(body) == ["errors"]
    assert [error["extensions"] for error in body["errors"]] == [{"code": "BAD_REQUEST", "requestId": "req-1"}]
    assert 0 < len(body["errors"][0]["message"]) < 250
    assert after.status == 200
    assert server.work.ran == ["hello"]


@pytest.mark.parametrize("malformed", HEADERS, ids=str)
async def test_a_header_that_does_not_fit_is_refused(malformed: Malformed) -> None:
    async with served() as server:
        response = await server.client.post("/graphql", data=malformed.sent, headers=malformed.headers)
        body = await response.json()

    assert response.status == malformed.status
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_REQUEST"]
    assert server.work.ran == []


@pytest.mark.parametrize("malformed", REQUESTS, ids=str)
async def test_what_is_not_http_is_a_400(malformed: Malformed) -> None:
    async with served() as server, await server.connect() as connection:
        await connection.send(malformed.sent)
        line = await asyncio.wait_for(connection.reader.readline(), 20)

    assert line in {b"HTTP/1.0 400 Bad Request\r\n", b"HTTP/1.1 400 Bad Request\r\n"}
    assert server.work.ran == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("Int", 2**31),
        ("Int", 2**64),
        ("Int", 10**4000),
        ("Int", 1e308),
        ("String", "a\u0000b"),
        ("String", "\u2028\ufffe\U0010ffff"),
        ("String", "x" * 200_000),
        ("[ID!]", json.loads("[" * 190 + "]" * 190)),
        ("[ID!]", [str(number) for number in range(20_000)]),
        ("[ID!]", [{"__proto__": {"a": 1}}]),
    ],
)
async def test_a_hostile_value_is_no_failure_of_the_server(kind: str, value: object) -> None:
    request = {"query": f"query A($value: {kind}) {{ hello }}", "variables": {"value": value}}

    async with served() as server:
        response = await server.ask(request, Accept=MODERN)
        body = json.loads(await response.text())

    assert response.status in (200, 400)
    assert list(body) == (["data"] if response.status == 200 else ["errors"])
    assert [record.failure for record in server.records] == [None]


async def test_a_body_that_goes_wrong_on_the_way_is_a_400(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # aiohttp's compiled parser tells nobody; this one is used where there is no compiled one.
    monkeypatch.setattr("aiohttp.web_protocol.HttpRequestParser", HttpRequestParserPy)

    async with served() as server, await server.connect() as connection:
        head = b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        await connection.send(head + b'5\r\n{"que\r\n')
        await asyncio.sleep(0.05)
        await connection.send(b"zz\r\n")
        answer = await asyncio.wait_for(connection.reader.read(), 20)

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    refusal = (
        b'{"errors":[{"message":"The body is not framed as its headers say. Send it again.","extensions":{"code":"BAD_REQUEST",'
    )
    assert refusal in answer
    assert [(record.outcome, record.failure) for record in server.records] == [("BAD_REQUEST", None)]
    assert caplog.records == []


@pytest.mark.parametrize("header", ["Authorization", "Origin", "X-Request-Id", "Accept-Encoding"])
async def test_a_header_that_is_not_text_harms_nothing(header: str) -> None:
    async with served(origins=frozenset({"https://a.example"})) as server:
        response = await server.client.post("/graphql", json=HELLO, headers={header: "\udcff\udcfe"})

    assert response.status == 200


async def test_a_body_is_taken_up_to_its_limit_and_not_a_byte_further() -> None:
    body = json.dumps(HELLO).encode()

    async with served(limits=HTTPLimits(body=len(body))) as server:
        headers = {"Content-Type": "application/json"}
        fitting = await server.client.post("/graphql", data=body, headers=headers)
        larger = await server.client.post("/graphql", data=body + b" ", headers=headers)

    assert [fitting.status, larger.status] == [200, 413]
    assert (await larger.json())["errors"][0]["message"] == f"The body is larger than {len(body)} bytes. Split the request."


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_larger_than_256_kib_is_a_413(chunked: bool) -> None:
    head = b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    sent = head + (
        b"Transfer-Encoding: chunked\r\n\r\n40001\r\n" + b" " * 0x40001 if chunked else b"Content-Length: 262145\r\n\r\n"
    )

    async with served() as server, await server.connect() as connection:
        await connection.send(sent)
        line = await asyncio.wait_for(connection.reader.readline(), 20)

    # Python 3.13 calls it "Content Too Large", as RFC 9110 does, and those before "Request Entity Too Large".
    assert line == f"HTTP/1.1 413 {HTTPStatus(413).phrase}\r\n".encode()
    assert [(record.outcome, record.status) for record in server.records] == [("BAD_REQUEST", 413)]
