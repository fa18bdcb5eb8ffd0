"""Fills an empty database fast: by COPY, without indexes, references and triggers, which are made afterwards, as they were."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO
from typing import Any

import sqlalchemy as sa

from storage.database import Insert
from storage.models import metadata
from storage.postgresql.connecting import connect
from storage.queries.statements import Row

# What is to be made again. The statements are PostgreSQL's own, so that nothing comes back otherwise than it was.
LEFT_OUT = "unfinished_move_statements"
INDEXES = """
    SELECT pg_get_indexdef(indexrelid) AS creation, format('DROP INDEX %s', indexrelid::regclass) AS removal FROM pg_index
    WHERE indrelid::regclass::text = ANY($1) AND NOT indisunique
"""
REFERENCES = """
    SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS creation,
        format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS removal
    FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace
"""
TRIGGERS = """
    SELECT DISTINCT format('ALTER TABLE %s ENABLE TRIGGER USER', tgrelid::regclass) AS creation,
        format('ALTER TABLE %s DISABLE TRIGGER USER', tgrelid::regclass) AS removal
    FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY($1)
"""
# For the session that builds an index: the usual 64 MB have that of keywords written out again and again.
MEMORY = "SET maintenance_work_mem = '256MB'"
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


@asynccontextmanager
async def filling(dsn: str) -> AsyncIterator[Insert]:
    """Yield what inserts rows. One that is killed leaves a table of what is still to be made; the next makes that too."""
    connection = await connect(dsn, patient=True)
    try:
        # Of a server that fails now the last rows may be missing: the next move copies them.
        await connection.execute("SET synchronous_commit = off")
        if not await _is_begun(connection):
            await _leave_out(connection)
        yield partial(_copy, connection)
        await _make(dsn, connection)
    finally:
        await connection.close()


async def _is_begun(connection: Any) -> bool:
    return bool(await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", LEFT_OUT))


async def _leave_out(connection: Any) -> None:
    tables = list(metadata.tables)
    async with connection.transaction():
        await connection.execute(f"CREATE TABLE {LEFT_OUT} (statement text NOT NULL)")
        for query, values in ((INDEXES, [tables]), (REFERENCES, []), (TRIGGERS, [tables])):
            for creation, removal in await connection.fetch(query, *values):
                await connection.execute(f"INSERT INTO {LEFT_OUT} VALUES ($1)", creation)  # noqa: S608 - our own name
                await connection.execute(removal)


async def _make(dsn: str, connection: Any) -> None:
    statements = [row[0] for row in await connection.fetch(f"SELECT statement FROM {LEFT_OUT}")]  # noqa: S608 - our own name
    # That of keywords takes longer than all others together, which are built beside it.
    indexes = sorted((text for text in statements if " INDEX " in text), key=lambda text: " gin " in text)
    other = await connect(dsn, patient=True)
    try:
        await asyncio.gather(_make_each(connection, indexes), _make_each(other, indexes))
    finally:
        await other.close()
    # Without statistics a reference is checked row by row.
    await connection.execute("ANALYZE")
    await _make_each(connection, [text for text in statements if " INDEX " not in text])
    await connection.execute(f"DROP TABLE {LEFT_OUT}")


async def _make_each(connection: Any, statements: list[str]) -> None:
    """Run statements from the end of a list that others take from too; each is forgotten as it is done."""
    await connection.execute(MEMORY)
    while statements:
        statement = statements.pop()
        async with connection.transaction():
            await connection.execute(statement)
            await connection.execute(f"DELETE FROM {LEFT_OUT} WHERE statement = $1", statement)  # noqa: S608 - our own name


async def _copy(connection: Any, table: sa.Table, rows: Sequence[Row]) -> None:
    lines = ["\t".join([r"\N" if value is None else str(value).translate(_ESCAPED) for value in row]) for row in rows]
    source = BytesIO(("\n".join(lines) + "\n").encode())
    await connection.copy_to_table(table.name, source=source, columns=table.c.keys(), format="text")
