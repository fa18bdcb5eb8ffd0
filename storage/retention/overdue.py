"""Visits that nobody has cancelled or completed: they keep what is known of a family, however old they are."""

from datetime import datetime, timedelta
from functools import lru_cache

import sqlalchemy as sa

from storage.database import Database
from storage.errors import DatabaseUnusable
from storage.events.appending import VISITS
from storage.instants import stored
from storage.models import PENDING
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.retention.purging import sentence_of


async def describe_overdue(database: Database, days: int, now: datetime) -> list[str]:
    """Say how many visits are pending whose time passed so many days ago; say nothing where there are none."""
    try:
        rows = await database.fetch(_overdue(database.dialect), {"cutoff": stored(now - timedelta(days=days))})
    except DatabaseUnusable as error:
        # What was wiped is said all the same.
        return [f"How many visits are pending though the time has passed as long ago cannot be told: {sentence_of(error)}"]
    number = int(rows[0][0] or 0)
    if not number:
        return []
    visits = "1 visit is" if number == 1 else f"{number:,} visits are"
    return [
        f"{visits} pending though the time has passed as long ago. Nothing of that is wiped: cancel or complete what is over."
    ]


@lru_cache
def _overdue(dialect: Dialect) -> Statement:
    is_before = VISITS.c.date_time < sa.bindparam("cutoff", type_=VISITS.c.date_time.type)
    # What the source has anonymized has nothing to lose.
    conditions = (PENDING, is_before, VISITS.c.anonymized.is_(None))
    return compiled(dialect, sa.select(sa.func.count()).select_from(VISITS).where(*conditions))
