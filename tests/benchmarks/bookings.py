"""Durable bookings over HTTP beside a bare loop that writes the same rows, one fsync for each, in one run on one disk.

    python -m tests.benchmarks.bookings [--bookings 1000] [--rounds 5]

The server is as it is deployed: sign-in, limits, metrics, log. Each booking has a key of its own and an email that becomes
due: a visit, an event, a key and a message. The loop writes the rows that the server wrote into a copy of its database as it
was before, with the same indexes, and the two databases are compared. The run fails below the least that is promised.
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.benchmarks.importing import identifier, make
from tests.benchmarks.reads import ROOT, cpu_seconds, free_port, imported, run

LEAST = 0.12
CONNECTIONS = 16
VISITS = 9_000
BOOK = """mutation ($input: BookHomeVisitInput!) {
  bookHomeVisit(input: $input) {
    ... on BookHomeVisitSuccess { homeVisit { id status confirmation } }
    ... on UserError { message }
  }
}"""
# In the order of their references.
TABLES = ("home_visits", "home_visit_events", "idempotency_keys", "outbox_messages")


def question(number: int) -> dict[str, Any]:
    booking = {
        "careEnquiry": identifier("c", number % (VISITS // 3)),
        "dateTime": f"2099-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 10 + 9:02}:30:00Z",
        "host": "MANAGER",
        "visitType": "IN_PERSON",
        "notes": "Prefers mornings. Asked about respite fees and the garden.",
        "idempotencyKey": f"form-{number}",
    }
    return {"query": BOOK, "variables": {"input": booking}}


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Start a server; yield where it answers, and its process."""
    port = free_port()
    command = [sys.executable, str(ROOT / "app.py"), "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait(timeout=30)


async def answering(session: aiohttp.ClientSession, origin: str) -> None:
    for _ in range(150):
        try:
            async with session.get(f"{origin}/readyz"):
                return
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.1)
    sys.exit(f"{origin} does not answer")


async def book(session: aiohttp.ClientSession, origin: str, numbers: range) -> float:
    """Book on several connections at once; return bookings a second."""
    waiting = iter(numbers)

    async def some() -> None:
        for number in waiting:
            async with session.post(f"{origin}/graphql", json=question(number)) as response:
                answer = await response.json()
            visit = answer["data"]["bookHomeVisit"].get("homeVisit", {})
            if (visit.get("status"), visit.get("confirmation")) != ("PENDING", "QUEUED"):
                sys.exit(f"not booked: {answer}")

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(CONNECTIONS)))
    return len(numbers) / (time.perf_counter() - began)


def newest(database: Path, table: str, count: int) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT {count}").fetchall()[::-1]  # noqa: S608 - ours


def write(database: Path, bookings: list[tuple[tuple[Any, ...], ...]]) -> float:
    """Write the rows of each booking in a transaction of its own; return bookings a second."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        markers = [", ".join("?" * len(row)) for row in bookings[0]]
        inserts = [f"INSERT INTO {table} VALUES ({parameters})" for table, parameters in zip(TABLES, markers, strict=True)]  # noqa: S608 - ours
        began = time.perf_counter()
        for rows in bookings:
            connection.execute("BEGIN IMMEDIATE")
            for insert, row in zip(inserts, rows, strict=True):
                connection.execute(insert, row)
            connection.execute("COMMIT")
        return len(bookings) / (time.perf_counter() - began)


def copied(database: Path, copy: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


async def compare(folder: Path, count: int, rounds: int) -> list[float]:
    database, environment = imported(folder, make(folder, VISITS))
    loop = folder / "loop.db"
    copied(database, loop)
    token = run("token", "--subject", "benchmark", "--role", "COORDINATOR", environment=environment)
    ratios = []
    with serving(environment) as (origin, process):
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            await answering(session, origin)
            for round in range(rounds + 1):
                before = cpu_seconds(process)
                ours = await book(session, origin, range(round * count, (round + 1) * count))
                cpu = 1000 * (cpu_seconds(process) - before) / count
                bookings = list(zip(*(newest(database, table, count) for table in TABLES), strict=True))
                bare = write(loop, bookings)
                if round:  # the first warms up
                    ratios.append(ours / bare)
                    line = f"over HTTP {ours:5.0f} a second ({cpu:.2f} ms of CPU each), loop {bare:5.0f}, ratio {ratios[-1]:.3f}"
                    print(line, flush=True)
    for table in TABLES:
        if newest(database, table, -1) != newest(loop, table, -1):
            sys.exit(f"the loop did not write the same rows into {table}")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bookings", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ratios = asyncio.run(compare(Path(folder), options.bookings, options.rounds))
    ratio = statistics.median(ratios)
    print(f"median ratio {ratio:.3f} (load {os.getloadavg()[0]:.1f})")
    if ratio < LEAST:
        sys.exit(f"below {LEAST}")


if __name__ == "__main__":
    main()
