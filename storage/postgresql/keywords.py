"""The indexes by which texts are found in notes and among names: their trigrams, by PostgreSQL's own extension."""

from typing import Any

import asyncpg
import sqlalchemy as sa

from storage.errors import DatabaseUnusable
from storage.models import metadata

# Of each table that has one: its name, and the column with the texts.
COLUMNS = {
    "home_visits": ("home_visits_notes", "notes_folded"),
    "care_enquiries": ("care_enquiries_search", "search_folded"),
    "service_user_contacts": ("service_user_contacts_search", "search_folded"),
}
INDEXES = {name: f"CREATE INDEX {name} ON {table} USING gin ({column} gin_trgm_ops)" for table, (name, column) in COLUMNS.items()}

for _table, (_name, _) in COLUMNS.items():
    _ddl = sa.DDL(INDEXES[_name]).execute_if(dialect="postgresql")  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    sa.event.listen(metadata.tables[_table], "after_create", _ddl)


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
