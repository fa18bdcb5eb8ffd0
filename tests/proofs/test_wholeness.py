"""The check that the proofs rely on finds what it is for."""

from datetime import timedelta
from pathlib import Path

import pytest

from storage.repository import HomeVisits
from tests.inspection import inspect
from tests.proofs.wholeness import faults
from tests.proofs.writers import WAITS
from tests.storage.homes import booking


async def two_visits(visits: HomeVisits) -> None:
    first, second = [(await visits.book(booking(date_time=WAITS), idempotency_key=key)).id for key in "kl"]
    await visits.update(first, {"date_time": WAITS + timedelta(days=1), "notes": "Ring twice."})
    await visits.cancel(second)


async def test_a_whole_database_has_no_faults(visits: HomeVisits, path: Path) -> None:
    await two_visits(visits)

    assert faults(path) == []


@pytest.mark.parametrize(
    "half",
    [
        "DELETE FROM home_visit_events WHERE type = 'CANCELLED'",
        "DELETE FROM home_visit_events WHERE type = 'BOOKED' AND home_visit IN (SELECT id FROM home_visits WHERE version = 2)",
        "DELETE FROM outbox_messages WHERE status = 'QUEUED'",
        "DELETE FROM idempotency_keys WHERE key = 'l'",
        "DELETE FROM home_visits WHERE version = 2",
        "UPDATE home_visits SET version = version + 1",
        "UPDATE home_visits SET cancelled = NULL",
        "UPDATE home_visits SET date_time = created",
        "UPDATE home_visits SET confirmation = 'SENT'",
        "UPDATE outbox_messages SET status = 'QUEUED' WHERE status = 'WITHDRAWN'",
        "UPDATE home_visits SET assigned_to = 'nobody'",
    ],
)
async def test_what_is_half_written_is_found(visits: HomeVisits, path: Path, half: str) -> None:
    await two_visits(visits)

    inspect(path).execute(f"DROP INDEX outbox_messages_open_of_visit; {half}")

    assert faults(path) != []
