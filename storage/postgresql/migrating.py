"""Brings a database up to date, one process at a time, and refuses one that could not serve."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from storage import migrations
from storage.errors import DatabaseUnusable
from storage.postgresql import keywords
from storage.postgresql.connecting import connect
from storage.postgresql.dialect import register
from storage.postgresql.refusals import translate_errors

OLDEST = 140_000
LOCK = 0x686F6D6576697369  # "homevisi"
POLL_SECONDS = 0.2


async def revision(dsn: str) -> str | None:
    """Return the step that a database is at, None for an empty one; raise DatabaseUnusable for what is none of ours."""
    with translate_errors():
        connection = await connect(dsn)
    try:
        return await _revision(connection)
    finally:
        await connection.close()


async def migrate(dsn: str, name: str) -> bool:
    """Bring a database up to date and return whether there was anything to do; raise DatabaseUnusable where that cannot be."""
    with translate_errors():
        async with _alone(dsn) as connection:
            await _require_usable(connection)
            current = await _revision(connection)
            if current == migrations.HEAD:
                return False
            migrations.require_not_newer(current, name)
            await _upgrade(dsn)
    return True


async def _upgrade(dsn: str, step: str = "head") -> None:
    register()
    engine = create_async_engine("postgresql+home_visits://", async_creator=lambda: _patient(dsn), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrations.upgrade, step, keywords.STATEMENTS)
    finally:
        await engine.dispose()


async def _patient(dsn: str) -> Any:
    """Connect without a bound on how long a statement takes: to build an index of a million visits takes a while."""
    connection = await connect(dsn)
    await connection.execute("SET statement_timeout = 0")
    return connection


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator[Any]:
    """Connect, and hold the lock of migrations.

    It is asked for again and again: whoever waits for it inside a statement holds up what builds an index beside writers.
    """
    connection = await connect(dsn)
    try:
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):  # noqa: ASYNC110 - nobody tells when it is free
            await asyncio.sleep(POLL_SECONDS)
        yield connection
    finally:
        await connection.close()


async def _revision(connection: Any) -> str | None:
    tables = {row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")}
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise DatabaseUnusable("The database holds other tables: name one of its own for the home visits.")
    found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return found


async def _require_usable(connection: asyncpg.Connection) -> None:
    version = connection.get_server_version()
    if (version.major, 0) < (OLDEST // 10_000, 0):
        raise DatabaseUnusable(f"PostgreSQL 14 or later is needed: this is {version.major}.")
    await keywords.require_trigrams(connection)
