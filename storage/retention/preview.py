"""What anonymizing would wipe, counted without a write."""

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from storage.database import Database, Progress, Wiped
from storage.events.appending import VISITS
from storage.instants import stored
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.retention.anonymizing import due_visits
from storage.retention.finding import CONTACTS, ENQUIRIES
from storage.retention.wiping import is_due

# IDs of one statement.
SOME = 500


async def preview(database: Database, days: int, now: datetime, progress: Progress | None = None) -> Wiped:
    """Return what `anonymize` would wipe now."""
    cutoff, visits = now - timedelta(days=days), 0
    enquiries, contacts = set[str](), set[str]()
    async for rows in due_visits(database, cutoff, progress):
        visits += len(rows)
        enquiries.update(row[2] for row in rows)
        contacts.update(row[3] for row in rows if row[3] is not None)
    values = {"cutoff": stored(cutoff)}
    enquiries = await _chosen(database, _unneeded(database.dialect, ENQUIRIES, VISITS.c.care_enquiry), enquiries, values)
    contacts |= await _chosen(database, _contacts(database.dialect), enquiries, {})
    contacts = await _chosen(database, _unneeded(database.dialect, CONTACTS, VISITS.c.service_user_contact), contacts, values)
    return Wiped(visits, len(enquiries), len(contacts))


async def _chosen(database: Database, statement: Statement, ids: Collection[str], values: dict[str, Any]) -> set[str]:
    found, ordered = set[str](), sorted(ids)
    for start in range(0, len(ordered), SOME):
        some = database.dialect.list_value(ordered[start : start + SOME])
        rows: Any = await database.fetch(statement, values | {"ids": some})
        found.update(row[0] for row in rows)
    return found


@lru_cache
def _unneeded(dialect: Dialect, table: sa.Table, reference: sa.Column[Any]) -> Statement:
    """Select those of some records that are not wiped, and that no visit refers to which would be left."""
    is_left = sa.and_(reference == table.c.id, VISITS.c.anonymized.is_(None), ~sa.func.coalesce(is_due(), sa.false()))
    is_needed = sa.exists(sa.select(sa.literal_column("1")).select_from(VISITS).where(is_left))
    return compiled(
        dialect, sa.select(table.c.id).where(dialect.is_member(table.c.id, "ids"), table.c.anonymized.is_(None), ~is_needed)
    )


@lru_cache
def _contacts(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(CONTACTS.c.id).where(dialect.is_member(CONTACTS.c.care_enquiry, "ids")))
