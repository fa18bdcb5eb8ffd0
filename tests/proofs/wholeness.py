"""What must hold of a database however the processes that wrote to it ended, where every booking was to be confirmed by mail."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def faults(path: Path) -> list[str]:
    """Return what is damaged or half written: a visit without its events, an event without its mail, a gap."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [*_damage(connection), *_half_written(connection)]


def history(path: Path) -> dict[str, list[str]]:
    """Return the types of the events of each visit, in the order of its versions."""
    with closing(sqlite3.connect(path)) as connection:
        told = defaultdict(list)
        for visit, type in connection.execute("SELECT home_visit, type FROM home_visit_events ORDER BY sequence"):
            told[visit].append(type)
        return told


def _damage(connection: sqlite3.Connection) -> Iterator[str]:
    for (answer,) in connection.execute("PRAGMA integrity_check"):
        if answer != "ok":
            yield answer
    for row in connection.execute("PRAGMA foreign_key_check"):
        yield f"{row[0]} {row[1]} refers to nothing in {row[2]}"


def _half_written(connection: sqlite3.Connection) -> Iterator[str]:
    events, messages = _of_visits(connection, "home_visit_events"), _of_visits(connection, "outbox_messages")
    keys = {row["home_visit"] for row in connection.execute("SELECT * FROM idempotency_keys")}
    count, last = connection.execute("SELECT count(*), coalesce(max(sequence), 0) FROM home_visit_events").fetchone()
    if count != last:
        yield f"{count} events have sequences up to {last}"
    visits = [dict(row) for row in connection.execute("SELECT * FROM home_visits")]
    if strays := (events.keys() | messages.keys() | keys) - {visit["id"] for visit in visits}:
        yield f"rows without their visits: {strays}"
    for visit in visits:
        for fault in _wrong(visit, events[visit["id"]], messages[visit["id"]]):
            yield f"{visit['id']}: {fault}"
        if visit["id"] not in keys:
            yield f"{visit['id']}: no key"


def _of_visits(connection: sqlite3.Connection, table: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in connection.execute(f"SELECT * FROM {table} ORDER BY sequence"):  # noqa: S608 - the names of our own tables
        found[row["home_visit"]].append(dict(row))
    return found


def _wrong(visit: Row, events: list[Row], messages: list[Row]) -> Iterator[str]:
    versions = [event["version"] for event in events]
    if versions != list(range(1, visit["version"] + 1)):
        yield f"version {visit['version']} has events of {versions}"
    ends = [event["type"] for event in events if event["type"] in ("CANCELLED", "COMPLETED")]
    if ends != [name.upper() for name in ("cancelled", "completed") if visit[name]]:
        yield f"ended as {ends}, kept as {visit['cancelled']}, {visit['completed']}"
    moves = [event for event in events if any(change[0] == "date_time" for change in json.loads(event["changes"]))]
    if [message["sequence"] for message in messages] != [0, *(event["version"] - 1 for event in moves)]:
        yield f"{len(messages)} messages for a booking and {len(moves)} moves"
    if messages and messages[-1]["date_time"] != visit["date_time"]:
        yield "the last message tells another time"
    expected = ["WITHDRAWN"] * (len(messages) - 1) + ["WITHDRAWN" if ends else "QUEUED"]
    if [message["status"] for message in messages] != expected or visit["confirmation"] != expected[-1]:
        yield f"messages are {[message['status'] for message in messages]}, the visit says {visit['confirmation']}"
