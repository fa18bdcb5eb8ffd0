"""A subscriber to a server as users start it, and a screen that resumes from its newest cursor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

CHANGED = "subscription Changed($after: String) { homeVisitChanged(after: $after) { cursor node { id sequence type } } }"
BOOK = """mutation { bookHomeVisit(input: {
  careEnquiry: "67251cbede305d547963780e", dateTime: "2030-11-03T11:00:00Z", host: MANAGER, visitType: VIRTUAL
}) { ... on BookHomeVisitSuccess { homeVisit { id } } } }"""
NEWEST = "{ homeVisitEvents(last: 1) { nodes { sequence } pageInfo { endCursor } } }"


class Subscriber:
    """One WebSocket on which a subscription runs."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def change(self) -> Any:
        """Return the next change; raise ConnectionError where the connection has ended."""
        message = await self._socket.receive(timeout=30)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(message.data, message.extra)
        answer = message.json()
        assert (answer["id"], answer["type"], list(answer["payload"])) == ("1", "next", ["data"]), answer
        return answer["payload"]["data"]["homeVisitChanged"]


@asynccontextmanager
async def subscribed(
    url: str, after: str | None = None, *, token: str | None = None, document: str = CHANGED
) -> AsyncIterator[Subscriber]:
    payload = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=["graphql-transport-ws"], autoclose=False) as socket,
    ):
        await socket.send_json({"type": "connection_init", "payload": payload})
        if (answer := await socket.receive(timeout=30)).type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(answer.data, answer.extra)
        query = {"query": document, "variables": {"after": after}}
        await socket.send_json({"type": "subscribe", "id": "1", "payload": query})
        yield Subscriber(socket)


async def ask(url: str, document: str, token: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session, session.post(url, json={"query": document}, headers=headers) as response:
        return (await response.json())["data"]


async def newest(url: str, token: str | None = None) -> tuple[int, str]:
    """Return the sequence of the newest event, and its cursor."""
    page = (await ask(url, NEWEST, token))["homeVisitEvents"]
    return page["nodes"][0]["sequence"], page["pageInfo"]["endCursor"]


class Screen:
    """What a client keeps over its connections: each change it has seen, and the newest cursor."""

    def __init__(self, url: str, sequence: int, cursor: str) -> None:
        self.url = url
        self.first = sequence + 1
        self.seen: list[int] = []
        self.connections = 0
        self._cursor = cursor

    async def follow(self, last: int, *, most: int | None = None) -> None:
        """Follow up to an event, on as many connections as it takes; leave each after `most` changes without a word."""
        while not self.seen or self.seen[-1] < last:
            with suppress(aiohttp.ClientError, ConnectionError):
                await self._connect(last, most)
            await asyncio.sleep(0.05)

    async def _connect(self, last: int, most: int | None) -> None:
        async with subscribed(self.url, self._cursor) as subscriber:
            self.connections += 1
            count = 0
            while (not self.seen or self.seen[-1] < last) and count != most:
                change = await subscriber.change()
                self.seen.append(change["node"]["sequence"])
                self._cursor = change["cursor"]
                count += 1
