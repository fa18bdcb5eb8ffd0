"""Who follows the changes is killed, comes back from the last cursor, and sees every event exactly once."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.caller import Role
from tests.app.calling import SECRET, token
from tests.conftest import StartServer
from tests.databases import url_of
from tests.proofs.processes import ROOT
from tests.storage.homes import number_events, rows_of

KILLS, WRITERS, PATIENCE = 6, 20, 30
WAYS = ("feed", "subscription")


def run(program: str, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", f"tests.proofs.{program}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    _, output = process.communicate(timeout=10)
    assert (process.returncode, output) == (-signal.SIGKILL, b"")


def seen(file: Path) -> list[tuple[int, str]]:
    """Return the sequences and IDs of events in the order in which they came, without a line that is not whole."""
    lines = file.read_text().split("\n")[:-1] if file.exists() else ()
    return [(int(sequence), id) for sequence, id, _ in (line.split() for line in lines)]


async def wait_for(file: Path, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(seen(file)) < number:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.02)


async def kill_again_and_again(url: str, bearer: str, way: str, file: Path) -> "subprocess.Popen[bytes]":
    """Let one follow who is killed at random, though never before something came; return the last, who lives."""
    chance = random.Random(way)  # noqa: S311 - so that it can be repeated
    for _ in range(KILLS):
        before = len(seen(file))
        process = run("followers", url, bearer, str(file), way)
        await wait_for(file, before + 1)
        await asyncio.sleep(chance.uniform(0, 0.5))
        kill(process)
    return run("followers", url, bearer, str(file), way)


@pytest.mark.slow
async def test_a_follower_and_a_subscriber_that_are_killed_see_every_event_once(
    path: Path, tmp_path: Path, start_server: StartServer, tell: Callable[..., None]
) -> None:
    # Not in development, where mail is delivered meanwhile.
    server = start_server("--workers", "2", DATABASE_URL=url_of(path), JWT_SECRET=SECRET)
    bearer = token(Role.VIEWER)
    files = {way: tmp_path / f"seen by {way}" for way in WAYS}
    writers = run("writers", url_of(path), str(tmp_path / "acknowledged"), "writers", str(WRITERS))
    began = time.monotonic()

    last = await asyncio.gather(*(kill_again_and_again(server.url, bearer, way, files[way]) for way in WAYS))
    kill(writers)
    wrote = time.monotonic() - began
    number_events(path)
    events = sorted((int(row["sequence"]), str(row["id"])) for row in rows_of(path, "home_visit_events"))
    await asyncio.gather(*(wait_for(file, len(events)) for file in files.values()))
    await asyncio.sleep(0.5)
    for process in last:
        kill(process)

    found = {way: seen(file) for way, file in files.items()}
    lost = {way: len(set(events) - set(found[way])) for way in WAYS}
    repeated = {way: len(found[way]) - len(set(found[way])) for way in WAYS}
    tell(
        f"a follower and a subscriber, each killed {KILLS} times while {WRITERS} wrote",
        events=len(events),
        events_a_second=round(len(events) / wrote),
        lost=sum(lost.values()),
        seen_twice=sum(repeated.values()),
    )
    assert [sequence for sequence, _ in events] == list(range(1, len(events) + 1))
    assert found == dict.fromkeys(WAYS, events)
