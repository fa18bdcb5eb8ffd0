"""How connections are set up: without these settings none waits for a bounded time, or returns instants as their texts."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg

from storage.errors import DatabaseUnusable
from storage.instants import stored
from storage.postgresql.hosts import first_connected
from storage.postgresql.urls import options_of, unreadable, unreadable_file

CONNECT_SECONDS = 2.0
COMMAND_SECONDS = 4.0
# PostgreSQL's own, in milliseconds, so that it gives up before we do. Through PgBouncer they are set for the role.
SETTINGS = {
    "statement_timeout": "3000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "5000",
    # Of millions of rows a plan looks so dear that it is compiled, which takes longer than any page.
    "jit": "off",
    # Where a month is found among ten million visits, less keeps pages instead of rows: all rows of them are looked at.
    "work_mem": "32MB",
}
# Also where the role has times of its own.
PATIENT_SETTINGS = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
_REFUSED_OPTION = (asyncpg.UndefinedObjectError, asyncpg.CantChangeRuntimeParamError, asyncpg.InvalidParameterValueError)
# The name by which others of our processes are found.
NAME = "home-visits"
ENCODING = {"timezone": "UTC", "datestyle": "ISO", "client_encoding": "UTF8", "application_name": NAME}


def instant_of(text: str) -> str:
    """Return PostgreSQL's text of an instant, `2024-11-03 11:00:00.5+00`, as our canonical one, `2024-11-03T11:00:00.500`."""
    if len(text) == 22:
        return f"{text[:10]}T{text[11:19]}"
    # Canonical texts have 3 or 6 decimals, PostgreSQL's as few as do.
    fraction = text[20:-3]
    return f"{text[:10]}T{text[11:19]}.{fraction:0<{3 if len(fraction) <= 3 else 6}}"


def text_of(instant: str | datetime) -> str:
    """Return the text of an instant for PostgreSQL: a canonical one says nothing of its zone, which is UTC."""
    return f"{instant if isinstance(instant, str) else stored(instant.astimezone(UTC))}Z"


async def connect(
    dsn: str,
    *,
    pooled: bool = False,
    patient: bool = False,
    connection_class: Any = asyncpg.Connection,
    seconds: float = CONNECT_SECONDS,
) -> Any:
    """Connect to the first host that takes us. `pooled`: through PgBouncer in transaction mode, which keeps no statements.

    `patient`: for statements that may take long, such as one that builds an index. Each host has so many `seconds`.
    """
    options = {
        "timeout": seconds,
        "command_timeout": None if patient else COMMAND_SECONDS,
        "statement_cache_size": 0 if pooled else 200,
        "max_cached_statement_lifetime": 0,
        "server_settings": ENCODING | ({} if pooled else PATIENT_SETTINGS if patient else SETTINGS),
        "connection_class": connection_class,
    }
    return await first_connected(dsn, lambda host: _ready(host, seconds, options))


async def _ready(dsn: str, seconds: float, options: dict[str, Any]) -> Any:
    # PgBouncer takes us at once, also where PostgreSQL hangs behind it: what asks for a type then waits for that.
    async with asyncio.timeout(seconds):
        connection = await _connected(dsn, **options)
        try:
            await connection.set_type_codec(
                "timestamptz", schema="pg_catalog", encoder=text_of, decoder=instant_of, format="text"
            )
        except BaseException:
            connection.terminate()
            raise
    return connection


async def _connected(dsn: str, **options: Any) -> Any:
    try:
        return await asyncpg.connect(dsn, **options)
    except _REFUSED_OPTION as error:
        raise DatabaseUnusable(f"An option of the database URL is refused: {error}. Leave it out.") from None
    except FileNotFoundError as error:
        nowhere = ConnectionRefusedError("there is no server's socket where the URL says")
        raise unreadable_file(dsn, error) or nowhere from None
    except OSError as error:
        raise unreadable_file(dsn, error) or error from None
    except asyncpg.TargetServerAttributeNotMatched:
        attribute = options_of(dsn).get("target_session_attrs")
        raise asyncpg.TargetServerAttributeNotMatched(f"none of its hosts is {attribute}") from None
    except asyncpg.InterfaceError:
        raise
    except ValueError:  # the driver's own, such as of a port that is no number
        raise unreadable() from None
