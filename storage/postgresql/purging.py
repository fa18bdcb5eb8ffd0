"""What PostgreSQL keeps of values that are gone: their statistics, which go at once, and old pages, which an operator removes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from storage.database import Remains

# Those with columns that say anything of people.
TABLES = "home_visits, home_visit_events, care_enquiries, service_user_contacts, outbox_messages, idempotency_keys"
OLD_PAGES = "Tables and indexes hold what was wiped until VACUUM FULL and REINDEX, the log and base backups until they expire."

# Whoever waits for this lock has all others wait that come after.
_LOCK_TIMEOUT = "100ms"
_ATTEMPTS, _PAUSE_SECONDS = 10, 0.3
_IN_USE = "Statistics of booking keys hold what was wiped: somebody is using their table. Run it again."
_NOT_OURS = "Statistics of booking keys may hold what was wiped: only the owner of the table idempotency_keys can drop them."
# ANALYZE leaves the statistics of an empty table as they are; where a column gets a type, even its own, they go.
_DROP_STATISTICS = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT 1 FROM idempotency_keys)
            AND EXISTS (SELECT 1 FROM pg_stats WHERE tablename = 'idempotency_keys' AND schemaname = current_schema())
        THEN
            ALTER TABLE idempotency_keys ALTER key TYPE varchar, ALTER subject TYPE varchar, ALTER fingerprint TYPE varchar;
        END IF;
    END $$
"""


async def drop_statistics_of_keys(connect: Callable[[], Awaitable[Any]]) -> Remains:
    """Drop the statistics of booking keys where there are none left; nobody waits for that for longer than a moment."""
    connection = await connect()
    try:
        for attempt in range(_ATTEMPTS):
            await asyncio.sleep(_PAUSE_SECONDS if attempt else 0)
            try:
                await connection.execute(f"BEGIN; SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'; {_DROP_STATISTICS}; COMMIT")
            except asyncpg.LockNotAvailableError:
                await connection.execute("ROLLBACK")
            except asyncpg.InsufficientPrivilegeError:
                return Remains(to_know=(_NOT_OURS, OLD_PAGES))
            else:
                return Remains(to_know=(OLD_PAGES,))
        return Remains(to_repeat=(_IN_USE,), to_know=(OLD_PAGES,))
    finally:
        await connection.close()
