"""The indexes: built beside writers wherever one is missing or broken; those of visits and events after a large first import."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex

from storage.models import NUMBERING_INDEXES, metadata
from storage.postgresql import keywords
from storage.postgresql.dialect import DIALECT
from storage.postgresql.locks import locked, locked_at_once

REPLACED = frozenset({"home_visits_of_user"})
TABLES = (metadata.tables["home_visits"], metadata.tables["home_visit_events"])


def definitions(tables: Iterable[sa.Table] | None = None) -> dict[str, str]:
    """Return the statement that builds each index of some tables, beside writers, by its name."""
    indexes = {str(index.name): CreateIndex(index) for table in tables or metadata.tables.values() for index in table.indexes}
    statements = {name: " ".join(str(index.compile(dialect=DIALECT.sqlalchemy)).split()) for name, index in indexes.items()}
    statements |= keywords.INDEXES
    return {name: text.replace(" INDEX ", " INDEX CONCURRENTLY ", 1) for name, text in statements.items()}


@asynccontextmanager
async def indexes_built_after(dsn: str, *, large: bool) -> AsyncIterator[None]:
    """Drop the indexes of an empty database while a large import fills it, and build them after it.

    An import that is killed leaves a database without them, slow but right: the next start, or import, builds them.
    """
    if not large:
        yield
        return
    async with locked(dsn) as connection:
        if not await connection.fetchval("SELECT EXISTS (SELECT 1 FROM home_visits)"):
            rebuilt = definitions(TABLES).keys() - NUMBERING_INDEXES
            await connection.execute("; ".join(f'DROP INDEX IF EXISTS "{name}"' for name in sorted(rebuilt)))
        try:
            yield
        finally:
            await build(connection)


async def build_missing(dsn: str) -> bool:
    """Build the indexes that are missing, unless somebody does; return whether there were any."""
    async with locked_at_once(dsn) as connection:
        return connection is not None and await build(connection)


async def build(connection: Any) -> bool:
    """Build the indexes that are missing; return whether there were any. One that was broken off is there, but not valid.

    Those that others have replaced are dropped when these are built.
    """
    valid = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index"
    present = {row[0].rpartition(".")[2]: row[1] for row in await connection.fetch(valid)}
    missing = {name: text for name, text in definitions().items() if not present.get(name)}
    for name, text in missing.items():
        await connection.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
        await connection.execute(text)
    for name in REPLACED & present.keys():
        await connection.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
    return bool(missing)
