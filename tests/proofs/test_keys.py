"""Promise 4: one key books once."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.repository import HomeVisits
from tests.proofs.processes import answer, ask, start
from tests.proofs.wholeness import faults
from tests.proofs.writers import WAITS
from tests.storage.homes import booking, rows_of

TABLES = ("home_visits", "home_visit_events", "idempotency_keys", "outbox_messages")
ROUNDS = 100
CALLERS = (7, 7, 6)


def rows(path: Path) -> dict[str, int]:
    return {table: len(rows_of(path, table)) for table in TABLES}


@pytest.mark.slow
def test_twenty_at_once_in_three_processes_book_once(path: Path, tell: Callable[..., None]) -> None:
    processes = [start("bookers", path, str(callers)) for callers in CALLERS]
    booked = []

    for number in range(ROUNDS):
        for process in processes:
            ask(process, f"key {number}")
        answers = [answer(process).split() for process in processes]
        assert [len(ids) for ids in answers] == list(CALLERS)
        (visit,) = {id for ids in answers for id in ids}
        booked.append(visit)

    ended = [process.communicate(timeout=60)[0] for process in processes]
    tell(f"20 callers with one key in three processes, {ROUNDS} rounds", **rows(path))
    assert ended == [""] * 3
    assert sorted(booked) == sorted(row["id"] for row in rows_of(path, "home_visits"))
    assert rows(path) == dict.fromkeys(TABLES, ROUNDS)
    assert faults(path) == []


@pytest.mark.parametrize(("moment", "kept"), [("before", 0), ("after", 1)])
async def test_a_retry_after_a_kill_beside_the_commit_books_once(
    visits: HomeVisits, path: Path, moment: str, kept: int, tell: Callable[..., None]
) -> None:
    process = start("bookers", path, "1", moment)
    answered, _ = await asyncio.to_thread(process.communicate, "k\n", timeout=60)
    left = rows(path)

    retried = [await visits.book(booking(date_time=WAITS), idempotency_key="k") for _ in range(2)]

    tell(f"killed {moment} the commit, then tried again", **rows(path))
    assert (process.returncode, answered, left) == (-9, "", dict.fromkeys(TABLES, kept))
    assert {visit.id for visit in retried} == {rows_of(path, "home_visits")[0]["id"]}
    assert rows(path) == dict.fromkeys(TABLES, 1)
    assert faults(path) == []
