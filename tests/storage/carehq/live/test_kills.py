"""A process that follows is killed at any moment, and the next one goes on: nothing is lost, nothing told twice."""

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.databases import path_of, url_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.test_following import documents

ROOT = Path(__file__).parents[4]


async def follow_until(followed: Followed, request: int, seconds_ahead: int) -> None:
    """Follow in a process that is killed when the account hears so many requests of it, and what it does meanwhile is open."""
    account = followed.carehq.account
    arguments = [url_of(path_of(followed.database)), account.url, account.account_id, account.key, account.secret]
    program = [sys.executable, "-m", "tests.storage.carehq.live.endless", *arguments, str(seconds_ahead)]
    process = await asyncio.create_subprocess_exec(*program, cwd=ROOT)
    requests = 0

    def arrived() -> None:
        nonlocal requests
        requests += 1
        if requests == request:
            # While it waits, reads the answer or stores it.
            asyncio.get_running_loop().call_later(0.004 * (request % 4), process.send_signal, signal.SIGKILL)

    followed.proxy.arrived = arrived
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    followed.proxy.arrived = lambda: None


@pytest.mark.slow
async def test_a_process_that_is_killed_loses_and_doubles_nothing(followed: Followed) -> None:
    for kill, request in enumerate([1, 3, 6, 7, 13]):
        await follow_until(followed, request, 61 * kill)
        await followed.there.update((await documents(followed.gateway.database))[kill * 3]["_id"], {"notes": f"Kill {kill}"})

    followed.clock.added = timedelta(seconds=61 * 6)
    await followed.follower().follow_once()

    assert await documents(followed.database) == await documents(followed.gateway.database)
    rows = inspect(path_of(followed.database)).query(
        "SELECT v.version, count(*), count(DISTINCT e.version) FROM home_visits v JOIN home_visit_events e "
        "ON e.home_visit = v.id GROUP BY v.id, v.version"
    )
    assert len(rows) == 24
    assert all(version == count == distinct <= 2 for version, count, distinct in rows)
