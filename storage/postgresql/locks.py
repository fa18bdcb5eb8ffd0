"""Locks over all processes and hosts, gone with the connection that has them: of the schema, and of all that is kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from storage.errors import DatabaseBusy
from storage.models import metadata
from storage.postgresql.connecting import NAME, connect

LOCK = int.from_bytes(b"homevisi")
POLL_SECONDS = 0.2
# A server goes on with what a killed process began, an index perhaps, until it looks whether anybody is there.
NOTICE_KILLS = "SET client_connection_check_interval = '1s'"
# A process that has just ended is still there for a moment.
ENDING_SECONDS = 2.0
OTHERS = """
    SELECT coalesce(host(client_addr), 'this machine') || ', process ' || pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = $1 LIMIT 1
"""


@asynccontextmanager
async def locked(dsn: str) -> AsyncIterator[Any]:
    """Connect, and wait for the lock.

    It is asked for again and again: whoever waits for it inside a statement holds up what builds an index beside writers.
    """
    async with _connected(dsn) as connection:
        while not await _is_ours(connection):  # noqa: ASYNC110 - nobody tells when it is free
            await asyncio.sleep(POLL_SECONDS)
        yield connection


@asynccontextmanager
async def locked_at_once(dsn: str) -> AsyncIterator[Any]:
    """Connect and take the lock; give None where somebody has it."""
    async with _connected(dsn) as connection:
        yield connection if await _is_ours(connection) else None


@asynccontextmanager
async def frozen(dsn: str, *, pooled: bool) -> AsyncIterator[None]:
    """Lock all tables until the block ends: others read."""
    async with _connected(dsn, pooled=pooled) as connection, connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = 0")
        try:
            await connection.execute(f"LOCK TABLE {', '.join(metadata.tables)} IN SHARE ROW EXCLUSIVE MODE")
        except asyncpg.LockNotAvailableError:
            raise DatabaseBusy from None
        yield


async def other_user(dsn: str, *, pooled: bool) -> str | None:
    """Return a connection of another process of this program, where it stays."""
    async with _connected(dsn, pooled=pooled) as connection:
        for _ in range(round(ENDING_SECONDS / POLL_SECONDS)):
            other: str | None = await connection.fetchval(OTHERS, NAME)
            if other is None:
                return None
            await asyncio.sleep(POLL_SECONDS)
    return f"a server or a command, or PgBouncer for one (connected from {other} of PostgreSQL)"


@asynccontextmanager
async def _connected(dsn: str, *, pooled: bool = False) -> AsyncIterator[Any]:
    connection = await connect(dsn, patient=True, pooled=pooled)
    try:
        with suppress(asyncpg.PostgresError):  # not every system can
            await connection.execute(NOTICE_KILLS)
        yield connection
    finally:
        await connection.close()


async def _is_ours(connection: Any) -> bool:
    return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK))
