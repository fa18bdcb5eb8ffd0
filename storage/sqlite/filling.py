"""Fills an empty database fast: without the indexes of visits and events, which are built afterwards."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import Session

from storage.errors import DatabaseBusy
from storage.queries.statements import Row
from storage.sqlite import people
from storage.sqlite.connecting import EVERY_CONNECTION, apply, connected
from storage.sqlite.indexes import indexes_built_after

if TYPE_CHECKING:
    from storage.database import Database, Insert


@asynccontextmanager
async def filling(database: "Database") -> AsyncIterator["Insert"]:
    async def insert(table: sa.Table, rows: Sequence[Row]) -> None:
        await database.write(partial(_insert, table, rows))

    async with indexes_built_after(database, large=True):
        yield insert
    await database.optimize()


def _insert(table: sa.Table, rows: Sequence[Row], session: Session) -> None:
    if "search_folded" in table.c:
        text = list(table.c.keys()).index("search_folded")
        people.index_new(session, table.name, [(str(row[0]), str(row[text] or "")) for row in rows])
    names, marks = ", ".join(table.c.keys()), ", ".join("?" * len(table.c))
    insert = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
    session.connection().exec_driver_sql(insert, [tuple(row) for row in rows])


@asynccontextmanager
async def frozen(path: Path) -> AsyncIterator[None]:
    """Have the write lock until the block ends; others read."""
    with closing(connected(path, "rw", check_same_thread=False)) as connection:
        apply(connection, EVERY_CONNECTION)
        try:
            await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            raise DatabaseBusy from None
        yield
        connection.execute("ROLLBACK")
