"""One who follows all changes, in a process that is made to be killed.

    python -m tests.proofs.followers URL TOKEN SEEN feed|subscription

Each event is noted in the file SEEN as it comes: its sequence, its ID and its cursor. Whoever comes back goes on from the last.
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp

FEED = """query Follow($after: String) { homeVisitEvents(first: 100, after: $after) {
  edges { cursor node { id sequence } } pageInfo { endCursor } } }"""
BEGINNING = "{ homeVisitEvents(first: 0) { pageInfo { endCursor } } }"
CHANGED = "subscription Changed($after: String) { homeVisitChanged(after: $after) { cursor node { id sequence } } }"
PAUSE_SECONDS = 0.05


class Notes:
    """The file, and the cursor of the last event in it."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        text = file.read_bytes()
        # The last line may have been cut off.
        whole = text.rfind(b"\n") + 1
        os.truncate(self._file, whole)
        self.cursor: str | None = text[:whole].split()[-1].decode() if whole else None

    def add(self, edges: Iterable[Any]) -> None:
        lines = [f"{edge['node']['sequence']} {edge['node']['id']} {edge['cursor']}\n" for edge in edges]
        if lines:
            os.write(self._file, "".join(lines).encode())
            self.cursor = lines[-1].split()[-1]


async def ask(session: aiohttp.ClientSession, url: str, query: str, after: str | None = None) -> Any:
    async with session.post(url, json={"query": query, "variables": {"after": after}}) as response:
        return (await response.json())["data"]["homeVisitEvents"]


async def read_feed(session: aiohttp.ClientSession, url: str, notes: Notes) -> None:
    while True:
        page = await ask(session, url, FEED, notes.cursor)
        notes.add(page["edges"])
        if not page["edges"]:
            await asyncio.sleep(PAUSE_SECONDS)


async def subscribe(session: aiohttp.ClientSession, url: str, notes: Notes) -> None:
    after = notes.cursor or (await ask(session, url, BEGINNING))["pageInfo"]["endCursor"]
    async with session.ws_connect(url, protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "connection_init"})
        await socket.receive_json()
        payload = {"query": CHANGED, "variables": {"after": after}}
        await socket.send_json({"type": "subscribe", "id": "1", "payload": payload})
        async for message in socket:
            notes.add([message.json()["payload"]["data"]["homeVisitChanged"]])


async def main(url: str, token: str, seen: str, way: str) -> None:
    follow = {"feed": read_feed, "subscription": subscribe}[way]
    notes = Notes(Path(seen))
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        while True:
            await follow(session, url, notes)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
