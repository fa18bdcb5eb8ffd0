"""How a test looks into a database, changes it or locks it beside the product, whichever database it is."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import asyncpg
import psycopg
from sqlalchemy.exc import DBAPIError

from storage.instants import stored
from tests import databases

Row = tuple[Any, ...]

# What drivers raise that our own code has not translated.
DRIVER_ERRORS: tuple[type[Exception], ...] = (
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    psycopg.Error,
    DBAPIError,
)


class Inspection(Protocol):
    """Each call has a connection of its own, which is closed when it returns. Table names and statements are the tests' own."""

    def everything(self) -> dict[str, list[Row]]:
        """Return the rows of each table, sorted, so that two looks can be compared."""

    def records(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table in the order in which they were inserted."""

    def query(self, statement: str) -> list[Row]:
        """Return what a statement reads."""

    def plan(self, statement: str, parameters: int) -> str:
        """Return how the database would run a statement with so many parameters."""

    def definitions(self, kind: Literal["table", "index", "trigger"] | None = None) -> dict[str, str]:
        """Return the SQL of each table, index and trigger, or of those of one kind, by its name."""

    def columns(self, table: str) -> list[str]:
        """Return the columns of a table in their order."""

    def faults(self) -> list[str]:
        """Return what the database itself finds damaged, and which references lead nowhere."""

    def execute(self, script: str) -> None:
        """Run statements in one transaction; references are not checked."""

    def insert(self, table: str, record: dict[str, Any]) -> None:
        """Insert a row; references are not checked."""

    def locked(self) -> AbstractContextManager[None]:
        """Hold the write lock, as another process might, until the block ends."""

    def is_locked(self) -> bool:
        """Tell whether somebody holds the write lock."""


def disk_failure() -> Exception:
    """Return what the driver raises where the disk fails as the log is synced."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    return error


def inspect(database: Path) -> Inspection:
    return SQLiteInspection(database) if databases.is_sqlite() else PostgreSQLInspection(databases.url_of(database))


@contextmanager
def connected(path: Path, *, timeout: float = 5.0) -> Iterator[sqlite3.Connection]:
    """Connect to a SQLite file; each statement is committed unless it is in a transaction that the test began."""
    with closing(sqlite3.connect(path, timeout=timeout, isolation_level=None)) as connection:
        yield connection


class SQLiteInspection:
    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        # One that may write would move the log into the database when it closes.
        with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            yield connection

    def everything(self) -> dict[str, list[Row]]:
        # The others are SQLite's own, and what it makes of notes and names to find texts in them.
        ours = (
            "SELECT name FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%_numbers'"
        )
        with self._reading() as connection:
            tables = [name for (name,) in connection.execute(ours)]
            return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}  # noqa: S608 - ours

    def records(self, table: str) -> list[dict[str, Any]]:
        with self._reading() as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]  # noqa: S608 - ours

    def query(self, statement: str) -> list[Row]:
        with self._reading() as connection:
            return connection.execute(statement).fetchall()

    def plan(self, statement: str, parameters: int) -> str:
        with self._reading() as connection:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * parameters)
            return "\n".join(row[3] for row in rows)

    def definitions(self, kind: Literal["table", "index", "trigger"] | None = None) -> dict[str, str]:
        rows = self.query("SELECT name, type, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return {name: sql for name, type, sql in rows if kind in (None, type)}

    def columns(self, table: str) -> list[str]:
        return [name for _, name, *_ in self.query(f"PRAGMA table_info({table})")]

    def faults(self) -> list[str]:
        try:
            damage = [answer for (answer,) in self.query("PRAGMA integrity_check") if answer != "ok"]
            dangling = self.query("PRAGMA foreign_key_check")
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return damage + [f"{table} {row} refers to nothing in {other}" for table, row, other, _ in dangling]

    def execute(self, script: str) -> None:
        with connected(self._path) as connection:
            connection.executescript(f"PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; {script}; COMMIT")

    def insert(self, table: str, record: dict[str, Any]) -> None:
        columns, parameters = ", ".join(record), ", ".join("?" * len(record))
        with connected(self._path) as connection:
            connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({parameters})", list(record.values()))  # noqa: S608 - ours

    @contextmanager
    def locked(self) -> Iterator[None]:
        with connected(self._path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def is_locked(self) -> bool:
        with connected(self._path, timeout=0) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                return True
            return False


class PostgreSQLInspection:
    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def _connected(self) -> Iterator["psycopg.Connection[Row]"]:
        with psycopg.connect(self._url, autocommit=True, options="-c timezone=UTC") as connection:
            yield connection

    def everything(self) -> dict[str, list[Row]]:
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
        return {name: sorted(self.query(f"SELECT * FROM {name}"), key=repr) for (name,) in self.query(tables)}  # noqa: S608 - ours

    def records(self, table: str) -> list[dict[str, Any]]:
        # No row is ever moved to where it would be found before an older one, unless it was updated.
        columns = self.columns(table)
        order = next((name for name in ("number", "sequence") if name in columns), "ctid")
        if table == "outbox_messages":
            order = "id"
        return [dict(zip(columns, row, strict=True)) for row in self.query(f"SELECT * FROM {table} ORDER BY {order}")]  # noqa: S608 - ours

    def query(self, statement: str) -> list[Row]:
        with self._connected() as connection:
            return [tuple(map(_as_stored, row)) for row in connection.execute(statement.encode()).fetchall()]

    def plan(self, statement: str, parameters: int) -> str:
        with self._connected() as connection:
            connection.execute(f"PREPARE looked_at AS {statement}".encode())
            connection.execute("SET plan_cache_mode = force_generic_plan")
            values = ", ".join(["NULL"] * parameters)
            rows = connection.execute(f"EXPLAIN EXECUTE looked_at({values})".encode()).fetchall()
            return "\n".join(row[0] for row in rows)

    def definitions(self, kind: Literal["table", "index", "trigger"] | None = None) -> dict[str, str]:
        tables = "SELECT tablename, 'CREATE TABLE' FROM pg_tables WHERE schemaname = 'public'"
        indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        triggers = "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
        statements = {"table": tables, "index": indexes, "trigger": triggers}
        return {name: sql for each, text in statements.items() if kind in (None, each) for name, sql in self.query(text)}

    def columns(self, table: str) -> list[str]:
        columns = "SELECT column_name FROM information_schema.columns WHERE table_name = '{}' ORDER BY ordinal_position"
        return [name for (name,) in self.query(columns.format(table))]

    def faults(self) -> list[str]:
        # PostgreSQL checks its references itself, unless a test has told it not to.
        faults = []
        references = """
            SELECT conrelid::regclass::text, a.attname, confrelid::regclass::text, b.attname
            FROM pg_constraint JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = conkey[1]
            JOIN pg_attribute b ON b.attrelid = confrelid AND b.attnum = confkey[1] WHERE contype = 'f'
        """
        for table, column, other, key in self.query(references):
            dangling = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT {key} FROM {other})"  # noqa: S608 - ours
            faults += [f"{table} {row[0]} refers to nothing in {other}" for row in self.query(dangling)]
        return faults

    def execute(self, script: str) -> None:
        with self._connected() as connection, connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            connection.execute(script.encode())

    def insert(self, table: str, record: dict[str, Any]) -> None:
        columns, marks = ", ".join(record), ", ".join(["%s"] * len(record))
        with self._connected() as connection, connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})".encode(), list(record.values()))  # noqa: S608 - ours

    @contextmanager
    def locked(self) -> Iterator[None]:
        tables = "home_visits, home_visit_events, outbox_messages, care_enquiries, users, locations, service_user_contacts"
        with self._connected() as connection, connection.transaction(force_rollback=True):
            connection.execute(f"LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE".encode())
            yield

    def is_locked(self) -> bool:
        with self._connected() as connection:
            held = (
                "SELECT 1 FROM pg_locks WHERE mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock') AND granted AND database = "
            )
            held += "(SELECT oid FROM pg_database WHERE datname = current_database())"
            return bool(connection.execute(held.encode()).fetchall())


def _as_stored(value: Any) -> Any:
    """Return a value as every database returns it: an instant and JSON are their texts."""
    if isinstance(value, datetime):
        return stored(value)
    return json.dumps(value) if isinstance(value, list | dict) else value


class TableLock:
    """A lock that keeps rows from being inserted into a table, until it is set free."""

    def __init__(self, connection: "psycopg.Connection[Row]", table: str) -> None:
        connection.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
        self.set = connection.rollback


@contextmanager
def table_lock(url: str, table: str) -> Iterator[TableLock]:
    """Hold the lock: a hook of SQLAlchemy, as it holds a thread that writes to SQLite, would hold the event loop itself."""
    with psycopg.connect(url) as connection:
        yield TableLock(connection, table)
