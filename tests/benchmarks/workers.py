"""What does a read cost where four processes share a PostgreSQL database, beside what it costs where there is one?

    python -m tests.benchmarks.workers postgresql://…/an_empty_database

Where there are fewer processors than processes, the ratio is that of their caches too: run it several times, with nothing beside.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path

from storage.caller import Role
from tests.app.calling import SECRET, token
from tests.conftest import Server, fill, serving

# Each process has as many clients, whether it is alone or not: what waits together costs less.
CLIENTS, REQUESTS, ROUNDS = 4, 960, 9
NODE = "id dateTime status location { name } careEnquiry { careSeeker { firstName } } assignedTo { id }"
PAGE = f"query Page($first: Int) {{ homeVisits(orderBy: [{{ field: DATE_TIME }}], first: $first) {{ nodes {{ {NODE} }} }} }}"
# Reads alone: what bookings cost grows with how many of them meet at one enquiry.
PAGES = [{"query": PAGE, "variables": {"first": first}} for first in (1, 10, 20, 10)]


def workers(server: Server) -> list[int]:
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()] or [server.process.pid]


def cpu_seconds(pids: list[int]) -> float:
    """Return what the threads of processes have used; the time that others keep them waiting is not in it."""
    threads = [thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


async def send(server: Server, requests: int) -> None:
    clients, bearer = CLIENTS * len(workers(server)), token(Role.VIEWER)
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {bearer}\r\n"

    async def one_client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for turn in range(requests // clients):
            body = json.dumps(PAGES[(number + turn) % len(PAGES)])
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


async def measure(folder: Path, url: str) -> None:
    with serving(folder) as start:
        alone, shared = [start("--workers", count, JWT_SECRET=SECRET, DATABASE_URL=url) for count in ("1", "4")]
        for server in (alone, shared):
            await send(server, REQUESTS)
        # One after the other, so that what else the machine does falls on both.
        pairs = [(await milliseconds_each(alone), await milliseconds_each(shared)) for _ in range(ROUNDS)]
    ratio = statistics.median(four / one for one, four in pairs)
    alone_ms, shared_ms = (min(costs) for costs in zip(*pairs, strict=True))
    print(f"CPU of a read: {alone_ms:.3f} ms alone, {shared_ms:.3f} ms with four; at the median {ratio:.2f} times as much")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    url = parser.parse_args().url
    fill(url)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), url))


if __name__ == "__main__":
    main()
