"""The indexes of visits and events: a large first import takes a third of the time when they are built once, after it."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, DropIndex
from sqlmodel import Session

from storage.models import NUMBERING_INDEXES, metadata
from storage.sqlite.connecting import EVERY_CONNECTION, apply, connected
from storage.sqlite.dialect import DIALECT

if TYPE_CHECKING:
    from storage.database import Database

VISITS = metadata.tables["home_visits"]
EVENTS = metadata.tables["home_visit_events"]
INDEXES: set[sa.Index] = VISITS.indexes | EVENTS.indexes
REBUILT = {index for index in INDEXES if index.name not in NUMBERING_INDEXES}


@asynccontextmanager
async def indexes_built_after(database: "Database", *, large: bool) -> AsyncIterator[None]:
    """Drop the indexes of an empty database while a large import fills it; build those that are missing after any import.

    An import that is killed leaves a database without them, slow but right: the next import of whatever size builds them, and
    so does the next start.
    """
    if large:
        await database.write(_drop)
    try:
        yield
    finally:
        for index in await database.write(_missing):
            await database.write(partial(_build, index))


def build_missing(path: Path) -> bool:
    """Build the indexes that an import did without, and could not build because it was killed; return whether there were any."""
    with closing(connected(path, "rw")) as connection:
        present = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")}
        missing = [CreateIndex(index) for index in INDEXES if index.name not in present]
        if not missing:
            return False
        apply(connection, (*EVERY_CONNECTION, "busy_timeout = 0"))
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            return False  # an import that is running builds them at its end
        for statement in missing:
            connection.execute(str(statement.compile(dialect=DIALECT.sqlalchemy)))
        connection.execute("COMMIT")
    return True


def _drop(session: Session) -> None:
    connection = session.connection()
    if connection.scalar(sa.select(sa.exists().select_from(VISITS))):
        return
    for index in REBUILT:
        connection.execute(DropIndex(index, if_exists=True))


def _missing(session: Session) -> list[sa.Index]:
    inspector = sa.inspect(session.connection())
    present = {index["name"] for table in (VISITS, EVENTS) for index in inspector.get_indexes(table.name)}
    return [index for index in INDEXES if index.name not in present]


def _build(index: sa.Index, session: Session) -> None:
    session.connection().execute(CreateIndex(index, if_not_exists=True))
