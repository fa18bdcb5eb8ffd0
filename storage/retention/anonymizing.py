"""Anonymizing by age: visits that were closed long ago, a batch at a time, so that others read and write meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.database import Database, Progress, Wiped
from storage.errors import DatabaseBusy
from storage.events.appending import VISITS
from storage.instants import stored
from storage.outbox.mailroom import FOLDER
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.retention import wiping
from storage.retention.letters import remove_letters
from storage.retention.unneeded import wipe_all_unneeded

ACTOR = "retention"
# A batch holds the write lock.
BATCH = 50
PAUSE_SECONDS = 0.02
# Visits are looked for among so many numbers at once.
WINDOW = 20_000
# Where a letter is under way, or all wait for each other.
RETRY_SECONDS = 1.0
MAX_RETRIES = 90


class Anonymized(NamedTuple):
    """What was wiped, how many visits are left for the next time, and where some of it may still be."""

    wiped: Wiped
    left: int
    remains: list[str]


async def anonymize(
    database: Database,
    days: int,
    clock: Callable[[], datetime],
    *,
    progress: Progress | None = None,
    mail: Path = FOLDER,
    purge_always: bool = True,
) -> Anonymized:
    """Wipe what visits hold of people that were closed so many days ago, then what files still hold of it.

    Each batch is a transaction. What was wiped stays so where this ends early, and a repeat completes it: so files are purged
    even where nothing was wiped, unless it is known that none was killed (`purge_always`).
    """
    wiped, left = Wiped(), 0
    cutoff = clock() - timedelta(days=days)
    for retry in range(MAX_RETRIES):
        if retry:
            await asyncio.sleep(RETRY_SECONDS)
        left = 0
        async for rows in due_visits(database, cutoff, progress):
            work = partial(_wipe_batch, [row[1] for row in rows], cutoff, clock)
            try:
                batch, in_use = await database.write(work)
            except DatabaseBusy:
                left += len(rows)
            else:
                wiped, left = wiped.plus(batch), left + in_use
            # Whoever waits for the lock gets it now.
            await asyncio.sleep(PAUSE_SECONDS)
        if not left:
            break
    async for unneeded in wipe_all_unneeded(database, cutoff, clock):
        wiped = wiped.plus(unneeded)
    await remove_letters(database, mail)
    return Anonymized(wiped, left, await database.purge() if purge_always or any(wiped) else [])


async def due_visits(database: Database, cutoff: datetime, progress: Progress | None = None) -> AsyncIterator[list[Any]]:
    """Yield number, ID, care enquiry and contact of the visits that are due, some at a time; `progress` counts numbers."""
    found: Any = await database.fetch(_last_number(database.dialect), {})
    last, after, statement = found[0][0] or 0, 0, _due(database.dialect)
    while after < last:
        until = after + WINDOW
        rows: Any = await database.fetch(statement, {"after": after, "until": until, "cutoff": stored(cutoff)})
        if rows:
            yield rows
        after = rows[-1][0] if len(rows) == BATCH else until
        if progress:
            progress(min(after, last), last)


def _wipe_batch(ids: list[str], cutoff: datetime, clock: Callable[[], datetime], session: Any) -> tuple[Wiped, int]:
    return wiping.wipe_due(session, ids, cutoff, ACTOR, clock())


@lru_cache
def _last_number(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(sa.func.max(VISITS.c.number)))


@lru_cache
def _due(dialect: Dialect) -> Statement:
    after, until = (sa.bindparam(name, type_=VISITS.c.number.type) for name in ("after", "until"))
    columns = (VISITS.c[name] for name in ("number", "id", "care_enquiry", "service_user_contact"))
    query = sa.select(*columns).where(VISITS.c.number > after, VISITS.c.number <= until, wiping.is_due())
    # Without an offset of our own SQLAlchemy adds one as a parameter.
    return compiled(dialect, query.order_by(VISITS.c.number).limit(sa.literal_column(str(BATCH))).offset(sa.literal_column("0")))
