"""500 subscribers on one process: how late a change comes to them, and what memory each of them takes."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from storage.database import Database
from storage.instants import clock
from storage.repository import HomeVisits
from tests.app.subscribing import ask
from tests.conftest import Server, StartServer
from tests.databases import database_at
from tests.storage.homes import EVERYTHING

SUBSCRIBERS, GROUPS, RATE, SECONDS = 500, 10, 50, 10
LATEST = 0.25
KIBIBYTE = 1024
EACH = 50 * KIBIBYTE
CHANGED = """subscription Changed($visits: [ID!]) { homeVisitChanged(filter: { homeVisit: $visits }) { cursor
  node { id sequence at type version homeVisit { id status dateTime host notes location { id name }
  careEnquiry { id careSeeker { firstName lastName } } } } } }"""
PENDING = "{ homeVisits(filter: { status: [PENDING] }, first: 10) { nodes { id } } }"
SEEN = re.compile(r'"version":(\d+),"homeVisit":\{"id":"(\w+)"')


@dataclass
class Subscribers:
    """Those who are connected, and how many seconds after its commit each change came to each of them."""

    server: Server
    session: aiohttp.ClientSession
    committed: dict[tuple[str, int], float] = field(default_factory=dict)
    came: list[tuple[str, int, float]] = field(default_factory=list)

    async def subscribe(self, visits: Sequence[str]) -> asyncio.Task[None]:
        socket = await self.session.ws_connect(self.server.url, protocols=["graphql-transport-ws"], max_msg_size=0)
        await socket.send_json({"type": "connection_init"})
        await socket.receive()
        payload = {"query": CHANGED, "variables": {"visits": visits}}
        await socket.send_json({"type": "subscribe", "id": "1", "payload": payload})
        return asyncio.create_task(self._read(socket))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            now = time.time()
            for version, visit in SEEN.findall(message.data):
                self.came.append((visit, int(version), now))

    def latencies(self) -> list[float]:
        return sorted(at - self.committed[visit, version] for visit, version, at in self.came)

    async def received(self, number: int) -> None:
        async with asyncio.timeout(60):
            while len(self.came) < number:  # noqa: ASYNC110 - what comes has no event of its own
                await asyncio.sleep(0.05)


class Writer:
    """Changes visits from another process than the server's."""

    def __init__(self, database: Database, subscribers: Subscribers) -> None:
        self._visits = HomeVisits(database, EVERYTHING, clock)
        self._subscribers = subscribers
        self._count = count()

    async def change(self, visit: str) -> None:
        hosts = ("MANAGER", "NURSE")
        changed = await self._visits.update(visit, {"host": hosts[next(self._count) // GROUPS % 2]}, suppress_confirmation=True)
        self._subscribers.committed[visit, changed.version] = time.time()


@asynccontextmanager
async def subscribers(server: Server) -> AsyncIterator[tuple[Subscribers, Writer, list[str]]]:
    visits = [node["id"] for node in (await ask(server.url, PENDING))["homeVisits"]["nodes"]]
    database = await database_at(server.database).open()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        group = Subscribers(server, session)
        writer = Writer(database, group)
        for visit in visits:
            # So that each change changes something.
            await HomeVisits(database, EVERYTHING, clock).update(visit, {"host": "OTHER"}, suppress_confirmation=True)
        yield group, writer, visits
    await database.close()


def resident(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * KIBIBYTE


def cpu_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(sorted_values: list[float], part: float) -> float:
    return sorted_values[int(len(sorted_values) * part)]


@pytest.mark.slow
@pytest.mark.alone
async def test_changes_come_to_those_who_are_interested_at_once(start_server: StartServer, tell: Callable[..., None]) -> None:
    server = start_server("--dev", "--demo")
    async with subscribers(server) as (group, writer, visits):
        tasks = [await group.subscribe([visits[number % GROUPS]]) for number in range(SUBSCRIBERS)]
        await asyncio.sleep(2)
        cpu, began = cpu_seconds(server), time.perf_counter()
        for number in range(RATE * SECONDS):
            await writer.change(visits[number % GROUPS])
            await asyncio.sleep(max(0.0, began + (number + 1) / RATE - time.perf_counter()))
        took = time.perf_counter() - began
        await group.received(RATE * SECONDS * SUBSCRIBERS // GROUPS)
        cpu = cpu_seconds(server) - cpu
        for task in tasks:
            task.cancel()

    latencies = group.latencies()
    tell(
        f"{SUBSCRIBERS} subscribers, {RATE * SECONDS / took:.0f} changes a second, each for {SUBSCRIBERS // GROUPS}",
        ms_at_the_median=round(1000 * percentile(latencies, 0.5)),
        ms_at_p99=round(1000 * percentile(latencies, 0.99)),
        ms_at_worst=round(1000 * latencies[-1]),
        ms_of_CPU_each=round(1000 * cpu / len(latencies), 3),
    )
    assert len(latencies) == RATE * SECONDS * SUBSCRIBERS // GROUPS
    assert percentile(latencies, 0.99) <= LATEST


@pytest.mark.slow
@pytest.mark.alone
async def test_a_burst_comes_to_all_at_once(start_server: StartServer, tell: Callable[..., None]) -> None:
    server = start_server("--dev", "--demo")
    async with subscribers(server) as (group, writer, visits):
        before = resident(server)
        tasks = [await group.subscribe(visits) for _ in range(SUBSCRIBERS)]
        await asyncio.sleep(2)
        each = (resident(server) - before) / SUBSCRIBERS
        for number in range(20):
            await writer.change(visits[number % GROUPS])
            await asyncio.sleep(0.3)
        await group.received(20 * SUBSCRIBERS)
        for task in tasks:
            task.cancel()

    latencies = group.latencies()
    tell(
        f"a change for all {SUBSCRIBERS}",
        ms_at_p99=round(1000 * percentile(latencies, 0.99)),
        ms_at_worst=round(1000 * latencies[-1]),
        KiB_each=round(each / KIBIBYTE, 1),
    )
    assert len(latencies) == 20 * SUBSCRIBERS
    assert percentile(latencies, 0.99) <= LATEST
    assert each <= EACH
