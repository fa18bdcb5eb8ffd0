"""What a request costs does not grow with the processes that share a database."""

import asyncio
import json
import os
import statistics
from pathlib import Path

import pytest

from storage.caller import Role
from tests.app.calling import SECRET, token
from tests.conftest import Server, StartServer, fill

# Each process has as many clients, whether it is alone or not: what waits together costs less.
CLIENTS, REQUESTS, ROUNDS = 4, 480, 5
RATIO = 1.1
NODE = "id dateTime status location { name } careEnquiry { careSeeker { firstName } } assignedTo { id }"
PAGE = f"query Page($first: Int) {{ homeVisits(orderBy: [{{ field: DATE_TIME }}], first: $first) {{ nodes {{ {NODE} }} }} }}"
BOOK = """mutation { bookHomeVisit(input: {
  careEnquiry: "67251cbede305d547963780e", dateTime: "2030-11-03T11:00:00Z", host: MANAGER, visitType: IN_PERSON
}) { ... on BookHomeVisitSuccess { homeVisit { id } } } }"""
# Of ten requests one books.
MIX = [{"query": BOOK}, *({"query": PAGE, "variables": {"first": first}} for first in (1, 10, 20, 10, 1, 10, 20, 10, 10))]


def workers(server: Server) -> list[int]:
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()] or [server.process.pid]


def cpu_seconds(pids: list[int]) -> float:
    """Return what processes have used; the time that others keep them waiting is not in it."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(user) + int(system) for *_, user, system in (line[:13] for line in fields)) / os.sysconf("SC_CLK_TCK")


async def send(server: Server, requests: int) -> None:
    clients, bearer = CLIENTS * len(workers(server)), token(Role.COORDINATOR)
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {bearer}\r\n"

    async def one_client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for turn in range(requests // clients):
            body = json.dumps(MIX[(number + turn) % len(MIX)])
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            data = await reader.readexactly(length)
            assert b'"errors"' not in data, data
        writer.close()

    await asyncio.gather(*map(one_client, range(clients)))


async def milliseconds_each(server: Server) -> float:
    pids = workers(server)
    before = cpu_seconds(pids)
    await send(server, REQUESTS)
    return (cpu_seconds(pids) - before) * 1000 / REQUESTS


@pytest.mark.slow
async def test_four_processes_use_hardly_more_for_a_request_than_one(url: str, start_server: StartServer) -> None:
    fill(url)
    alone, shared = [
        await asyncio.to_thread(lambda count=count: start_server("--workers", count, JWT_SECRET=SECRET)) for count in ("1", "4")
    ]
    for server in (alone, shared):
        await send(server, REQUESTS)
    # One after the other, so that what else the machine does falls on both.
    pairs = [(await milliseconds_each(alone), await milliseconds_each(shared)) for _ in range(ROUNDS)]

    ratio = statistics.median(four / one for one, four in pairs)
    alone_ms, shared_ms = (min(costs) for costs in zip(*pairs, strict=True))
    print(f"CPU of a request: {alone_ms:.3f} ms alone, {shared_ms:.3f} ms with four; at the median {ratio:.2f} times as much")
    assert len(workers(shared)) == 4
    assert ratio <= RATIO
