"""Promises 2 and 3: exactly one wins, and nobody's write is lost."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from storage.database import Database
from storage.instants import rfc3339
from storage.repository import HomeVisits
from tests.proofs.wholeness import history
from tests.storage.homes import VISIT_TIME, booking, events_of, keep, rows_of, visit, visit_id

ROOT = Path(__file__).parents[2]
RACES = 500


def contender(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.proofs.contenders", str(path)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process: subprocess.Popen[str], id: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{id}\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


@pytest.mark.slow
async def test_of_all_who_end_or_change_a_visit_in_two_processes_one_wins(
    path: Path, database: Database, tell: Callable[..., None]
) -> None:
    await keep(database, *map(visit, range(RACES)))
    processes = {name: contender(path) for name in ("one", "other")}
    winners: Counter[str] = Counter()
    refusals: Counter[str] = Counter()

    for number in range(RACES):
        for process in processes.values():
            ask(process, visit_id(number))
        outcomes = {(move, name): what for name, process in processes.items() for move, what in answer(process).items()}
        assert list(outcomes.values()).count("won") == 1, outcomes
        winners.update(f"{move} in the {name}" for (move, name), what in outcomes.items() if what == "won")
        refusals.update(what for what in outcomes.values() if what != "won")

    for process in processes.values():
        process.communicate(timeout=10)
    tell("cancel, complete and update in two processes", races=RACES, with_one_winner=winners.total(), **winners)
    assert refusals.keys() == {"HomeVisitNotPending", "VersionConflict"}
    assert refusals.total() == RACES * 5
    assert len(winners) == 6
    assert [row["version"] for row in rows_of(path, "home_visits")] == [2] * RACES
    assert {id: len(types) for id, types in history(path).items()} == {visit_id(number): 1 for number in range(RACES)}


@pytest.mark.parametrize(("writers", "writes"), [(50, 2), pytest.param(50, 20, marks=pytest.mark.slow)])
async def test_many_who_move_one_visit_lose_no_move(
    visits: HomeVisits, path: Path, writers: int, writes: int, tell: Callable[..., None]
) -> None:
    id = (await visits.book(booking(), suppress_confirmation=True)).id
    moments = [VISIT_TIME + timedelta(minutes=1 + minute) for minute in range(writers * writes)]
    waits: list[float] = []

    async def move(own: list[datetime]) -> None:
        for moment in own:
            began = time.monotonic()
            await visits.update(id, {"date_time": moment}, suppress_confirmation=True)
            waits.append(time.monotonic() - began)

    began = time.monotonic()
    await asyncio.gather(*(move(moments[writer::writers]) for writer in range(writers)))
    took = time.monotonic() - began

    changes = [json.loads(event["changes"])[0] for event in events_of(path)[1:]]
    tell(
        f"{writers} writers, {writes} writes each",
        lost=len(moments) - len(changes),
        errors=len(moments) - len(waits),
        seconds=f"{took:.1f}",
        seconds_the_slowest=f"{max(waits):.2f}",
    )
    assert sorted(after for _, _, after in changes) == [rfc3339(moment) for moment in moments]
    # Each began where the one before it had ended: nobody wrote over what they had not seen.
    assert [before for _, before, _ in changes[1:]] == [after for _, _, after in changes[:-1]]
    assert rows_of(path, "home_visits")[0]["version"] == 1 + len(moments)
