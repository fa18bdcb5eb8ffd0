"""Moves everything from one database to another: every ID, number and time as it was, whatever the two are.

The target is marked while it is filled, and used for nothing else: a move that was killed goes on where it was. Nobody writes to
the source meanwhile, and in the end all rows of both are compared.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from storage import migrations
from storage.database import Database, Progress, opened, run_with
from storage.errors import DatabaseUnusable, UnfinishedMove
from storage.models import metadata
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

ROWS = 2_000
# Of their letters and digits alone, which every collation sorts alike.
ID_LENGTH = 24
# In a target until everything is there: from where, and at which step of the tables.
MARKS = sa.Table(migrations.UNFINISHED_MOVE, sa.MetaData(), sa.Column("source", sa.String), sa.Column("step", sa.String))

Batches = AsyncGenerator[Sequence[Any], None]


def move_to(target: Database, source: Database, progress: Progress | None = None) -> int:
    """Move between databases that are not open; return how many rows there are.

    Raises DatabaseUnusable where somebody has the source open, or where the target holds anything but what a move from this
    source left, or brought.
    """
    if str(source) == str(target):
        raise DatabaseUnusable(f"{source} cannot be moved to itself: name another database by --to.")
    if user := source.other_user():
        raise DatabaseUnusable(f"{source} is in use by {user}. Stop it first: what it wrote from now on would not be moved.")
    if obstacle := target.obstacle():
        raise DatabaseUnusable(f"{obstacle}.")
    with suppress(UnfinishedMove):
        target.migrate()
    return run_with(source, lambda source: opened(target, partial(move, source, progress=progress)))


async def move(source: Database, target: Database, progress: Progress | None = None) -> int:
    """Copy what `target` has not yet, then compare both; return how many rows there are. `progress` counts each row twice."""
    # Each imports its tables where it is used.
    import storage.api_keys  # noqa: PLC0415 - its table belongs to what is moved
    import storage.carehq.live.intents  # noqa: PLC0415 - and so do these
    import storage.carehq.live.progress  # noqa: PLC0415
    import storage.outbox.messages  # noqa: F401, PLC0415
    from storage.events.numbering import number_events  # noqa: PLC0415 - only this needs it

    await number_events(source)  # SQLite numbers none that is there
    tables = metadata.sorted_tables
    async with source.frozen():
        bar = _Bar(sum([await _count(source, table) for table in tables]), progress)
        marked = await target.write(partial(_mark, tables, str(source), str(target)))
        if marked:
            async with target.filling() as insert:
                for table in tables:
                    bar.add(await _count(target, table))
                    async with aclosing(_ahead(_rows_after(source, table, await _last_key(target, table)))) as batches:
                        async for rows in batches:
                            await insert(table, rows)
                            bar.add(len(rows))
            await target.number_on()
        for table in tables:
            await _require_same(source, target, table, bar)
        if marked:
            await target.write(lambda session: MARKS.drop(session.connection()))
    return bar.total


class _Bar:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total = total
        self._done = 0
        self._progress = progress

    def add(self, rows: int) -> None:
        self._done += rows
        if self._progress:
            self._progress(self._done, 2 * self.total)


def _mark(tables: Sequence[sa.Table], source: str, target: str, session: Session) -> bool:
    """Mark the target as one to be filled; return whether it is: one that is not marked and not empty may be there already."""
    connection = session.connection()
    if sa.inspect(connection).has_table(MARKS.name):
        mark = connection.execute(sa.select(MARKS)).one()
        if mark != (source, migrations.HEAD):
            raise DatabaseUnusable(
                f"{target} holds what a move from {mark.source} left, with the tables of step {mark.step}. "
                "Finish that with the same version of this program, or name an empty database."
            )
        return True
    if any(connection.scalar(sa.select(sa.exists().select_from(table))) for table in tables):
        return False
    MARKS.create(connection)
    connection.execute(MARKS.insert().values(source=source, step=migrations.HEAD))
    return True


async def _require_same(source: Database, target: Database, table: sa.Table, bar: _Bar) -> None:
    """Raise DatabaseUnusable where a row of the table differs, or is missing in one of the two."""
    async with (
        aclosing(_ahead(_rows_after(source, table, None))) as batches,
        aclosing(_ahead(_rows_after(target, table, None))) as copies,
    ):
        async for rows in batches:
            copied: Sequence[Any] = await anext(copies, ())
            if len(rows) != len(copied) or any(tuple(row) != tuple(copy) for row, copy in zip(rows, copied, strict=True)):
                raise DatabaseUnusable(_difference(source, target, table))
            bar.add(len(rows))
        if await anext(copies, None) is not None:
            raise DatabaseUnusable(_difference(source, target, table))


def _difference(source: Database, target: Database, table: sa.Table) -> str:
    return (
        f"{target} is not empty, and differs from {source} in {table.name}: name an empty database to move to. "
        f"{source} is as it was."
    )


async def _count(database: Database, table: sa.Table) -> int:
    rows: Sequence[Any] = await database.fetch(compiled(database.dialect, sa.select(sa.func.count()).select_from(table)), {})
    return int(rows[0][0])


async def _last_key(database: Database, table: sa.Table) -> tuple[Any, ...] | None:
    order = [key.desc() for key in _order(database.dialect, table)]
    query = _first(sa.select(*table.primary_key.columns).order_by(*order), 1)
    rows: Sequence[Any] = await database.fetch(compiled(database.dialect, query), {})
    return tuple(rows[0]) if rows else None


async def _rows_after(database: Database, table: sa.Table, last: tuple[Any, ...] | None) -> Batches:
    """Yield all rows of a table after a key, some at a time, in the order of their keys."""
    positions = [list(table.columns).index(key) for key in table.primary_key.columns]
    while True:
        values = {f"last_{index}": value for index, value in enumerate(last or ())}
        rows: Sequence[Any] = await database.fetch(_next_rows(database.dialect, table, first=last is None), values)
        if rows:
            yield rows
        if len(rows) < ROWS:
            return
        last = tuple(rows[-1][position] for position in positions)


async def _ahead(batches: Batches) -> Batches:
    """Read the next batch while one is being used."""
    reading = asyncio.ensure_future(anext(batches, None))
    try:
        while (rows := await reading) is not None:
            reading = asyncio.ensure_future(anext(batches, None))
            yield rows
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


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
