"""Nothing that somebody sends, and no crowd, keeps a server from answering others."""

import asyncio
import itertools
import json
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from storage.caller import Role
from tests.app.calling import COUNT, SECRET, ask, call, get, token
from tests.conftest import Server, StartServer
from tests.inspection import inspect
from tests.schema.execution.hostile import CORPUS, Hostile
from tests.schema.transport.http.malformed import BODIES

# Of the loop's CPU time.
SLOWEST_SECONDS = 0.25
# By the clock, on a machine that has other things to do: ten times what is usual.
ANSWERED_SECONDS = 1.0
STALLED_SECONDS = 10.0
ATTACK_SECONDS = 3.0
BOOK = """mutation ($key: String!) {
  bookHomeVisit(input: {
    careEnquiry: "67251cbede305d547963780e", dateTime: "2030-11-03T11:00:00Z", host: MANAGER, visitType: VIRTUAL
    idempotencyKey: $key
  }) { ... on BookHomeVisitSuccess { homeVisit { id } } }
}"""


def body_of(hostile: Hostile, number: int) -> bytes:
    """Return a body, each time another, so that no answer comes from a cache."""
    return json.dumps({"query": hostile.document, "variables": {"number": number}}).encode()


def loop_seconds(server: Server) -> float:
    """Return what the thread of the server's loop has computed: unlike a clock, that holds still on a busy machine."""
    return int(Path(f"/proc/{server.process.pid}/task/{server.process.pid}/schedstat").read_text().split()[0]) / 1e9


def test_a_hostile_document_is_answered_quickly(signed_in_server: Server) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(Role.VIEWER)}"}
    statuses, seconds = Counter[int](), dict[str, float]()

    for hostile in CORPUS:
        before = loop_seconds(signed_in_server)
        statuses[call(signed_in_server.port, "POST", "/graphql", body_of(hostile, 0), headers).status] += 1
        seconds[hostile.name] = loop_seconds(signed_in_server) - before

    slowest = max(seconds, key=seconds.__getitem__)
    print(f"{len(CORPUS)} documents: median {median(seconds.values()):.3f} s; {slowest}: {seconds[slowest]:.3f} s")
    assert set(statuses) == {200, 400, 413}
    assert [name for name, taken in seconds.items() if taken > SLOWEST_SECONDS] == []


async def test_others_are_answered_while_hostile_documents_pour_in(start_server: StartServer) -> None:
    server = start_server("--demo", JWT_SECRET=SECRET)
    ends = time.monotonic() + ATTACK_SECONDS
    numbers = itertools.count()

    async def attack(session: aiohttp.ClientSession) -> None:
        for hostile in itertools.cycle(CORPUS):
            if time.monotonic() > ends:
                return
            async with session.post(server.url, data=body_of(hostile, next(numbers))) as response:
                await response.read()

    async def look_on(session: aiohttp.ClientSession, method: str, path: str, **options: Any) -> list[tuple[int, float]]:
        answers = []
        while time.monotonic() < ends:
            started = time.monotonic()
            async with session.request(method, server.origin + path, **options) as response:
                await response.read()
                answers.append((response.status, time.monotonic() - started))
            await asyncio.sleep(0.02)
        return answers

    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(Role.VIEWER)}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        looking_on = asyncio.gather(
            look_on(session, "GET", "/healthz"), look_on(session, "POST", "/graphql", json={"query": COUNT})
        )
        await asyncio.gather(*(attack(session) for _ in range(4)))
        for name, answers in zip(("/healthz", "/graphql"), await looking_on, strict=True):
            seconds = sorted(taken for _, taken in answers)
            print(f"{name}: {len(answers)} answers, median {median(seconds) * 1000:.0f} ms, slowest {seconds[-1] * 1000:.0f} ms")
            assert {status for status, _ in answers} == {200}
            assert median(seconds) < ANSWERED_SECONDS
            assert seconds[-1] < STALLED_SECONDS
    print(f"{next(numbers)} hostile documents")


async def test_malformed_bodies_of_all_kinds_are_the_senders_mistake(signed_in_server: Server) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(Role.VIEWER)}"}

    statuses = {
        str(body): call(signed_in_server.port, "POST", "/graphql", body.sent, headers | (body.headers or {})).status
        for body in BODIES
        if isinstance(body.sent, bytes)
    }

    assert {name: status for name, status in statuses.items() if not 400 <= status < 500} == {}


async def test_health_readiness_and_metrics_are_answered_while_everything_else_is_refused(start_server: StartServer) -> None:
    server = start_server("--dev", "--demo", EXECUTING="2", WAITING="1")
    answers, seconds = Counter[tuple[str, int]](), list[float]()

    with inspect(server.database).locked():
        bookings = [asyncio.create_task(asyncio.to_thread(ask, server.port, BOOK, {"key": str(number)})) for number in range(3)]
        async with asyncio.timeout(4):
            while b"home_visits_waiting 1.0" not in get(server.port, "/metrics").body:  # noqa: ASYNC110 - it is another process's
                await asyncio.sleep(0.01)
        for _ in range(10):
            for path in ("/healthz", "/readyz", "/metrics"):
                started = time.perf_counter()
                answers[path, get(server.port, path).status] += 1
                seconds.append(time.perf_counter() - started)
            refused = ask(server.port, COUNT)
            answers[f"/graphql after {refused.headers['Retry-After']} s", refused.status] += 1
    booked = [(await booking).status for booking in bookings]

    print(f"health, readiness, metrics while the server is full: slowest {max(seconds) * 1000:.0f} ms")
    assert answers == {("/healthz", 200): 10, ("/readyz", 200): 10, ("/metrics", 200): 10, ("/graphql after 1 s", 503): 10}
    assert max(seconds) < ANSWERED_SECONDS
    assert booked == [200, 200, 200]
