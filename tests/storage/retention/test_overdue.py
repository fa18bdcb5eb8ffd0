"""Visits that are pending long after their time are counted: nothing of them is wiped."""

from datetime import timedelta
from pathlib import Path

import pytest

from storage.database import Database
from storage.retention.commands import anonymize_and_describe
from storage.retention.overdue import describe_overdue
from tests.storage.homes import Clock, keep, visit

YEAR = 365


@pytest.mark.parametrize("dry_run", [True, False])
async def test_it_says_how_many_visits_stay_pending_that_are_long_past(
    dry_run: bool, database: Database, clock: Clock, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    now = clock.advance(days=2 * YEAR)
    times = [now - timedelta(days=YEAR, seconds=1), now - timedelta(days=YEAR), now]
    await keep(database, *[visit(number, date_time=time) for number, time in enumerate(times)])
    ended = [{"cancelled": now}, {"completed": now}, {"anonymized": now}]
    await keep(database, *[visit(3 + number, date_time=times[0], **end) for number, end in enumerate(ended)])

    description = await anonymize_and_describe(database, YEAR, clock, dry_run=dry_run)

    sentence = (
        "1 visit is pending though the time has passed as long ago. Nothing of that is wiped: cancel or complete what is over."
    )
    assert sentence in description.splitlines()
    assert await describe_overdue(database, 3 * YEAR, now) == []
