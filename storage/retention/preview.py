"""What anonymizing would wipe, counted without a write."""

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from storage.database import Database, Progress, Wiped
from storage.instants import stored
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.retention.anonymizing import due_visits
from storage.retention.finding import CONTACTS, ENQUIRIES
from storage.retention.unneeded import unneeded
from storage.retention.wiping import is_unneeded

# Of one statement.
IDS = 500


async def preview(database: Database, days: int, now: datetime, progress: Progress | None = None) -> Wiped:
    """Return what `anonymize` would wipe now."""
    cutoff, visits = now - timedelta(days=days), 0
    enquiries, contacts = set[str](), set[str]()
    async for rows in due_visits(database, cutoff, progress):
        visits += len(rows)
        contacts.update(row[3] for row in rows if row[3] is not None)
    async for ids in unneeded(database, ENQUIRIES, cutoff, after_wipe=False):
        enquiries.update(ids)
    contacts |= await _chosen(database, _contacts(database.dialect), enquiries, {})
    contacts = await _chosen(database, _unneeded(database.dialect), contacts, {"cutoff": stored(cutoff)})
    # Those of enquiries that were wiped before.
    async for ids in unneeded(database, CONTACTS, cutoff, after_wipe=False):
        contacts.update(ids)
    return Wiped(visits, len(enquiries), len(contacts))


async def _chosen(database: Database, statement: Statement, ids: Collection[str], values: dict[str, Any]) -> set[str]:
    chosen, ordered = set[str](), sorted(ids)
    for start in range(0, len(ordered), IDS):
        part = database.dialect.list_value(ordered[start : start + IDS])
        rows: Any = await database.fetch(statement, values | {"ids": part})
        chosen.update(row[0] for row in rows)
    return chosen


@lru_cache
def _unneeded(dialect: Dialect) -> Statement:
    """Select those of some contacts that are not wiped, and that no visit refers to which would be left."""
    condition = is_unneeded(CONTACTS, after_wipe=False)
    return compiled(dialect, sa.select(CONTACTS.c.id).where(dialect.is_member(CONTACTS.c.id, "ids"), condition))


@lru_cache
def _contacts(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(CONTACTS.c.id).where(dialect.is_member(CONTACTS.c.care_enquiry, "ids")))
