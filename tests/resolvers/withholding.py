"""A database that keeps requests from its readers, its writers or its connections, as one that others use up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from storage.caller import OURSELVES
from storage.postgresql.connections import CONNECTIONS
from storage.postgresql.leases import Lease
from tests import databases
from tests.databases import path_of
from tests.inspection import inspect


@asynccontextmanager
async def without_readers(database: Any, *, wait_seconds: float = 30) -> AsyncIterator[None]:
    """Keep every reader from the requests, that of the loop included; they wait for one so long."""
    if not databases.is_sqlite():
        async with without_connections(database, wait_seconds):
            yield
        return
    pool, inline = database._pool, database._inline_reader
    readers, pool._idle, pool._wait_seconds = pool._idle, [], wait_seconds
    database._inline_reader = None
    yield
    database._inline_reader = inline
    pool._idle = readers


async def taken(pool: Any) -> Any:
    """Return a connection as a read has it, but one that is never interrupted; it goes back by `release`."""
    lease = Lease("others", asyncio.current_task())
    connection = await pool._lend(lease)
    lease.connection = None
    return connection


@asynccontextmanager
async def without_connections(database: Any, wait_seconds: float) -> AsyncIterator[None]:
    """Let transactions have the one connection that is left, and reads none."""
    pool = database._connections
    pool._leases._wait_seconds = wait_seconds
    read, busy = pool.read, [await taken(pool) for _ in range(CONNECTIONS - 1)]

    async def read_as_one_of_many(text: str, arguments: Any, subject: str, **options: Any) -> Any:
        if subject != OURSELVES:
            busy.append(await taken(pool))
        return await read(text, arguments, subject, **options)

    pool.read = read_as_one_of_many
    yield
    pool.read = read
    for connection in busy:
        pool.release(connection)


@asynccontextmanager
async def without_writers(database: Any) -> AsyncIterator[None]:
    """Keep each write from beginning: by SQLite's lock, or by all connections."""
    if databases.is_sqlite():
        with inspect(path_of(database)).locked():
            yield
        return
    pool = database._connections
    busy = [await taken(pool) for _ in range(CONNECTIONS)]
    yield
    for connection in busy:
        pool.release(connection)
