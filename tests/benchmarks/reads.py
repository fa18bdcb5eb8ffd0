"""Our server beside the textbook's, on the same visits in one run: CPU time per request, from the kernel.

    python -m tests.benchmarks.reads [--visits 100000] [--requests 2000] [--rounds 3] [--check]

CPU time holds still on a busy machine where rates do not, or nearly: of a few rounds the median is shown, and the least ratio.
Each answer is checked before it is timed. With `--check` the run fails where a ratio is a quarter above the one recorded here.
"""

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parent.parent.parent
TICK = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 8
NODE = "id dateTime visitType host notes careEnquiry { id } location { id }"
PAGE = (
    "query Page($first: Int, $filter: HomeVisitFilter) { homeVisits(filter: $filter, orderBy: [{ field: DATE_TIME }], "
    f"first: $first) {{ edges {{ cursor node {{ {NODE} }} }} pageInfo {{ hasNextPage }} }} }}"
)
ONE = f"query One($id: ID!) {{ homeVisit(id: $id) {{ {NODE} }} }}"
ENQUIRY, LOCATION, VISIT = "cccccccc{:016x}", "bbbbbbbb{:016x}", "67000000{:016x}"
QUERIES: dict[str, dict[str, Any]] = {
    "one": {"query": ONE, "variables": {"id": VISIT.format(42)}},
    "page10": {"query": PAGE, "variables": {"first": 10}},
    "page100": {"query": PAGE, "variables": {"first": 100}},
    "pending20": {
        "query": PAGE,
        "variables": {"first": 20, "filter": {"location": [LOCATION.format(0)], "status": ["PENDING"]}},
    },
}
# ours/textbook, as measured on two shared cores
RECORDED = {"one": 0.029, "page10": 0.035, "page100": 0.039, "pending20": 0.036}


def visits(count: int, locations: int) -> Iterator[dict[str, str | None]]:
    """Make CareHQ documents, the same ones every time."""
    pick = random.Random(7)  # noqa: S311 - no secret
    for number in range(count):
        at = datetime(2023, 1, 1) + timedelta(minutes=15 * pick.randrange(100_000))  # noqa: DTZ001 - the source's own form
        fate = pick.choice(["pending", "cancelled", "completed", "completed"])
        yield {
            "_id": VISIT.format(number),
            "care_enquiry": ENQUIRY.format(number // 3),
            "location": LOCATION.format(number // 3 % locations),
            "date_time": str(at),
            "host": pick.choice(["manager", "deputy_manager", "nurse"]),
            "visit_type": pick.choice(["in_person", "virtual"]),
            "notes": pick.choice(["", "Prefers mornings. Asked about respite fees and the garden."]),
            "created": str(at - timedelta(days=9)),
            "modified": str(at),
            "cancelled": str(at) if fate == "cancelled" else None,
            "completed": str(at) if fate == "completed" else None,
        }


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def comparable(answer: Any) -> Any:
    """Return the data without cursors, which are opaque, and with instants in one form."""
    if isinstance(answer, dict):
        return {key: comparable(value) for key, value in answer.items() if key != "cursor"}
    if isinstance(answer, list):
        return [comparable(value) for value in answer]
    return answer.replace("+00:00", "Z") if isinstance(answer, str) else answer


class Client:
    """A server that is asked one query, many times at once."""

    def __init__(self, port: int, token: str | None, query: dict[str, Any]) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"
        self._headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._query = query

    async def answer(self, session: aiohttp.ClientSession) -> Any:
        async with session.post(self._url, json=self._query, headers=self._headers) as response:
            return await response.json()

    async def first_answer(self, session: aiohttp.ClientSession) -> Any:
        for _ in range(150):
            try:
                return await self.answer(session)
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.1)
        sys.exit(f"{self._url} does not answer")

    async def often(self, session: aiohttp.ClientSession, times: int) -> None:
        async def some() -> None:
            for _ in range(times // CONNECTIONS):
                await self.answer(session)

        await asyncio.gather(*(some() for _ in range(CONNECTIONS)))


async def cpu_of(client: Client, session: aiohttp.ClientSession, process: int, requests: int) -> float:
    """Return milliseconds of a server's CPU for a request."""
    before = cpu_seconds(process)
    await client.often(session, requests)
    return 1000 * (cpu_seconds(process) - before) / requests


@contextmanager
def started(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield server.pid
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def run(*arguments: str, environment: dict[str, str]) -> str:
    command = [sys.executable, str(ROOT / "app.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def prepare(folder: Path, count: int, *, locations: int) -> tuple[Path, dict[str, str]]:
    """Fill a database; return it, and the environment of servers that serve it."""
    documents = folder / "home_visits.json"
    documents.write_text("\n".join(map(json.dumps, visits(count, locations))))
    return imported(folder, [documents])


def imported(folder: Path, files: Iterable[Path]) -> tuple[Path, dict[str, str]]:
    """Import documents into a new database; return it, and the environment of servers that serve it."""
    database = folder / "visits.db"
    settings = {"DATABASE_URL": f"sqlite:///{database}", "JWT_SECRET": secrets.token_urlsafe(48)}
    environment = os.environ | {f"HOME_VISITS_{name}": value for name, value in settings.items()} | {"PYTHONPATH": str(ROOT)}
    run("import", *map(str, files), environment=environment)
    return database, environment


async def compare(folder: Path, count: int, requests: int, rounds: int) -> dict[str, float]:
    database, environment = prepare(folder, count, locations=300)
    token = run("token", "--subject", "benchmark", "--role", "VIEWER", environment=environment)
    port, peer_port = free_port(), free_port()
    own = [sys.executable, str(ROOT / "app.py"), "serve", "--port", str(port)]
    peer = [sys.executable, str(ROOT / "tests/benchmarks/textbook.py"), str(database), str(peer_port)]
    ratios = {}
    with started(own, environment) as server, started(peer, environment) as textbook:
        async with aiohttp.ClientSession() as session:
            for name, query in QUERIES.items():
                client, peers_client = Client(port, token, query), Client(peer_port, None, query)
                answer, expected = [comparable(await each.first_answer(session)) for each in (client, peers_client)]
                if answer != expected:
                    sys.exit(f"{name}: the servers answer differently:\n{answer}\n{expected}")
                await client.often(session, requests // 5)
                await peers_client.often(session, requests // 50)
                # One after the other, so that what else the machine does falls on both.
                pairs = [
                    (
                        await cpu_of(client, session, server, requests),
                        await cpu_of(peers_client, session, textbook, requests // 10),
                    )
                    for _ in range(rounds)
                ]
                ours, theirs = (statistics.median(costs) for costs in zip(*pairs, strict=True))
                ratios[name] = min(one / other for one, other in pairs)
                print(f"{name:10} ours {ours:6.3f} ms  textbook {theirs:7.3f} ms  ratio {ratios[name]:.3f}", flush=True)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        ratios = asyncio.run(compare(Path(folder), options.visits, options.requests, options.rounds))
    print(f"{time.monotonic() - started:.0f} seconds")
    slower = [name for name, ratio in ratios.items() if ratio > 1.25 * RECORDED[name]]
    if options.check and slower:
        sys.exit(f"slower than recorded by more than a quarter: {', '.join(slower)}")


if __name__ == "__main__":
    main()
