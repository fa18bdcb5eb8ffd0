"""The index by which a keyword is found in notes: their trigrams, by PostgreSQL's own extension."""

from typing import Any

import asyncpg
import sqlalchemy as sa

from storage.errors import DatabaseUnusable
from storage.models import HomeVisit, table_of

NAME = "home_visits_notes"
INDEX = f"CREATE INDEX {NAME} ON home_visits USING gin (notes_folded gin_trgm_ops)"

sa.event.listen(table_of(HomeVisit), "after_create", sa.DDL(INDEX).execute_if(dialect="postgresql"))  # type: ignore[no-untyped-call]  # SQLAlchemy's own


async def require_trigrams(connection: Any) -> None:
    """Make the extension where it may be made; raise DatabaseUnusable where there is none, or where it loses letters."""
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except asyncpg.InsufficientPrivilegeError:
        raise DatabaseUnusable(
            "The extension pg_trgm is missing: have an administrator run CREATE EXTENSION pg_trgm in this database."
        ) from None
    except (asyncpg.UndefinedFileError, asyncpg.FeatureNotSupportedError):
        raise DatabaseUnusable(
            "PostgreSQL has no extension pg_trgm: install the package postgresql-contrib on its server, then try again."
        ) from None
    if not await connection.fetchval("SELECT show_trgm('日本語') <> '{}'"):
        raise DatabaseUnusable(
            "The database's LC_CTYPE loses letters beyond ASCII: make one with CREATE DATABASE … TEMPLATE template0 "
            "ENCODING 'UTF8' LC_CTYPE 'C.UTF-8'."
        )
