"""What must hold of a database however the processes that wrote to it ended, where every booking was to be confirmed by mail."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import databases
from tests.inspection import Inspection, inspect
from tests.storage.homes import number_events

Row = dict[str, Any]


def faults(path: Path) -> list[str]:
    """Return what is damaged or half written: a visit without its events, an event without its mail, a gap."""
    number_events(path)
    inspection = inspect(path)
    return [*inspection.faults(), *half_written(inspection)]


def wait_until_nobody_writes(path: Path) -> None:
    """Wait until PostgreSQL has noticed whose process is gone: what they had told it to commit, it commits."""
    if databases.is_sqlite():
        return
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + 30
    while inspect(path).query(others):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def history(path: Path) -> dict[str, list[str]]:
    """Return the types of the events of each visit, in the order of its versions."""
    events = _of_visits(inspect(path), "home_visit_events", "version")
    return {visit: [event["type"] for event in of_visit] for visit, of_visit in events.items()}


def half_written(inspection: Inspection, *, are_sent: bool = False) -> Iterator[str]:
    """Yield what is half written. `are_sent`: a courier has sent all that was due; else none has sent any."""
    events, messages = (
        _of_visits(inspection, "home_visit_events", "version"),
        _of_visits(inspection, "outbox_messages", "sequence"),
    )
    keys = {row["home_visit"] for row in inspection.records("idempotency_keys")}
    sequences = sorted(event["sequence"] for of_visit in events.values() for event in of_visit)
    if sequences != list(range(1, len(sequences) + 1)):
        yield f"{len(sequences)} events have sequences up to {sequences[-1]}"
    visits = inspection.records("home_visits")
    if strays := (events.keys() | messages.keys() | keys) - {visit["id"] for visit in visits}:
        yield f"rows without their visits: {strays}"
    for visit in visits:
        for fault in _wrong(visit, events[visit["id"]], messages[visit["id"]], are_sent):
            yield f"{visit['id']}: {fault}"
        if visit["id"] not in keys:
            yield f"{visit['id']}: no key"


def _of_visits(inspection: Inspection, table: str, order: str) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(inspection.records(table), key=lambda row: row[order]):
        rows[row["home_visit"]].append(row)
    return rows


def _wrong(visit: Row, events: list[Row], messages: list[Row], are_sent: bool) -> Iterator[str]:
    versions = [event["version"] for event in events]
    if versions != list(range(1, visit["version"] + 1)):
        yield f"version {visit['version']} has events of {versions}"
    ends = [event["type"] for event in events if event["type"] in ("CANCELLED", "COMPLETED")]
    if ends != [name.upper() for name in ("cancelled", "completed") if visit[name]]:
        yield f"ended as {ends}, kept as {visit['cancelled']}, {visit['completed']}"
    moves = [event for event in events if any(change[0] == "date_time" for change in json.loads(event["changes"]))]
    if len(messages) != 1 + len(moves):
        yield f"{len(messages)} messages for a booking and {len(moves)} moves"
    if messages and messages[-1]["date_time"] != visit["date_time"]:
        yield "the last message tells another time"
    expected = ["WITHDRAWN"] * (len(messages) - 1) + ["WITHDRAWN" if ends else "QUEUED"]
    statuses = [message["status"] for message in messages]
    if are_sent:
        # What was superseded, or ended, may have been sent before.
        expected = [status if status == "SENT" else "WITHDRAWN" for status in statuses]
        expected[-1] = expected[-1] if ends else "SENT"
    if statuses != expected or visit["confirmation"] != expected[-1]:
        yield f"messages are {statuses}, the visit says {visit['confirmation']}"
