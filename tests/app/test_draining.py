"""A server that stops finishes what it accepted."""

import asyncio
import json
import signal
import socket
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from tests import databases
from tests.app.calling import COUNT, ask
from tests.app.conftest import ONE_OR_TWO
from tests.conftest import Server, StartServer
from tests.inspection import inspect

CLIENTS = 40
LOAD_SECONDS = 1.5
EXIT_SECONDS = 25
PAGE = "{ homeVisits(orderBy: [{ field: DATE_TIME }], first: 50) { nodes { id careEnquiry { careSeeker { lastName } } } } }"
BOOK = """mutation ($key: String!) {
  bookHomeVisit(input: {
    careEnquiry: "67251cbede305d547963780e", dateTime: "2030-11-03T11:00:00Z", host: MANAGER, visitType: VIRTUAL
    idempotencyKey: $key
  }) { ... on BookHomeVisitSuccess { homeVisit { id } } }
}"""


@dataclass
class Load:
    """Clients that send request after request until nobody listens any more, and the answers they got."""

    server: Server
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[Exception] = field(default_factory=list)
    booked: set[str] = field(default_factory=set)

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(self._keep_sending(session, number) for number in range(CLIENTS)))

    async def _keep_sending(self, session: aiohttp.ClientSession, number: int) -> None:
        for index in range(100_000):
            books = number % 4 == 0
            body = {"query": BOOK, "variables": {"key": f"{number}-{index}"}} if books else {"query": PAGE}
            try:
                async with session.post(self.server.url, json=body) as response:
                    answer = await response.json()
            except aiohttp.ClientConnectorError:
                return
            except aiohttp.ClientError as failure:
                self.failures.append(failure)
            else:
                self._count(response.status, answer, books=books)

    def _count(self, status: int, answer: Any, *, books: bool) -> None:
        self.statuses[status] += 1
        if books:
            self.booked.add(answer["data"]["bookHomeVisit"]["homeVisit"]["id"])


@ONE_OR_TWO
async def test_no_request_fails_when_a_loaded_server_stops(start_server: StartServer, flags: tuple[str, ...]) -> None:
    server = start_server("--dev", "--demo", *flags)
    await until_answered(server)
    load = Load(server)
    running = asyncio.create_task(load.run())
    await asyncio.sleep(LOAD_SECONDS)

    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(running, EXIT_SECONDS)
    code = await asyncio.to_thread(server.process.wait, EXIT_SECONDS)
    seconds = time.monotonic() - began

    stored = {visit["id"] for visit in inspect(server.database).records("home_visits")}
    print(f"{load.statuses.total()} answers, {len(load.booked)} bookings; exit after {seconds:.1f} s")
    assert (set(load.statuses), load.failures, code) == ({200}, [], 0)
    assert load.statuses.total() > CLIENTS
    assert load.booked
    assert load.booked <= stored
    assert seconds < EXIT_SECONDS


async def until_answered(server: Server) -> None:
    async with asyncio.timeout(120), aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientError):
                async with session.post(server.url, json={"query": COUNT}) as response:
                    assert (await response.json())["data"]["homeVisits"]["totalCount"] == 300
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@ONE_OR_TWO
def test_an_idle_server_stops_at_once(start_server: StartServer, number: signal.Signals, flags: tuple[str, ...]) -> None:
    server = start_server("--dev", *flags)
    ask(server.port, COUNT)

    began = time.monotonic()
    code = server.stop(number)
    seconds = time.monotonic() - began

    assert (code, server.process.stderr.read() if server.process.stderr else None) == (0, "")
    # Well below the ten seconds that requests would have.
    assert seconds < 8


@ONE_OR_TWO
def test_a_reader_that_stalls_does_not_hold_up_the_end(start_server: StartServer, flags: tuple[str, ...]) -> None:
    server = start_server("--dev", *flags, HTTP__SHUTDOWN_SECONDS="1")
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", server.port))
        stalled.settimeout(2)
        with suppress(TimeoutError):
            while True:
                stalled.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)

        code = server.stop()

    assert (code, server.process.stderr.read() if server.process.stderr else None) == (0, "")


async def test_what_waits_for_the_database_is_still_answered(start_server: StartServer) -> None:
    server = start_server("--dev", "--demo")
    with inspect(server.database).locked():
        booking = asyncio.create_task(asyncio.to_thread(ask, server.port, BOOK, {"key": "patience"}))
        await asyncio.sleep(0.5)

        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
    answer = await booking
    code = await asyncio.to_thread(server.process.wait, EXIT_SECONDS)

    assert (answer.status, list(json.loads(answer.body)), code) == (200, ["data"], 0)


@pytest.mark.slow
async def test_a_worker_that_takes_seconds_to_finish_what_it_accepted_is_not_killed(start_server: StartServer) -> None:
    server = start_server("--dev", "--demo", "--workers", "2")
    await until_answered(server)

    with inspect(server.database).locked():
        booking = asyncio.create_task(asyncio.to_thread(ask, server.port, BOOK, {"key": "patience"}))
        await asyncio.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        # It waits five seconds for the database.
        answer = await booking
    code = await asyncio.to_thread(server.process.wait, EXIT_SECONDS)

    assert (answer.status, answer.json["errors"][0]["extensions"]["code"], code) == (200, "OVERLOADED", 0)


@pytest.mark.sqlite  # a write that waits for its lock has not begun there
async def test_what_still_waits_to_be_written_when_a_server_gives_up_waiting_is_never_done(start_server: StartServer) -> None:
    server = start_server("--dev", "--demo", HTTP__SHUTDOWN_SECONDS="1")
    before = inspect(server.database).records("home_visits")

    code = await stop_while_locked(server)

    assert (inspect(server.database).records("home_visits"), code) == (before, 0)


async def test_what_is_being_written_when_a_server_gives_up_waiting_is_done_whole_or_not_at_all(
    start_server: StartServer,
) -> None:
    server = start_server("--dev", "--demo", HTTP__SHUTDOWN_SECONDS="0.3")
    before = written(server)

    code = await stop_while_locked(server)

    has_begun = not databases.is_sqlite()
    assert (written(server), code) == ([count + has_begun for count in before], 0)


async def stop_while_locked(server: Server) -> int:
    """Stop a server while a booking waits for the database, which is free once the client has lost its connection."""
    with inspect(server.database).locked():
        booking = asyncio.create_task(asyncio.to_thread(ask, server.port, BOOK, {"key": "patience"}))
        await asyncio.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionError):
            await booking
    return await asyncio.to_thread(server.process.wait, EXIT_SECONDS)


def written(server: Server) -> list[int]:
    return [len(inspect(server.database).records(table)) for table in ("home_visits", "home_visit_events", "idempotency_keys")]
