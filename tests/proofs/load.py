"""The same load for every fault: writers who know what they were told, readers, one who follows the feed, and subscribers."""

import asyncio
import itertools
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp

from storage.caller import Role
from storage.events.cursors import BEGINNING
from storage.instants import rfc3339
from tests.app.calling import token
from tests.proofs.followers import CHANGED, FEED
from tests.proofs.writers import some_change
from tests.storage.homes import REID

BOOK = """mutation Book($input: BookHomeVisitInput!) { it: bookHomeVisit(input: $input) {
  __typename ... on BookHomeVisitSuccess { homeVisit { id version } } } }"""
UPDATE = """mutation Update($input: UpdateHomeVisitInput!) { it: updateHomeVisit(input: $input) {
  __typename ... on UpdateHomeVisitSuccess { homeVisit { id version } } } }"""
END = """mutation End($id: ID!) { it: completeHomeVisit(input: { id: $id, expectedVersion: %d }) {
  __typename ... on CompleteHomeVisitSuccess { homeVisit { id version } } } }"""
VERSION = "query Version($id: ID!) { it: homeVisit(id: $id) { id version } }"
PAGES = [
    "{ homeVisits(first: 10) { nodes { id status location { name } careEnquiry { careSeeker { firstName } } } } }",
    "{ homeVisits(first: 3, filter: { status: [PENDING] }, orderBy: [{ field: DATE_TIME }]) { totalCount nodes { id } } }",
    '{ homeVisits(first: 3, filter: { keyword: "writer 1" }) { nodes { id notes } } }',
    "{ homeVisitEvents(last: 3) { nodes { id sequence type } } }",
]
# What may have been done, so that it is asked for again with the same key, or the visit is read.
DOUBTFUL = frozenset({"IN_DOUBT", "TIMEOUT"})
REFUSED = frozenset({"STORAGE_UNAVAILABLE", "OVERLOADED"})
EVENT = re.compile(r'"cursor":"([^"]+)","node":\{"id":"(\w+)","sequence":(\d+)\}')
BOOKED_FOR = "2098-11-03T11:00:00Z"

Event = tuple[int, str]


class Request(NamedTuple):
    """One request: what it did, when it began and ended on the monotonic clock, and the code of its error."""

    kind: str
    began: float
    ended: float
    code: str | None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Load:
    """`versions` are those that each visit must have, by what its writer was told. `received` is what each follower saw.

    `pending` is when each request began that has not ended.
    """

    url: str
    session: aiohttp.ClientSession
    pause: float
    requests: list[Request] = field(default_factory=list)
    pending: dict[object, float] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    settled: Counter[str] = field(default_factory=Counter)
    received: dict[str, list[Event]] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    working: list[asyncio.Task[None]] = field(default_factory=list)
    reconnected: int = 0
    is_over: bool = False

    async def finish(self, seconds: float) -> None:
        """Let writers and readers come to their ends, each knowing what became of what it did."""
        self.is_over = True
        async with asyncio.timeout(seconds):
            await asyncio.gather(*self.working)

    async def ask(self, kind: str, caller: str, document: str, **variables: Any) -> tuple[Any, str | None]:
        """Return the data and the code of the error."""
        headers = self.headers.get(caller) or self.headers.setdefault(caller, _headers(caller))
        request, body = object(), {"query": document, "variables": variables}
        began = self.pending[request] = time.monotonic()
        try:
            async with self.session.post(self.url, json=body, headers=headers) as response:
                answer = await response.json()
        finally:
            del self.pending[request]
        error, *_ = answer.get("errors") or [None]  # a page of several fields may have one for each
        # It was saved, though it could not be read afterwards.
        is_saved = error is not None and error["extensions"].get("committed", False)
        code = None if error is None else "COMMITTED" if is_saved else error["extensions"]["code"]
        self.requests.append(Request(kind, began, time.monotonic(), code))
        return answer.get("data"), code

    async def write(self, name: str) -> None:
        """Book, change and end visits, each change expecting the visit as it was left."""
        chance = random.Random(name)  # noqa: S311 - so that it can be repeated
        for number in itertools.count():
            await asyncio.sleep(chance.uniform(0, 2 * self.pause))
            if self.is_over:
                return
            id = await self._book(name, f"{name} {number}")
            for _ in range(chance.randrange(3)) if id else ():
                await self._change(name, id, {"id": id, **_input(chance)})
            if id and chance.random() < 0.3:
                await self._end(name, id)

    async def _book(self, name: str, key: str) -> str:
        """Return the ID once it is known what became of the booking; an empty one where it was refused."""
        booking = {"careEnquiry": REID, "dateTime": BOOKED_FOR, "host": "NURSE", "visitType": "IN_PERSON"}
        is_doubtful = False
        while True:
            data, code = await self.ask("write", name, BOOK, input=booking | {"notes": key, "idempotencyKey": key})
            if code is None:
                visit = data["it"]["homeVisit"]
                self.versions[visit["id"]] = visit["version"]
                return str(visit["id"])
            if code in DOUBTFUL | {"COMMITTED"}:
                is_doubtful = True
                self.settled[code] += 1
            elif not is_doubtful:
                return ""
            await asyncio.sleep(self.pause)

    async def _change(self, name: str, id: str, changes: dict[str, Any]) -> None:
        version = self.versions[id]
        data, code = await self.ask("write", name, UPDATE, input=changes | {"expectedVersion": version})
        await self._settle(name, id, data, code)

    async def _end(self, name: str, id: str) -> None:
        data, code = await self.ask("write", name, END % self.versions[id], id=id)
        await self._settle(name, id, data, code)

    async def _settle(self, name: str, id: str, data: Any, code: str | None) -> None:
        if code is None:
            if data["it"]["__typename"].endswith("Success"):  # else it was ended before, or has no such change
                self.versions[id] = data["it"]["homeVisit"]["version"]
            else:
                self.settled[data["it"]["__typename"]] += 1
        elif code in DOUBTFUL | {"COMMITTED"}:
            self.settled[code] += 1
            # What was in doubt is told by its version, once it can be read and the write has ended.
            await self._version(name, id)
            await asyncio.sleep(1.0)
            self.versions[id] = await self._version(name, id)

    async def _version(self, name: str, id: str) -> int:
        while True:
            data, code = await self.ask("read", name, VERSION, id=id)
            if code is None:
                return int(data["it"]["version"])
            await asyncio.sleep(self.pause)

    async def read(self, name: str) -> None:
        for page in itertools.cycle(PAGES):
            if self.is_over:
                return
            await self.ask("read", name, page)
            await asyncio.sleep(0.02)

    async def follow(self, name: str) -> None:
        """Read the feed, a page after the other."""
        events, after = self.received.setdefault(name, []), BEGINNING
        while True:
            data, code = await self.ask("read", name, FEED, after=after)
            edges = data["homeVisitEvents"]["edges"] if code is None else []
            events += [(edge["node"]["sequence"], edge["node"]["id"]) for edge in edges]
            after = edges[-1]["cursor"] if edges else after
            if not edges:
                await asyncio.sleep(0.05)

    async def subscribe(self, name: str) -> None:
        """Subscribe to all changes; where the subscription ends, again from the last cursor on."""
        events = self.received.setdefault(name, [])
        payload: dict[str, Any] = {"query": CHANGED, "variables": {"after": BEGINNING}}
        while True:
            try:
                async with self.session.ws_connect(
                    self.url, protocols=["graphql-transport-ws"], headers=_headers(name)
                ) as socket:
                    await socket.send_json({"type": "connection_init"})
                    await socket.receive()
                    await socket.send_json({"type": "subscribe", "id": "1", "payload": payload})
                    async for message in socket:
                        if not (found := EVENT.search(message.data)):
                            self.ends[str(message.data)[:200]] += 1
                            break
                        payload["variables"] = {"after": found[1]}
                        events.append((int(found[3]), found[2]))
                self.ends[f"closed {socket.close_code}"] += 1
            except aiohttp.ClientError as error:
                self.ends[type(error).__name__] += 1
            self.reconnected += 1
            await asyncio.sleep(0.2)

    async def wait_until_received(self, number: int, seconds: float) -> None:
        """Return once all have received so many events, or never would."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(len(events) < number for events in self.received.values()):  # noqa: ASYNC110 - what comes has no event
                    await asyncio.sleep(0.05)


def _input(chance: random.Random) -> dict[str, Any]:
    changes = some_change(chance)
    return {"dateTime": rfc3339(changes["date_time"])} if "date_time" in changes else changes


@asynccontextmanager
async def loaded(url: str, *, writers: int, readers: int, subscribers: int, pause: float) -> AsyncIterator[Load]:
    """Put the load on a server until the block ends."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        load = Load(url, session, pause)
        following = [load.follow("follower"), *(load.subscribe(f"subscriber {number}") for number in range(subscribers))]
        working = [load.write(f"writer {number}") for number in range(writers)]
        working += [load.read(f"reader {number}") for number in range(readers)]
        tasks = [asyncio.create_task(work) for work in following + working]
        load.working = tasks[len(following) :]
        try:
            yield load
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [error for error in ended if isinstance(error, Exception)]
        assert errors == [], errors  # pytest rewrites asserts of tests alone


def _headers(caller: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(*Role, subject=caller)}"}
