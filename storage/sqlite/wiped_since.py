"""What a restored backup brings back: personal data that were wiped in the database before it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from storage import migrations
from storage.database import Wiped, WipedSince
from storage.errors import DatabaseUnusable
from storage.sqlite.connecting import connected, uri
from storage.sqlite.migrating import schema_of
from storage.sqlite.schemas import strangeness

TABLES = ("home_visits", "care_enquiries", "service_user_contacts")
# Of a visit in the database before it, that somebody was erased with it.
_IS_ERASED = """EXISTS (
    SELECT 1 FROM kept.home_visit_events AS event
    WHERE event.home_visit = visit.id AND event.type = 'ANONYMIZED' AND event.actor = :eraser)"""
_ENQUIRIES = """{wiped} AND (
    NOT EXISTS (SELECT 1 FROM kept.home_visits AS visit WHERE visit.care_enquiry = after.id)
    OR EXISTS (SELECT 1 FROM kept.home_visits AS visit WHERE visit.care_enquiry = after.id AND {is_erased}))"""
# Those of a family that is named, or that went with it by age, go with it again.
_CONTACTS = """{wiped} AND coalesce(before.care_enquiry, '') NOT IN ({enquiries}) AND NOT EXISTS (
    SELECT 1 FROM kept.care_enquiries AS family WHERE family.id = after.care_enquiry AND family.anonymized = after.anonymized)
    AND (NOT EXISTS (SELECT 1 FROM main.home_visits AS visit WHERE visit.service_user_contact = after.id)
    OR EXISTS (SELECT 1 FROM main.home_visits AS visit WHERE visit.service_user_contact = after.id AND {is_erased}))"""


def wiped_since(path: Path, kept: Path, eraser: str) -> WipedSince | None:
    """Compare a restored database, which was checked, with the one before it; None where that one cannot be read."""
    try:
        if not _is_comparable(kept):
            return None
        with closing(connected(path, "ro")) as connection:
            connection.execute("ATTACH ? AS kept", (uri(kept, "ro"),))
            wiped = {table: _wiped(connection, table) for table in TABLES}
            counts = (_ids(connection, wiped[table]) for table in TABLES)
            enquiries = _ENQUIRIES.format(wiped=wiped["care_enquiries"], is_erased=_IS_ERASED)
            contacts = _CONTACTS.format(wiped=wiped["service_user_contacts"], is_erased=_IS_ERASED, enquiries=enquiries)
            tells_contacts = _has_anonymized(connection, "kept", "service_user_contacts")
            return WipedSince(
                Wiped(*map(len, counts)),
                _ids(connection, enquiries, eraser),
                _ids(connection, contacts, eraser) if tells_contacts else [],
            )
    except (sqlite3.Error, OSError, DatabaseUnusable):
        # The backup is in its place: that nobody can tell is no failure of that.
        return None


def _is_comparable(kept: Path) -> bool:
    """Tell whether a database has the tables that are known here: also one that a newer version has only added to."""
    step, serves_from = schema_of(kept)
    return migrations.is_served(step, serves_from) if migrations.is_newer(step) else not strangeness(kept)


def _wiped(connection: sqlite3.Connection, table: str) -> str:
    """Return what selects the IDs of those that were wiped since. Of contacts, an older version kept no such time."""
    before, after = (_has_anonymized(connection, schema, table) for schema in ("main", "kept"))
    is_wiped = "after.anonymized IS NOT NULL" if after else "FALSE"
    was_there = "before.anonymized IS NULL" if before else "TRUE"
    join = f"main.{table} AS before JOIN kept.{table} AS after ON after.id = before.id"
    return f"SELECT after.id FROM {join} WHERE {is_wiped} AND {was_there}"  # noqa: S608 - our own names


def _has_anonymized(connection: sqlite3.Connection, schema: str, table: str) -> bool:
    columns = connection.execute("SELECT name FROM pragma_table_info(?, ?)", (table, schema))
    return ("anonymized",) in columns.fetchall()


def _ids(connection: sqlite3.Connection, statement: str, eraser: str = "") -> list[str]:
    return [id for (id,) in connection.execute(f"{statement} ORDER BY after.id", {"eraser": eraser})]
