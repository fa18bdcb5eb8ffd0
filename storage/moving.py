"""Moves everything from one database to another: every ID, number and time as it was, whatever the two are."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from storage.database import Database, Progress, opened
from storage.errors import DatabaseUnusable
from storage.events.numbering import number_events
from storage.models import metadata
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

ROWS = 2_000
# Of their letters and digits alone, which every collation sorts alike.
ID_LENGTH = 24


async def open_and_move(target: Database, source: Database, progress: Progress | None = None) -> int:
    """Move to a database that is not open."""
    return await opened(target, partial(move, source, progress=progress))


async def move(source: Database, target: Database, progress: Progress | None = None) -> int:
    """Copy what `target` has not yet, then compare both; return how many rows there are.

    One that was ended goes on where it was. Raises DatabaseUnusable where the two differ in the end: somebody wrote meanwhile.
    """
    # Each imports its tables where it is used.
    import storage.outbox.messages  # noqa: F401, PLC0415 - its table belongs to what is moved

    await number_events(source)  # SQLite numbers none that is there
    tables = metadata.sorted_tables
    async with target.importing(large=True):
        total = await _copy(source, target, tables, progress)
    await target.number_on()
    for table in tables:
        await _require_same(source, target, table)
    await target.optimize()
    return total


async def _copy(source: Database, target: Database, tables: Sequence[sa.Table], progress: Progress | None) -> int:
    total = sum([await _count(source, table) for table in tables])
    moved = 0
    for table in tables:
        last = await _last_key(target, table)
        moved += await _count(target, table)
        async for rows in _rows_after(source, table, last):
            await target.write(partial(_insert, target.dialect, table, rows))
            moved += len(rows)
            if progress:
                progress(moved, total)
    return total


async def _require_same(source: Database, target: Database, table: sa.Table) -> None:
    copies = _rows_after(target, table, None)
    async for rows in _rows_after(source, table, None):
        copied: Sequence[Any] = await anext(copies, ())
        for row, copy in zip(rows, copied, strict=False):
            if tuple(row) != tuple(copy):
                raise DatabaseUnusable(_changed(table))
        if len(rows) != len(copied):
            raise DatabaseUnusable(_changed(table))
    if await anext(copies, None) is not None:
        raise DatabaseUnusable(_changed(table))


def _changed(table: sa.Table) -> str:
    return f"The two databases differ in {table.name}: stop what writes to the first, empty the second, and move again."


async def _count(database: Database, table: sa.Table) -> int:
    rows: Sequence[Any] = await database.fetch(compiled(database.dialect, sa.select(sa.func.count()).select_from(table)), {})
    return int(rows[0][0])


async def _last_key(database: Database, table: sa.Table) -> tuple[Any, ...] | None:
    order = [key.desc() for key in _order(database.dialect, table)]
    query = _first(sa.select(*table.primary_key.columns).order_by(*order), 1)
    rows: Sequence[Any] = await database.fetch(compiled(database.dialect, query), {})
    return tuple(rows[0]) if rows else None


async def _rows_after(database: Database, table: sa.Table, last: tuple[Any, ...] | None) -> AsyncIterator[Sequence[Any]]:
    positions = [list(table.columns).index(key) for key in table.primary_key.columns]
    while True:
        values = {f"last_{index}": value for index, value in enumerate(last or ())}
        rows: Sequence[Any] = await database.fetch(_next_rows(database.dialect, table, first=last is None), values)
        if rows:
            yield rows
        if len(rows) < ROWS:
            return
        last = tuple(rows[-1][position] for position in positions)


def _order(dialect: Dialect, table: sa.Table) -> list[sa.ColumnElement[Any]]:
    """Return the keys of a table so that every database sorts by them alike."""
    return [
        dialect.by_code_points(key) if isinstance(key.type, sa.String) and key.type.length != ID_LENGTH else key
        for key in table.primary_key.columns
    ]


def _first(query: sa.Select[Any], rows: int) -> sa.Select[Any]:
    # Without an offset of our own SQLAlchemy adds one as a parameter.
    return query.limit(sa.literal_column(str(rows))).offset(sa.literal_column("0"))


def _next_rows(dialect: Dialect, table: sa.Table, *, first: bool) -> Statement:
    keys = _order(dialect, table)
    query = _first(sa.select(table).order_by(*keys), ROWS)
    if not first:
        bounds = [sa.bindparam(f"last_{index}", type_=key.type) for index, key in enumerate(keys)]
        query = query.where(sa.tuple_(*keys) > sa.tuple_(*bounds) if len(keys) > 1 else keys[0] > bounds[0])
    return compiled(dialect, query)


def _insert(dialect: Dialect, table: sa.Table, rows: Sequence[Any], session: Session) -> None:
    dialect.insert_rows(session, table, rows)
