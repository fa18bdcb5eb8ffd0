"""Brings a database up to date while servers go on, one process at a time, and refuses one that could not serve.

Whoever waits for the lock of a table keeps all who come later waiting, readers too: a step waits for a moment only, and is tried
again. Indexes are built beside writers, once all steps are done.
"""

import asyncio
import logging
from collections.abc import Collection
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from storage import migrations
from storage.errors import DatabaseUnusable
from storage.postgresql import indexes, keywords, steps
from storage.postgresql.connecting import connect
from storage.postgresql.dialect import register
from storage.postgresql.locks import locked
from storage.postgresql.refusals import sqlstate, translate_errors

OLDEST = 14
SERVES_FROM = "obj_description('alembic_version'::regclass, 'pg_class')"
# The step that a database is at, and that of the oldest code that can use it.
SCHEMA = f"SELECT version_num, {SERVES_FROM} FROM alembic_version"  # noqa: S608 - our own names
LOCK_MILLISECONDS = 300
PAUSE_SECONDS = 1.0
# A reader of a day must not keep a deployment waiting for as long.
MAX_ATTEMPTS = 120
LOCKED = frozenset({"55P03", "40P01"})

log = logging.getLogger(__name__)


async def revision(dsn: str, *, pooled: bool = False) -> str | None:
    """Return the step that a database is at, None for an empty one; raise DatabaseUnusable for what is none of ours."""
    with translate_errors():
        connection = await connect(dsn, pooled=pooled)
    try:
        return await _revision(connection)
    finally:
        await connection.close()


async def migrate(dsn: str, name: str) -> bool:
    """Bring a database up to date and return whether there was anything to do; raise DatabaseUnusable where that cannot be."""
    with translate_errors():
        if await revision(dsn) == migrations.HEAD:
            return await indexes.build_missing(dsn)
        async with locked(dsn) as connection:
            await _require_usable(connection)
            current = await _revision(connection)
            migrations.require_served(*await _schema(connection), name)
            if current == migrations.HEAD or migrations.is_newer(current):
                return False
            # Nobody writes to a new database yet.
            await _upgrade(dsn, migrations.steps_after(current), built_later=indexes.definitions() if current else ())
            await indexes.build(connection)
    return True


async def require_up_to_date(dsn: str, name: str) -> None:
    """Raise DatabaseUnusable for a database behind PgBouncer that is not at the last step: its lock lasts for a session."""
    with translate_errors():
        connection = await connect(dsn, pooled=True)
    try:
        current, serves_from = await _schema(connection)
    finally:
        await connection.close()
    migrations.require_served(current, serves_from, name)
    if current != migrations.HEAD and not migrations.is_newer(current):
        raise DatabaseUnusable(
            f"{name} is not up to date: run `migrate` with the URL of PostgreSQL itself and HOME_VISITS_PGBOUNCER off."
        )


async def _upgrade(dsn: str, revisions: Collection[str], built_later: Collection[str]) -> None:
    register()
    engine = create_async_engine(
        "postgresql+home_visits://", async_creator=partial(connect, dsn, patient=True), poolclass=NullPool
    )
    try:
        for revision in revisions:
            await _apply(engine, revision, built_later)
    finally:
        await engine.dispose()


def _without(names: Collection[str]) -> migrations.Statements:
    """Return what steps do on PostgreSQL alone, but for indexes of these names."""

    def is_left(statement: str) -> bool:
        return statement.startswith("CREATE INDEX ") and statement.split()[2] in names

    return {step: [text for text in texts if not is_left(text)] for step, texts in steps.STATEMENTS.items()}


async def _apply(engine: AsyncEngine, revision: str, built_later: Collection[str]) -> None:
    """Apply one step in a transaction of its own; try again where somebody has a table in use."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            async with engine.begin() as connection:
                await connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
                serves_from = await connection.run_sync(migrations.upgrade, revision, _without(built_later), built_later)
                await connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{int(serves_from):04}'")
        except DBAPIError as error:
            if sqlstate(error) not in LOCKED:
                raise
            if attempt == MAX_ATTEMPTS:
                raise DatabaseUnusable(
                    f"Step {revision} could not be made: a transaction has a table in use that does not end. "
                    "End it, and run `migrate` again."
                ) from error
            log.info("Step %s waits for a table that is in use.", revision)
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


async def _revision(connection: Any) -> str | None:
    tables = {row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")}
    if not tables:
        return None
    migrations.require_moved(tables, "The database")
    if "alembic_version" not in tables:
        raise DatabaseUnusable("The database holds other tables: name one of its own for the home visits.")
    found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return found


async def _schema(connection: Any) -> tuple[str | None, str | None]:
    """Return the step that a database is at, and that of the oldest code that can use it."""
    current = await _revision(connection)
    return current, await connection.fetchval(f"SELECT {SERVES_FROM}") if current else None


async def _require_usable(connection: asyncpg.Connection) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST:
        raise DatabaseUnusable(
            f"PostgreSQL {OLDEST} or later is needed: this is {version.major}. Upgrade it, or name another in its URL."
        )
    await keywords.require_trigrams(connection)
