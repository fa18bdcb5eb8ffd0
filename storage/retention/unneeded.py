"""Care enquiries and contacts whom no visit needs any more, found by how things are, whoever has wiped their visits, or when."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

import sqlalchemy as sa

from storage.database import Database, Wiped
from storage.errors import DatabaseBusy, WriteInDoubt
from storage.instants import stored
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.retention import wiping
from storage.retention.wiping import CONTACTS, ENQUIRIES

# Records that one statement goes through: from a slow disk each may take a moment.
ROWS = 2_000
FEWEST_ROWS = 50
# A batch holds the write lock.
BATCH = 50
PAUSE_SECONDS = 0.02


async def wipe_all_unneeded(
    database: Database, cutoff: datetime, clock: Callable[[], datetime]
) -> AsyncIterator[tuple[Wiped, int]]:
    """Wipe those whom no batch of visits names: erased ones, those that an import has anonymized, or moved elsewhere.

    Yield after each batch, which is a transaction, what was wiped in it, and how many are left as others use them just now.
    """
    for table in (ENQUIRIES, CONTACTS):
        async for ids in unneeded(database, table, cutoff):
            for start in range(0, len(ids), BATCH):
                batch = ids[start : start + BATCH]
                try:
                    yield await database.write(partial(_wipe_batch, table, batch, cutoff, clock)), 0
                except (DatabaseBusy, WriteInDoubt):
                    yield Wiped(), len(batch)
                # Whoever waits for the lock gets it now.
                await asyncio.sleep(PAUSE_SECONDS)


def _wipe_batch(table: sa.Table, ids: list[str], cutoff: datetime, clock: Callable[[], datetime], session: Any) -> Wiped:
    enquiries, contacts = (ids, []) if table is ENQUIRIES else ([], ids)
    return wiping.wipe_unneeded(session, enquiries, contacts, cutoff, clock())


async def unneeded(database: Database, table: sa.Table, cutoff: datetime, *, after_wipe: bool = True) -> AsyncIterator[list[str]]:
    """Yield the IDs of care enquiries that no visit needs, or of contacts of wiped ones, some at a time."""
    after, limit, values = "", ROWS, {"cutoff": stored(cutoff)}
    while True:
        try:
            rows: Any = await database.fetch(_flagged(database.dialect, table, after_wipe, limit), values | {"after": after})
        except DatabaseBusy:
            if limit <= FEWEST_ROWS:
                raise
            limit = max(FEWEST_ROWS, limit // 4)
            continue
        if ids := [id for id, is_unneeded in rows if is_unneeded]:
            yield ids
        if len(rows) < limit:
            return
        after = rows[-1][0]


@lru_cache
def _flagged(dialect: Dialect, table: sa.Table, after_wipe: bool, limit: int) -> Statement:
    """Select the next records that are not wiped, each with 1 where nobody needs it: so each takes as long as any other."""
    is_unneeded = wiping.is_unneeded(table, after_wipe=after_wipe)
    if table is CONTACTS:
        is_of_family = sa.and_(ENQUIRIES.c.id == CONTACTS.c.care_enquiry, ENQUIRIES.c.anonymized.is_not(None))
        is_unneeded = sa.and_(sa.exists(sa.select(ENQUIRIES.c.id).where(is_of_family).correlate(CONTACTS)), is_unneeded)
    flag = sa.case((is_unneeded, sa.literal_column("1")), else_=sa.literal_column("0"))
    after = sa.bindparam("after", type_=sa.String())
    query = sa.select(table.c.id, flag).where(table.c.id > after, table.c.anonymized.is_(None)).order_by(table.c.id)
    return compiled(dialect, query.limit(sa.literal_column(str(limit))).offset(sa.literal_column("0")))
