"""Promise 4: one key books once."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.repository import HomeVisits
from tests.proofs.wholeness import faults
from tests.proofs.writers import WAITS
from tests.storage.homes import booking, rows_of

ROOT = Path(__file__).parents[2]
TABLES = ("home_visits", "home_visit_events", "idempotency_keys", "outbox_messages")


def start(path: Path, many: int, *moment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.proofs.bookers", str(path), "k", str(many), *moment]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def rows(path: Path) -> dict[str, int]:
    return {table: len(rows_of(path, table)) for table in TABLES}


@pytest.mark.slow
def test_twenty_at_once_in_two_processes_book_once(path: Path, tell: Callable[..., None]) -> None:
    processes = [start(path, 10) for _ in range(2)]

    answers = [process.communicate(timeout=60)[0].split() for process in processes]

    tell("20 requests with one key from two processes", **rows(path))
    assert [len(answer) for answer in answers] == [10, 10]
    assert {id for answer in answers for id in answer} == {rows_of(path, "home_visits")[0]["id"]}
    assert rows(path) == dict.fromkeys(TABLES, 1)
    assert faults(path) == []


@pytest.mark.parametrize(("moment", "kept"), [("before", 0), ("after", 1)])
async def test_a_retry_after_a_kill_beside_the_commit_books_once(
    visits: HomeVisits, path: Path, moment: str, kept: int, tell: Callable[..., None]
) -> None:
    process = start(path, 1, moment)
    answered, _ = await asyncio.to_thread(process.communicate, timeout=60)
    left = rows(path)

    retried = [await visits.book(booking(date_time=WAITS), idempotency_key="k") for _ in range(2)]

    tell(f"killed {moment} the commit, then tried again", **rows(path))
    assert (process.returncode, answered, left) == (-9, "", dict.fromkeys(TABLES, kept))
    assert {visit.id for visit in retried} == {rows_of(path, "home_visits")[0]["id"]}
    assert rows(path) == dict.fromkeys(TABLES, 1)
    assert faults(path) == []
