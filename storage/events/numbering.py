"""Numbers for events, 1 to n without a gap, where a transaction cannot take one without stopping all others."""

import asyncio
import contextlib
from functools import partial
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlmodel import Session

from storage.database import Database, Progress
from storage.errors import DatabaseUnusable
from storage.events.appending import EVENTS
from storage.queries.dialect import Dialect
from storage.queries.statements import compiled
from storage.writes import WriteState

# A batch holds the lock under which all number: for some milliseconds as a rule, for a quarter of a second where much waits.
BATCH, BACKLOG_BATCH = 1_000, 5_000
# After these, or after so long, a read goes on with what has a number.
BATCHES_OF_A_READ = 3
READ_WAIT_SECONDS = 2.0
INTERVAL_SECONDS = 1.0

_running: WeakKeyDictionary[Database, asyncio.Task[None]] = WeakKeyDictionary()


def any_unnumbered(dialect: Dialect) -> sa.ColumnElement[bool]:
    """Hold where an event that is committed waits for its number."""
    if not dialect.numbers_after_commit:
        return sa.literal_column("0")
    return sa.select(sa.literal_column("1")).where(EVENTS.c.sequence.is_(None)).exists()


async def number_events(database: Database, batches: int | None = None, progress: Progress | None = None) -> int:
    """Number what was committed before this was called, in so many batches at most; return how many there were."""
    if not database.dialect.numbers_after_commit:
        return 0
    total = await _count_unnumbered(database) if progress else 0
    numbered, limit = 0, BATCH
    while batches is None or batches > 0:
        # With a state it ends in time: a read waits for it.
        state = None if batches is None else WriteState()
        found = await database.write(partial(_number, database.dialect, limit), state)
        numbered += found
        if progress and found:
            progress(numbered, max(total, numbered))
        if found < limit:
            break
        limit, batches = BACKLOG_BATCH, None if batches is None else batches - 1
    return numbered


async def number_for_read(database: Database) -> bool:
    """Number what waits, together with whoever else reads now; return whether that had begun before.

    Raises TimeoutError for what cannot be numbered now, as somebody hangs who has the lock, or the database: it is read later,
    the feed shows what has a number.
    """
    task = _running.get(database)
    began_before = task is not None
    if task is None:
        task = _running[database] = asyncio.ensure_future(_number_some(database))
        task.add_done_callback(lambda _task: _running.pop(database, None))
    done, _ = await asyncio.wait({task}, timeout=READ_WAIT_SECONDS)
    if not done:
        raise TimeoutError
    task.result()
    return began_before


async def keep_numbered(database: Database) -> None:
    """Number once a second what nobody has read: whoever reads finds little to do."""
    if not database.dialect.numbers_after_commit:
        await asyncio.Event().wait()
    waiting = compiled(database.dialect, sa.select(any_unnumbered(database.dialect)))
    while True:
        with contextlib.suppress(DatabaseUnusable):
            rows = await database.fetch(waiting, {})
            if rows[0][0]:
                await number_events(database)
        await asyncio.sleep(INTERVAL_SECONDS)


def _number(dialect: Dialect, limit: int, session: Session) -> int:
    return dialect.number_events(session, limit)


async def _number_some(database: Database) -> None:
    with contextlib.suppress(DatabaseUnusable):
        await number_events(database, BATCHES_OF_A_READ)


async def _count_unnumbered(database: Database) -> int:
    query = sa.select(sa.func.count()).select_from(EVENTS).where(EVENTS.c.sequence.is_(None))
    rows = await database.fetch(compiled(database.dialect, query), {})
    return int(rows[0][0] or 0)
