"""Brings a file up to date: looks at its step without Alembic, which an up-to-date one starts faster without.

The step from which on code can use the file is its `user_version`, as a number; 0 where no step has said so.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from storage import migrations
from storage.errors import DatabaseUnusable
from storage.sqlite import indexes, steps
from storage.sqlite.connecting import EVERY_CONNECTION, connected
from storage.sqlite.errors import translate_errors
from storage.sqlite.files import Fault, keep_private, lock_holder, put_foreign_log_aside

SCHEMA = "SELECT version_num, (SELECT user_version FROM pragma_user_version) FROM alembic_version"

log = logging.getLogger(__name__)


class Schema(NamedTuple):
    """The step that a database is at, None for an empty one, and the step of the oldest code that can use it."""

    revision: str | None
    serves_from: str | None = None

    @classmethod
    def of(cls, revision: str, user_version: int) -> "Schema":
        return cls(revision, f"{user_version:04}" if user_version else None)

    def fault(self) -> Fault | None:
        """Return why this code can use the database no more."""
        reason = migrations.why_unserved(*self)
        return Fault(reason) if reason else None


def revision(path: Path) -> str | None:
    """Return the step that a database is at, None for an empty one; raise DatabaseUnusable for what is no database of ours."""
    return schema_of(path).revision


def schema_of(path: Path) -> Schema:
    """Raise DatabaseUnusable for what is no database of ours."""
    if not path.exists():
        return Schema(None)
    put_foreign_log_aside(path)
    try:
        with closing(connected(path, "ro")) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            if not tables:
                return Schema(None)
            migrations.require_moved(tables, str(path))
            if "alembic_version" not in tables:
                raise DatabaseUnusable(f"{path} holds other tables: name a file of its own for the home visits.")
            row = connection.execute(SCHEMA).fetchone()
    except sqlite3.Error as error:
        raise DatabaseUnusable(f"{path} cannot be opened as a database: {error}. Check the file and its permissions.") from None
    return Schema.of(*row) if row else Schema(None)


def migrate(path: Path) -> bool:
    """Bring a database up to date and return whether there was anything to do; raise DatabaseUnusable where that cannot be.

    Warn where another process has it open, which may be a server of an older version.
    """
    current, serves_from = schema_of(path)
    migrations.require_served(current, serves_from, str(path))
    keep_private(path)
    with translate_errors():
        if current == migrations.HEAD:
            return indexes.build_missing(path)
        if migrations.is_newer(current):
            return False
        holder = lock_holder(path)
        serves_from = migrate_to(migrations.HEAD, path)
    if current and holder:
        served = (
            "goes on, and can be restarted at any time" if serves_from <= current else "answers nothing until it is restarted"
        )
        log.warning("%s is open in process %s: a server of the version before %s.", path, holder, served)
    return True


def migrate_to(step: str, path: Path) -> str:
    """Return the step of the oldest code that can use the database now."""
    with _locked(path) as connection:
        serves_from = migrations.upgrade(connection, step, steps.STATEMENTS)
        connection.exec_driver_sql(f"PRAGMA user_version = {int(serves_from)}")
    return serves_from


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
