"""A batch of documents into the tables: what is new or newer is written, in the caller's transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from storage import lifecycle
from storage.carehq.documents import Document, Kind
from storage.events.appending import append_import_changes, append_imported, move_events
from storage.folding import folded
from storage.models import ConfirmationStatus, HomeVisit, metadata
from storage.outbox.messages import withdraw

Row = dict[str, Any]

CARE_ENQUIRIES = metadata.tables["care_enquiries"]
CONTACTS = metadata.tables["service_user_contacts"]
LOCATIONS = metadata.tables["locations"]
USERS = metadata.tables["users"]
VISITS = metadata.tables["home_visits"]


@dataclass
class Tally:
    """What became of documents. One with nothing new, or whose record was anonymized here, changes nothing."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0

    def add(self, other: "Tally") -> None:
        self.new += other.new
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.refused += other.refused


@dataclass
class _Batch:
    """`rows` are those of the table as they will be, by ID: a document meets what earlier ones of its batch left."""

    rows: dict[str, Row]
    inserts: list[Row] = field(default_factory=list)
    updates: list[Row] = field(default_factory=list)
    changes: list[tuple[Row, list[list[str | None]]]] = field(default_factory=list)
    moved: list[Row] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def insert(self, row: Row) -> None:
        self.rows[row["id"]] = row
        self.inserts.append(row)

    def update(self, row: Row) -> None:
        self.rows[row["id"]] = row
        self.updates.append(row)


def merge(session: Session, kind: Kind, documents: Sequence[Document], now: datetime) -> Tally:
    """Write what is new or newer, with an event for each visit; insert stubs of records that are referred to and not stored."""
    connection = session.connection()
    rows = [vars(document) for document in documents]
    batch = _Batch(_stored(connection, kind.table, {row["id"] for row in rows}))
    if kind.table is VISITS:
        final = _final_states(rows)
        for row in rows:
            if row is final[row["id"], row["modified"]]:
                _merge_visit(session, batch, row, now)
            else:
                batch.tally.unchanged += 1
    else:
        anonymized = _anonymized_enquiries(connection, kind.table, [*rows, *batch.rows.values()])
        for row in rows:
            _merge_details(batch, row, anonymized)
    _write(session, kind.table, batch, now)
    return batch.tally


def _stored(connection: sa.Connection, table: sa.Table, ids: Iterable[str]) -> dict[str, Row]:
    columns = [column for column in table.columns if column.name != "number"]
    found = connection.execute(sa.select(*columns).where(table.c.id.in_(ids)))
    return {row["id"]: dict(row) for row in found.mappings()}


def _final_states(rows: Iterable[Row]) -> dict[tuple[str, datetime], Row]:
    """Return the last document of each visit and second, which a repeat finds kept; what is anonymized stays so."""
    final: dict[tuple[str, datetime], Row] = {}
    for row in rows:
        before = final.get((row["id"], row["modified"]))
        if before is None or before["anonymized"] is None:
            final[row["id"], row["modified"]] = row
    return final


def _merge_visit(session: Session, batch: _Batch, row: Row, now: datetime) -> None:
    before = batch.rows.get(row["id"])
    if before is None:
        after = row | {
            "version": 1,
            "confirmation": ConfirmationStatus.NOT_REQUIRED,
            "notes_folded": folded(row["notes"]),
        }
        batch.insert(after)
        batch.tally.new += 1
    elif before["anonymized"] is not None or not _is_newer(row, before):
        batch.tally.unchanged += 1
    else:
        after, changes = _updated(session, before, row, now)
        batch.update(after)
        batch.changes.append((after, changes))
        if (before["location"], before["care_enquiry"]) != (after["location"], after["care_enquiry"]):
            batch.moved.append(after)
        batch.tally.updated += 1


def _is_newer(row: Row, before: Row) -> bool:
    """Tell whether a document says more than is kept. The source's clock shows whole seconds, and much happens within one."""
    if row["modified"] != before["modified"]:
        return bool(row["modified"] > before["modified"])
    return not row.items() <= before.items() and any(not _is_kept(value, before[name]) for name, value in row.items())


def _is_kept(value: Any, kept: Any) -> bool:
    # Exports have whole seconds: what comes back from one is nothing new.
    return bool(value == kept) or (isinstance(kept, datetime) and value == kept.replace(microsecond=0))


def _updated(session: Session, before: Row, row: Row, now: datetime) -> tuple[Row, list[list[str | None]]]:
    visit = HomeVisit(**before)
    values = {name: value for name, value in row.items() if name not in ("id", "modified")}
    entries = lifecycle.change(visit, values, row["modified"])
    if not entries:
        visit.modified = row["modified"]
        visit.version += 1
    if {"date_time", "cancelled", "completed", "anonymized"} & {str(name) for name, *_ in entries}:
        withdraw(session, visit, now)
    return {name: getattr(visit, name) for name in before}, entries


def _anonymized_enquiries(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> set[str]:
    """Return the enquiries whose own details, or whose contacts' details, were wiped here."""
    if table is not CARE_ENQUIRIES and table is not CONTACTS:
        return set()
    named = {row["id" if table is CARE_ENQUIRIES else "care_enquiry"] for row in rows} - {None}
    wiped = sa.select(CARE_ENQUIRIES.c.id).where(CARE_ENQUIRIES.c.id.in_(named), CARE_ENQUIRIES.c.anonymized.is_not(None))
    return set(connection.scalars(wiped))


def _merge_details(batch: _Batch, row: Row, anonymized: set[str]) -> None:
    before = batch.rows.get(row["id"])
    enquiries = {row["id"], row.get("care_enquiry"), before and before.get("care_enquiry")}
    if before == row or enquiries & anonymized:
        batch.tally.unchanged += 1
    elif before is None:
        batch.insert(row)
        batch.tally.new += 1
    else:
        batch.update(row)
        if _is_stub(before):
            batch.tally.new += 1
        else:
            batch.tally.updated += 1


def _is_stub(row: Row) -> bool:
    return not any(value is not None and value is not False for name, value in row.items() if name != "id")


def _write(session: Session, table: sa.Table, batch: _Batch, now: datetime) -> None:
    connection = session.connection()
    _make_stubs(connection, table, [*batch.inserts, *batch.updates])
    if batch.inserts:
        connection.execute(sa.insert(table), batch.inserts)
    if batch.inserts and table is VISITS:
        append_imported(session, [row["id"] for row in batch.inserts], now)
    if batch.updates:
        changed = [{"of": row["id"], **{name: row[name] for name in row if name != "id"}} for row in batch.updates]
        connection.execute(sa.update(table).where(table.c.id == sa.bindparam("of")), changed)
    append_import_changes(session, batch.changes, now)
    move_events(session, batch.moved)


def _make_stubs(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Keep the ID of everything that the rows refer to."""
    named: defaultdict[sa.Table, set[str]] = defaultdict(set)
    for key in table.foreign_keys:
        named[key.column.table].update(row[key.parent.name] for row in rows if row[key.parent.name] is not None)
    if table is USERS:
        named[LOCATIONS].update(location for row in rows for location in row["locations"] or ())
    for referred, ids in named.items():
        stored = set(connection.scalars(sa.select(referred.c.id).where(referred.c.id.in_(ids))))
        if missing := ids - stored:
            connection.execute(sa.insert(referred), [{"id": id} for id in sorted(missing)])
