"""The one lock for whoever changes the schema: over all processes and hosts, and gone with the connection that holds it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from storage.postgresql.connecting import connect

LOCK = int.from_bytes(b"homevisi")
POLL_SECONDS = 0.2


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
async def _connected(dsn: str) -> AsyncIterator[Any]:
    connection = await connect(dsn, patient=True)
    try:
        yield connection
    finally:
        await connection.close()


async def _is_ours(connection: Any) -> bool:
    return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK))
