"""What PostgreSQL keeps of values that are gone: their statistics, which go at once, and old pages, which an operator removes."""

import asyncio
from typing import Any

import asyncpg

from storage.database import Remains

# Those with columns that say anything of people.
TABLES = (
    "home_visits, home_visit_events, care_enquiries, service_user_contacts, outbox_messages, idempotency_keys, carehq_intents"
)
OLD_PAGES = "Tables and indexes hold what was wiped until VACUUM FULL and REINDEX, the log and base backups until they expire."

# Whoever waits for this lock has all others wait that come after.
_LOCK_TIMEOUT = "100ms"
_ATTEMPTS, _PAUSE_SECONDS = 10, 0.3
_IN_USE = "Statistics of booking keys hold what was wiped: somebody is using their table. Run it again."
_NOT_OURS = "Statistics of booking keys may hold what was wiped: only the owner of the table idempotency_keys can drop them."
# ANALYZE leaves the statistics of an empty table as they are; where a column gets a type, even its own, they go.
_DROP_STATISTICS = "; ".join(
    f"""
    DO $$ BEGIN
        IF NOT EXISTS (SELECT 1 FROM {table})
            AND EXISTS (SELECT 1 FROM pg_stats WHERE tablename = '{table}' AND schemaname = current_schema())
        THEN
            ALTER TABLE {table} ALTER key TYPE varchar, ALTER subject TYPE varchar, ALTER fingerprint TYPE varchar;
        END IF;
    END $$
    """  # noqa: S608 - our own names
    for table in ("idempotency_keys", "carehq_intents")
)


# To anybody else ANALYZE only gives a warning.
_OTHERS = f"""
    SELECT NOT bool_and(pg_has_role(relowner, 'USAGE') OR pg_has_role(datdba, 'USAGE'))
    FROM pg_class, pg_database
    WHERE datname = current_database() AND pg_class.oid IN ({", ".join(f"'{table}'::regclass" for table in TABLES.split(", "))})
"""  # noqa: S608 - our own names
_STATISTICS_NOT_OURS = (
    "Statistics of tables may hold what was wiped: only their owner can rebuild them. "
    f"Run this as the owner, in psql: ANALYZE {TABLES}."
)


async def purge_statistics(connection: Any) -> Remains:
    """Drop the statistics of booking keys where there are none left; return what is left of those that were just rebuilt.

    Nobody waits for that for longer than a moment.
    """
    to_know = (_STATISTICS_NOT_OURS, OLD_PAGES) if await connection.fetchval(_OTHERS) else (OLD_PAGES,)
    for attempt in range(_ATTEMPTS):
        await asyncio.sleep(_PAUSE_SECONDS if attempt else 0)
        try:
            await connection.execute(f"BEGIN; SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'; {_DROP_STATISTICS}; COMMIT")
        except asyncpg.LockNotAvailableError:
            await connection.execute("ROLLBACK")
        except asyncpg.InsufficientPrivilegeError:
            await connection.execute("ROLLBACK")
            return Remains(to_know=(_NOT_OURS, *to_know))
        else:
            return Remains(to_know=to_know)
    return Remains(to_repeat=(_IN_USE,), to_know=to_know)
