"""A first import that is large: it takes a third of the time when the indexes are built once, after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, DropIndex
from sqlmodel import Session

from storage.models import metadata
from storage.sqlite.database import Database

LARGE = 1 << 25

VISITS = metadata.tables["home_visits"]
EVENTS = metadata.tables["home_visit_events"]
INDEXES: set[sa.Index] = VISITS.indexes | EVENTS.indexes


@asynccontextmanager
async def indexes_built_after(database: Database, size: int) -> AsyncIterator[None]:
    """Do without indexes while documents of `size` bytes are imported, where that is worth while.

    An import that is killed leaves a database without them, slow but right: the next import of whatever size builds them, and
    so does the next start.
    """
    if size >= LARGE:
        await database.write(_drop)
    try:
        yield
    finally:
        for index in await database.write(_missing):
            await database.write(partial(_build, index))


def _drop(session: Session) -> None:
    connection = session.connection()
    if connection.scalar(sa.select(sa.exists().select_from(VISITS))):
        return
    for index in INDEXES:
        connection.execute(DropIndex(index, if_exists=True))


def _missing(session: Session) -> list[sa.Index]:
    inspector = sa.inspect(session.connection())
    present = {index["name"] for table in (VISITS, EVENTS) for index in inspector.get_indexes(table.name)}
    return [index for index in INDEXES if index.name not in present]


def _build(index: sa.Index, session: Session) -> None:
    session.connection().execute(CreateIndex(index, if_not_exists=True))
