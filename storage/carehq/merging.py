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
from storage.events.appending import IMPORT, Origin, append_import_changes, append_imported, move_events
from storage.folding import folded
from storage.models import ConfirmationStatus, HomeVisit, metadata
from storage.names import folded_columns
from storage.outbox.messages import withdraw
from storage.queries.dialect import dialect_of
from storage.retention.marks import mark
from storage.retention.wiping import wipe_traces, wipe_traces_of_enquiries

Row = dict[str, Any]

CARE_ENQUIRIES = metadata.tables["care_enquiries"]
CONTACTS = metadata.tables["service_user_contacts"]
LOCATIONS = metadata.tables["locations"]
USERS = metadata.tables["users"]
VISITS = metadata.tables["home_visits"]
# Of people, in care enquiries and contacts.
DETAILS = ("first_name", "last_name", "email", "phone")
_WIPED: Row = {"notes": "", "notes_folded": "", "service_user_contact": None, **dict.fromkeys(DETAILS)}


@dataclass
class Tally:
    """What became of documents. One with nothing new, or that would bring back what was anonymized here, changes nothing."""

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
    replaced: list[tuple[Row, Row]] = field(default_factory=list)
    counted: list[tuple[str, Tally]] = field(default_factory=list)
    blanked: set[str] = field(default_factory=set)
    changes: list[tuple[Row, list[list[str | None]]]] = field(default_factory=list)
    moved: list[Row] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def insert(self, row: Row) -> None:
        self.rows[row["id"]] = row
        self.inserts.append(row)
        self._count(row, Tally(new=1))

    def update(self, row: Row, *, is_new: bool = False) -> None:
        """Change a row that is stored; `is_new` where that was a stub, of which only the ID was known."""
        self.replaced.append((self.rows[row["id"]], row))
        self.rows[row["id"]] = row
        self.updates.append(row)
        self._count(row, Tally(new=1) if is_new else Tally(updated=1))

    def _count(self, row: Row, tally: Tally) -> None:
        self.counted.append((row["id"], tally))
        self.tally.add(tally)

    def leave_out(self, ids: set[str]) -> None:
        for rows in (self.inserts, self.updates, self.moved):
            rows[:] = [row for row in rows if row["id"] not in ids]
        self.changes = [(row, changes) for row, changes in self.changes if row["id"] not in ids]
        self.replaced = [(before, after) for before, after in self.replaced if after["id"] not in ids]
        for id, tally in self.counted:
            if id in ids:
                self.tally.add(Tally(new=-tally.new, updated=-tally.updated, unchanged=1))


def merge(
    session: Session,
    kind: Kind,
    documents: Sequence[Document],
    now: datetime,
    *,
    origin: Origin = IMPORT,
) -> Tally:
    """Write what is new or newer, with an event for each visit; insert stubs of records that are referred to and not stored."""
    connection = session.connection()
    rows = [dict(vars(document)) for document in documents]
    batch = _Batch(_stored(connection, kind.table, {row["id"] for row in rows}))
    if kind.table is VISITS:
        batch.blanked = _blank(rows, _wiped_references(connection, rows))
        final = _final_states(rows)
        for row in rows:
            if row is final[row["id"], row["modified"]]:
                _merge_visit(session, batch, row, now)
            else:
                batch.tally.unchanged += 1
    else:
        _blank(rows, set())
        anonymized = _anonymized_enquiries(connection, kind.table, [*rows, *batch.rows.values()])
        for row in rows:
            _merge_details(batch, row, anonymized)
    _write(session, kind.table, batch, now, origin)
    return batch.tally


def _stored(connection: sa.Connection, table: sa.Table, ids: Iterable[str]) -> dict[str, Row]:
    columns = [column for column in table.columns if column.name != "number"]
    found = connection.execute(sa.select(*columns).where(table.c.id.in_(ids)))
    return {row["id"]: dict(row) for row in found.mappings()}


def _wiped_references(connection: sa.Connection, visits: Sequence[Row]) -> set[str]:
    """Return the enquiries and contacts of visits that were wiped here; no enquiry is until this is committed."""
    wiped = _wiped_now(connection, CARE_ENQUIRIES, {visit["care_enquiry"] for visit in visits}, changes=False)
    contacts = {visit["service_user_contact"] for visit in visits} - {None}
    rows = sa.select(CONTACTS.c.id).where(CONTACTS.c.id.in_(contacts), CONTACTS.c.anonymized.is_not(None))
    return wiped | set(connection.scalars(rows))


def _blank(rows: Iterable[Row], wiped: set[str]) -> set[str]:
    """Leave out what says anything of people whom this, or the source itself, has anonymized; return of which rows."""
    blanked = set()
    for row in rows:
        if row.get("anonymized") is not None or {row.get("care_enquiry"), row.get("service_user_contact")} & wiped:
            row.update({name: value for name, value in _WIPED.items() if name in row})
            blanked.add(row["id"])
    return blanked


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
    elif before["anonymized"] is not None or not _is_newer(row, before):
        batch.tally.unchanged += 1
    else:
        after, changes = _updated(session, before, row, now)
        batch.update(after)
        batch.changes.append((after, changes))
        if (before["location"], before["care_enquiry"]) != (after["location"], after["care_enquiry"]):
            batch.moved.append(after)


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
    is_wiped = before is not None and before.get("anonymized") is not None
    # The source blanks what it kept of a family, contacts after the enquiry.
    is_of_wiped = enquiries & anonymized and (before is None or _has_details(row))
    if (before is not None and row.items() <= before.items()) or is_wiped or is_of_wiped:
        batch.tally.unchanged += 1
    elif before is None:
        batch.insert(row | folded_columns(row))
    else:
        batch.update(row | folded_columns(row), is_new=_is_stub(before, row))


def _leave_out_wiped(connection: sa.Connection, table: sa.Table, batch: _Batch) -> None:
    """Leave out what was wiped since it was read, and keep the rest from being wiped until this is committed."""
    rows, wiped = [*batch.inserts, *batch.updates], set[str]()
    if table is CONTACTS and rows:
        with_details = [row for row in rows if _has_details(row)]
        families = _wiped_now(connection, CARE_ENQUIRIES, {row["care_enquiry"] for row in with_details} - {None}, changes=False)
        wiped = {row["id"] for row in with_details if row["care_enquiry"] in families}
    if batch.updates and "anonymized" in table.c:
        wiped |= _wiped_now(connection, table, {row["id"] for row in batch.updates}, changes=True)
    if wiped:
        batch.leave_out(wiped)
    if table is VISITS and (contacts := {row["service_user_contact"] for row in rows} - {None}):
        batch.blanked |= _blank(rows, _wiped_now(connection, CONTACTS, contacts, changes=False))


def _wiped_now(connection: sa.Connection, table: sa.Table, ids: Iterable[str], *, changes: bool) -> set[str]:
    """Return which of these records are wiped by now; the others are locked as is due before they are changed, or referred to."""
    rows = sa.select(table.c.id, table.c.anonymized).where(table.c.id.in_(ids)).order_by(table.c.id)
    locked = rows.with_for_update(read=not changes, key_share=not changes)
    return {id for id, anonymized in connection.execute(locked) if anonymized is not None}


def _has_details(row: Row) -> bool:
    return any(row[name] is not None for name in DETAILS)


def _is_stub(before: Row, row: Row) -> bool:
    return not any(before[name] is not None and before[name] is not False for name in row if name != "id")


def _write(session: Session, table: sa.Table, batch: _Batch, now: datetime, origin: Origin) -> None:
    connection = session.connection()
    _leave_out_wiped(connection, table, batch)
    _make_stubs(connection, table, [*batch.inserts, *batch.updates])
    if batch.inserts and table is not VISITS:
        dialect_of(session).index_new(session, table, [(row["id"], row["search_folded"]) for row in batch.inserts])
    if batch.inserts:
        connection.execute(sa.insert(table), batch.inserts)
    if batch.inserts and table is VISITS:
        append_imported(session, [row["id"] for row in batch.inserts], now, origin)
    if batch.updates:
        changed = [{"of": row["id"], **{name: row[name] for name in row if name != "id"}} for row in batch.updates]
        connection.execute(sa.update(table).where(table.c.id == sa.bindparam("of")), changed)
    _wipe_traces(session, table, [row["id"] for row in batch.updates if row.get("anonymized") is not None], now)
    if _blanks_people(table, batch):
        mark(session, now)
    append_import_changes(session, batch.changes, now, origin)
    move_events(session, batch.moved)
    if batch.updates and table is not VISITS:
        _restore_folded(connection, table, batch.updates)


def _wipe_traces(session: Session, table: sa.Table, anonymized: Sequence[str], now: datetime) -> None:
    """Wipe what is kept beside records that the source has anonymized, and have files purged of what they held."""
    if table is VISITS:
        wipe_traces(session, anonymized, now)
    elif anonymized:
        wipe_traces_of_enquiries(session, anonymized)
        mark(session, now)


def _blanks_people(table: sa.Table, batch: _Batch) -> bool:
    """Tell whether all is gone that was kept of a person: of contacts the source does not say that it has anonymized them."""
    names = [name for name in (*DETAILS, "notes") if name in table.c]
    replaced = [(old, new) for old, new in batch.replaced if table is not VISITS or new["id"] in batch.blanked]
    is_of_people = "anonymized" in table.c
    return is_of_people and any(any(map(old.get, names)) and not any(map(new.get, names)) for old, new in replaced)


def _restore_folded(connection: sa.Connection, table: sa.Table, updates: Iterable[Row]) -> None:
    """Write folded columns again where a change left them as they were, which the database takes for that of an older version."""
    folded = [{"of": row["id"], **{name: row[name] for name in row if name.endswith("_folded")}} for row in updates]
    is_unfolded = sa.and_(table.c.id == sa.bindparam("of"), table.c.search_folded.is_(None))
    connection.execute(sa.update(table).where(is_unfolded), folded)


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
            connection.execute(sa.insert(referred), [{"id": id, "search_folded": ""} for id in sorted(missing)])
