"""How a test looks into a database, changes it or locks it beside the product, whichever database it is."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

Row = tuple[Any, ...]

# What drivers raise that our own code has not translated.
DRIVER_ERRORS: tuple[type[Exception], ...] = (sqlite3.Error,)


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
    return SQLiteInspection(database)


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
        # The others are SQLite's own, and what it makes of the notes to find keywords in them.
        ours = "SELECT name FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
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
