"""Folds the names that an older version has written, a batch at a time, from wherever it came to before."""

import asyncio
import time
from functools import lru_cache, partial

import sqlalchemy as sa
from sqlmodel import Session

from storage.database import Database, Progress
from storage.models import UNFOLDED, CareEnquiry, Location, ServiceUserContact, User, table_of
from storage.names import folded_columns
from storage.queries.dialect import Dialect, dialect_of
from storage.queries.statements import Statement, compiled
from storage.refolding import refold_all_notes

# A batch holds the write lock.
BATCH = 700

# A form shows users and locations first, and there are few of them.
TABLES = tuple(table_of(model) for model in (User, Location, CareEnquiry, ServiceUserContact))


async def fold_what_is_left(database: Database, progress: Progress | None = None) -> int:
    """Fold the names, then the notes, that an older version has left; return how many changed."""
    return await fold_all_names(database, progress) + await refold_all_notes(database, progress)


async def fold_all_names(database: Database, progress: Progress | None = None, *, share: float = 1.0) -> int:
    """Fold what is left to be; return how many records that were. `share` is the part of the time that it may take.

    Until then they are listed behind all others, and no search finds them. Others write between two batches.
    """
    rows = await database.fetch(_unfolded(database.dialect), {})
    total, done = int(rows[0][0] or 0), 0
    for table in TABLES if total else ():
        started = time.monotonic()
        while batch := await database.write(partial(_fold_batch, table)):
            done += batch
            if progress:
                progress(done, max(done, total))
            await asyncio.sleep((time.monotonic() - started) * (1 / share - 1))
            started = time.monotonic()
    return done


@lru_cache
def _unfolded(dialect: Dialect) -> Statement:
    """Count the records whose names are not folded yet."""
    counts = [sa.select(sa.func.count()).select_from(table).where(UNFOLDED).scalar_subquery() for table in TABLES]
    return compiled(dialect, sa.select(counts[0] + counts[1] + counts[2] + counts[3]))


def _fold_batch(table: sa.Table, session: Session) -> int:
    """Fold the next names of a table; return how many there were."""
    connection = session.connection()
    unfolded = sa.select(table).where(UNFOLDED).order_by(table.c.id).limit(BATCH).with_for_update()
    rows = map(dict, connection.execute(unfolded).mappings())
    folded = [{"of": row["id"], **folded_columns(row)} for row in rows]
    if folded:
        dialect_of(session).index_new(session, table, [(row["of"], row["search_folded"]) for row in folded])
        connection.execute(sa.update(table).where(table.c.id == sa.bindparam("of")), folded)
    return len(folded)
