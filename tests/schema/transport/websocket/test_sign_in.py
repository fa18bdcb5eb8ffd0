"""Who is behind a WebSocket, where its page is from, and what becomes of it when its token ends."""

import asyncio

import aiohttp
import pytest

from schema.transport.http.requests import LONGEST_AUTHORIZATION
from schema.transport.websocket import sessions
from tests.schema.transport.http.served import until
from tests.schema.transport.websocket.connected import ACK, BELLS, next_of, rung, serving


@pytest.mark.parametrize(
    ("payload", "headers", "name"),
    [
        ({}, {}, "amy"),
        (None, {"Authorization": "Bearer ben"}, "ben"),
        ({"Authorization": "Bearer ben"}, {}, "ben"),
        ({"authorization": "Bearer ben"}, {}, "ben"),
        ({"AUTHORIZATION": "Bearer ben", "other": 1}, {"Authorization": "Bearer cleo"}, "ben"),
    ],
)
async def test_the_token_comes_with_the_initialisation_or_the_upgrade(
    payload: dict[str, object] | None, headers: dict[str, str], name: str
) -> None:
    async with serving() as connected, connected.open(init=False, headers=headers) as client:
        await client.send({"type": "connection_init", "payload": payload})
        assert await client.receive() == ACK
        await client.subscribe("{ hello }")
        await client.receive()

        assert [caller.subject for caller, _ in connected.work.contexts] == [name]
        assert [record.caller for record in connected.records] == [name]


async def test_a_token_that_is_refused_closes_with_4403_and_is_logged_with_its_reason() -> None:
    async with serving() as connected, connected.open(init=False) as client:
        connected.tokens.expired.add("Bearer old")
        await client.send({"type": "connection_init", "payload": {"Authorization": "Bearer old"}})

        assert await client.closed() == (4403, "The token has expired.")
        assert [(record.outcome, record.status, record.reason, record.caller) for record in connected.records] == [
            ("UNAUTHENTICATED", 401, "expired", None)
        ]


async def test_a_token_that_expires_closes_with_4403_what_runs_on_it() -> None:
    async with serving() as connected, connected.open(init=False) as client:
        connected.tokens.seconds["Bearer brief"] = 0.2
        await client.send({"type": "connection_init", "payload": {"Authorization": "Bearer brief"}})
        assert await client.receive() == ACK
        await client.subscribe(BELLS)
        await until(lambda: connected.work.bells)
        rung(connected).ring(1)
        before = await client.receive()
        connected.tokens.expired.add("Bearer brief")

        assert before == next_of({"bells": {"number": 1}})
        assert await client.closed() == (4403, "The token has expired.")
        assert rung(connected).closed


async def test_a_token_whose_key_is_withdrawn_closes_when_it_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "RECHECK_SECONDS", 0.05)
    async with serving() as connected, connected.open(init=False) as client:
        connected.tokens.seconds["Bearer long"] = 3600
        await client.send({"type": "connection_init", "payload": {"Authorization": "Bearer long"}})
        assert await client.receive() == ACK
        await asyncio.sleep(0.2)
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}

        connected.tokens.expired.add("Bearer long")

        assert (await client.closed())[0] == 4403


async def test_a_token_that_expires_while_the_keys_are_away_closes_with_4403() -> None:
    async with serving() as connected, connected.open(init=False) as client:
        connected.tokens.seconds["Bearer brief"] = 0.5
        await client.send({"type": "connection_init", "payload": {"Authorization": "Bearer brief"}})
        assert await client.receive() == ACK
        connected.tokens.keys_are_away = True
        connected.tokens.seconds["Bearer brief"] = 0

        assert await client.closed() == (4403, "The token has expired. Sign in again for a new one.")
        assert connected.tokens.unchecked <= 2


async def test_a_token_that_cannot_be_looked_at_is_looked_at_now_and_then_until_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "RECHECK_SECONDS", 0.1)
    monkeypatch.setattr(sessions, "RETRY_SECONDS", 0.2)
    async with serving() as connected, connected.open(init=False) as client:
        connected.tokens.seconds["Bearer long"] = 3600
        await client.send({"type": "connection_init", "payload": {"Authorization": "Bearer long"}})
        assert await client.receive() == ACK
        connected.tokens.keys_are_away = True
        # Its key was withdrawn: it is to be verified anew.
        connected.tokens.seconds["Bearer long"] = 0
        began = asyncio.get_running_loop().time()
        await until(lambda: connected.tokens.unchecked == 4)

        assert asyncio.get_running_loop().time() - began >= 0.55
        connected.tokens.keys_are_away = False
        connected.tokens.expired.add("Bearer long")
        assert await client.closed() == (4403, "The token has expired.")


ALLOWED = frozenset({"https://visits.example"})


@pytest.mark.parametrize("origin", [None, "https://visits.example", "http://127.0.0.1:{port}"])
async def test_a_page_that_may_ask_may_connect(origin: str | None) -> None:
    async with serving(origins=ALLOWED) as connected:
        headers = {"Origin": origin.format(port=connected.port)} if origin else {}
        async with connected.open(headers=headers) as client:
            await client.subscribe("{ hello }")

            assert await client.receive() == next_of({"hello": "Hello, world!"})


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1", "https://visits.example.evil.example", ""]
)
async def test_a_page_of_another_site_may_not_connect(origin: str) -> None:
    async with serving(origins=ALLOWED) as connected:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected.open(headers={"Origin": origin}):
                pass

        assert refused.value.status == 403
        assert [record.outcome for record in connected.records] == ["FORBIDDEN"]


async def test_a_header_that_is_too_long_is_refused_before_the_upgrade() -> None:
    async with serving() as connected:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected.open(headers={"Authorization": "x" * (LONGEST_AUTHORIZATION + 1)}):
                pass

    assert refused.value.status == 431
