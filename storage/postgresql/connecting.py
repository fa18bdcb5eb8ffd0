"""How connections are set up: without these settings none waits for a bounded time, or returns instants as their texts."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from storage.errors import DatabaseUnusable
from storage.instants import stored

CONNECT_SECONDS = 2.0
COMMAND_SECONDS = 4.0
# PostgreSQL's own, in milliseconds, so that it gives up before we do. Through PgBouncer they are set for the role.
SETTINGS = {
    "statement_timeout": "3000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "5000",
}
# The name by which others of our processes are found.
NAME = "home-visits"
ENCODING = {"timezone": "UTC", "datestyle": "ISO", "client_encoding": "UTF8", "application_name": NAME}
_SCHEMES = ("postgresql+asyncpg", "postgres")


def dsn_of(url: str) -> str:
    """Return the URL as the driver takes it, which is as libpq writes it."""
    scheme, _, rest = url.partition("://")
    try:
        urlsplit(url)
    except ValueError:
        raise _unreadable() from None
    return f"postgresql://{rest}" if scheme in _SCHEMES else url


def _unreadable() -> DatabaseUnusable:
    return DatabaseUnusable("The database URL cannot be read: write it like postgresql://user:password@host:5432/database.")


def without_password(dsn: str) -> str:
    """Return the URL for messages."""
    parts = urlsplit(dsn)
    user, _, hosts = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}@{hosts}" if user else hosts
    shown = [(name, value) for name, value in parse_qsl(parts.query) if name not in ("password", "sslpassword")]
    # Put together by hand: urlunsplit leaves out the slashes of a URL without a host, which is that of a Unix socket.
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{urlencode(shown, safe='/')}" if shown else "")


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


async def connect(dsn: str, *, pooled: bool = False, patient: bool = False, connection_class: Any = asyncpg.Connection) -> Any:
    """Connect. `pooled`: through PgBouncer in transaction mode, which neither keeps statements nor takes settings.

    `patient`: for statements that may take long, such as one that builds an index.
    """
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=None if patient else COMMAND_SECONDS,
            statement_cache_size=0 if pooled else 200,
            max_cached_statement_lifetime=0,
            server_settings=ENCODING if pooled or patient else ENCODING | SETTINGS,
            connection_class=connection_class,
        )
    except asyncpg.InterfaceError:
        raise
    except ValueError:  # the driver's own, such as of a port that is no number
        raise _unreadable() from None
    try:
        await connection.set_type_codec("timestamptz", schema="pg_catalog", encoder=text_of, decoder=instant_of, format="text")
    except BaseException:
        connection.terminate()
        raise
    return connection
