"""Marks of wipes in the database itself, so that no end of a process loses that files are still to be purged after them."""

from datetime import datetime
from functools import lru_cache, partial
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from storage.database import Database
from storage.identifiers import new_identifier
from storage.models import UnpurgedWipe, table_of
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

MARKS = table_of(UnpurgedWipe)
# IDs of one statement.
SOME = 500


def mark(session: Session, now: datetime) -> None:
    """Note in the transaction of a wipe that it is one, once. Each has a row of its own, so that none waits for another."""
    if session.info.get(MARKS.name):
        return
    session.info[MARKS.name] = True
    session.connection().execute(sa.insert(MARKS).values(id=new_identifier(now)))


async def unpurged(database: Database) -> list[str]:
    """Return the marks of wipes that nobody has purged files after."""
    rows: Any = await database.fetch(_select(database.dialect), {})
    return [row[0] for row in rows]


async def remove_marks(database: Database, marks: list[str]) -> None:
    for start in range(0, len(marks), SOME):
        await database.write(partial(_remove, marks[start : start + SOME]))


def _remove(marks: list[str], session: Session) -> None:
    session.connection().execute(sa.delete(MARKS).where(MARKS.c.id.in_(marks)))


@lru_cache
def _select(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(MARKS.c.id))
