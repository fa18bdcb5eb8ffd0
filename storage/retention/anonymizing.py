"""Anonymizing by age: visits that were closed long ago, a batch at a time, so that others read and write meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from storage.database import Database, Progress, Remains, Wiped
from storage.errors import DatabaseBusy, DatabaseUnusable, WriteInDoubt
from storage.events.appending import EVENTS, VISITS
from storage.instants import stored
from storage.outbox.mailroom import FOLDER
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.retention import wiping
from storage.retention.followed import require_not_followed
from storage.retention.purging import purge, sentence_of
from storage.retention.retrying import MAX_RETRIES, RETRY_SECONDS
from storage.retention.unneeded import wipe_all_unneeded

ACTOR = "retention"
# A batch holds the write lock: neither many visits nor those with long notes may make it long.
BATCH = 50
CHARACTERS = 100_000
PAUSE_SECONDS = 0.02
# Visits are looked for among so many numbers at once: from a slow disk each may take a moment.
WINDOW = 2_000


class Anonymized(NamedTuple):
    """What was wiped, letters too, how many visits are left for the next time, and where some of it may still be."""

    wiped: Wiped
    letters: int
    left: int
    remains: Remains

    @property
    def is_done(self) -> bool:
        return not self.left and self.remains.is_done


async def anonymize(
    database: Database,
    days: int,
    clock: Callable[[], datetime],
    *,
    progress: Progress | None = None,
    mail: Path = FOLDER,
) -> Anonymized:
    """Wipe what visits hold of people that were closed so many days ago, then what files still hold of it.

    Each batch is a transaction, marked as a wipe. Where this ends early, what was wiped stays so, and a repeat completes it.
    Raises DatabaseUnusable where that was so before anything was wiped, and NotHere where an account is followed.
    """
    await require_not_followed(database)
    wiping_visits = _Wiping(database, clock() - timedelta(days=days), clock)
    obstacles = Remains()
    try:
        await wiping_visits.run(progress)
        await wiping_visits.run_on_families()
    except DatabaseUnusable as error:
        if not any(wiping_visits.wiped):
            raise
        obstacles = Remains((f"Not all were looked at: {sentence_of(error)} Run it again.",))
    if people := wiping_visits.left_people:
        in_use = f"Care enquiries and contacts that were in use, and are left: {people:,}. Run it again."
        obstacles = obstacles.plus(Remains((in_use,)))
    letters = await purge(database, mail)
    return Anonymized(wiping_visits.wiped, letters.letters, sum(wiping_visits.left.values()), obstacles.plus(letters.remains))


class _Wiping:
    """`wiped` is what was wiped so far, `left` the batches in which visits were in use, by their IDs, and how many were.

    `left_people` is how many care enquiries and contacts were.
    """

    def __init__(self, database: Database, cutoff: datetime, clock: Callable[[], datetime]) -> None:
        self.wiped = Wiped()
        self.left = dict[tuple[str, ...], int]()
        self.left_people = 0
        self._database = database
        self._cutoff = cutoff
        self._clock = clock

    async def run(self, progress: Progress | None) -> None:
        async for rows in due_visits(self._database, self._cutoff, progress):
            for batch in batches(rows):
                await self._wipe(batch)
        for _ in range(MAX_RETRIES):
            if not self.left:
                return
            await asyncio.sleep(RETRY_SECONDS)
            left, self.left = self.left, {}
            for batch in left:
                await self._wipe(batch)

    async def run_on_families(self) -> None:
        async for wiped, in_use in wipe_all_unneeded(self._database, self._cutoff, self._clock):
            self.wiped = self.wiped.plus(wiped)
            self.left_people += in_use

    async def _wipe(self, ids: tuple[str, ...]) -> None:
        try:
            wiped, in_use = await self._database.write(lambda session: self._wipe_due(session, ids))
        except (DatabaseBusy, WriteInDoubt):
            self.left[ids] = len(ids)
        else:
            self.wiped = self.wiped.plus(wiped)
            if in_use:
                self.left[ids] = in_use
        # Whoever waits for the lock gets it now.
        await asyncio.sleep(PAUSE_SECONDS)

    def _wipe_due(self, session: Session, ids: tuple[str, ...]) -> tuple[Wiped, int]:
        return wiping.wipe_due(session, ids, self._cutoff, ACTOR, self._clock())


def batches(rows: list[Any]) -> Iterator[tuple[str, ...]]:
    """Yield the IDs of visits, so many together that they hold some characters at most, or of one."""
    batch, characters = list[str](), 0
    for _, id, _, _, length in rows:
        if batch and characters + length > CHARACTERS:
            yield tuple(batch)
            batch, characters = [], 0
        batch.append(id)
        characters += length
    yield tuple(batch)


async def due_visits(database: Database, cutoff: datetime, progress: Progress | None = None) -> AsyncIterator[list[Any]]:
    """Yield number, ID, care enquiry, contact and length of visits that are due, some at a time; `progress` counts numbers."""
    found: Any = await database.fetch(_last_number(database.dialect), {})
    last, after, window = found[0][0] or 0, 0, WINDOW
    while after < last:
        until = after + window
        try:
            values = {"after": after, "until": until, "cutoff": stored(cutoff)}
            rows: Any = await database.fetch(_due(database.dialect), values)
        except DatabaseBusy:
            if window <= BATCH:
                raise
            window = max(BATCH, window // 4)
            continue
        if rows:
            yield rows
        after = rows[-1][0] if len(rows) == BATCH else until
        if progress:
            progress(min(after, last), last)


@lru_cache
def _last_number(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(sa.func.max(VISITS.c.number)))


@lru_cache
def _due(dialect: Dialect) -> Statement:
    after, until = (sa.bindparam(name, type_=VISITS.c.number.type) for name in ("after", "until"))
    columns = (VISITS.c[name] for name in ("number", "id", "care_enquiry", "service_user_contact"))
    changes = sa.func.coalesce(sa.func.sum(sa.func.length(sa.cast(EVENTS.c.changes, sa.Text))), sa.literal_column("0"))
    of_events = sa.select(changes).where(EVENTS.c.home_visit == VISITS.c.id).scalar_subquery()
    length = sa.func.length(VISITS.c.notes) + sa.func.length(VISITS.c.notes_folded) + of_events
    query = sa.select(*columns, length).where(VISITS.c.number > after, VISITS.c.number <= until, wiping.is_due())
    # Without an offset of our own SQLAlchemy adds one as a parameter.
    return compiled(dialect, query.order_by(VISITS.c.number).limit(sa.literal_column(str(BATCH))).offset(sa.literal_column("0")))
