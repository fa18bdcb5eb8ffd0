"""Brings a file up to date: looks at its step without Alembic, which an up-to-date one starts faster without."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from storage import migrations
from storage.errors import DatabaseUnusable
from storage.sqlite import indexes, steps
from storage.sqlite.connecting import EVERY_CONNECTION, connected
from storage.sqlite.errors import translate_errors


def revision(path: Path) -> str | None:
    """Return the step that a database is at, None for an empty one; raise DatabaseUnusable for what is no database of ours."""
    if not path.exists():
        return None
    try:
        with closing(connected(path, "ro")) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            if not tables:
                return None
            if "alembic_version" not in tables:
                raise DatabaseUnusable(f"{path} holds other tables: name a file of its own for the home visits.")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise DatabaseUnusable(f"{path} cannot be opened as a database: {error}. Check the file and its permissions.") from None
    return row[0] if row else None


def migrate(path: Path) -> bool:
    """Bring a database up to date and return whether there was anything to do; raise DatabaseUnusable where that cannot be."""
    current = revision(path)
    if current == migrations.HEAD:
        with translate_errors():
            return indexes.build_missing(path)
    migrations.require_not_newer(current, str(path))
    with translate_errors():
        migrate_to("head", path)
    return True


def migrate_to(step: str, path: Path) -> None:
    with _locked(path) as connection:
        migrations.upgrade(connection, step, steps.STATEMENTS)


@contextmanager
def _locked(path: Path) -> Iterator[sa.Connection]:
    """Connect in one transaction. Of two servers that start at once the second waits here, then finds nothing to do."""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)), poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        for pragma in ("journal_mode = WAL", *EVERY_CONNECTION):
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
