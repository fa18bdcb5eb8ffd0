"""Four processes under mixed load have no more connections than their settings say, and in a long run flat memory."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from statistics import median

import psycopg
import pytest

from tests.conftest import StartServer
from tests.proofs import sites
from tests.proofs.load import loaded
from tests.proofs.trials import PAUSE, READERS, WRITERS, started
from tests.storage.outbox.post_office import PostOffice

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]

WORKERS, SUBSCRIBERS = 4, 20
# Each process has a pool of ten, and a connection that listens while somebody follows.
CONNECTIONS = WORKERS * (10 + 1)
SHORT_SECONDS, LONG_SECONDS, EACH_SECONDS = 5, 600, 0.5
FLAT_KIB = 8 * 1024
OURS = b"SELECT count(*) FROM pg_stat_activity WHERE usename = 'visits'"


@pytest.fixture
async def post_office() -> AsyncIterator[PostOffice]:
    office = PostOffice()
    await office.start()
    yield office
    await office.stop()


def resident(pids: list[int]) -> int:
    """Return how many KiB of memory processes have, together."""
    return sum(int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) for pid in pids)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_four_processes_have_no_more_connections_and_memory_than_they_should(
    start_server: StartServer, post_office: PostOffice, tell: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    is_long = request.config.getoption("--long")
    seconds, connections, memory = LONG_SECONDS if is_long else SHORT_SECONDS, list[int](), list[int]()

    async with sites.direct() as site:
        # What is one too many is refused, and fails a request.
        site.cluster.run(f"ALTER ROLE visits CONNECTION LIMIT {CONNECTIONS}")
        trial = await started(site, start_server, post_office, workers=WORKERS, is_long=is_long)
        pids = children(trial.server.process.pid)
        under_load = loaded(trial.server.url, writers=WRITERS, readers=READERS, subscribers=SUBSCRIBERS, pause=PAUSE)
        async with under_load as load, await psycopg.AsyncConnection.connect(site.cluster.url, autocommit=True) as other:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                [count] = await (await other.execute(OURS)).fetchone() or [0]
                connections.append(int(count))
                memory.append(resident(pids))
                await asyncio.sleep(EACH_SECONDS)
            await load.finish(30)
        still = children(trial.server.process.pid)
        await asyncio.to_thread(trial.server.stop)

    quarter = len(memory) // 4
    second, last = (round(median(part)) for part in (memory[quarter : 2 * quarter], memory[-quarter:]))
    failed = Counter(request.code for request in load.requests if request.code)
    tell(
        f"{WORKERS} processes for {seconds} s",
        requests=len(load.requests),
        failed=failed.total(),
        connections_at_most=max(connections),
        MiB_in_the_second_quarter=second // 1024,
        MiB_in_the_last=last // 1024,
    )
    assert WORKERS < max(connections) <= CONNECTIONS
    assert (failed, still) == ({}, pids)
    assert len(pids) == WORKERS
    if is_long:
        assert last <= second + WORKERS * FLAT_KIB
