"""Checkpoints, which move what was committed from the log into the database, made so that nobody writes meanwhile.

Before SQLite 3.51.3 a checkpoint beside a write that begins the log anew can lose what was committed
(https://sqlite.org/wal.html#walresetbug). SQLite makes its own after a commit, when another process may be writing already. So
they are turned off on every connection, and ours are made while the writer holds the lock that only one has; by a second
connection, because the first cannot within a transaction.
"""

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

# SQLite makes one for a thousand pages, but tells nobody how many there are. A booking changes 3 rows and some 25 pages.
ROWS = 200
DUE = "checkpoint_due"


def keep_log_short(engine: sa.Engine, path: Path) -> None:
    """Before the first transaction, and then whenever the connection of `engine` has changed enough rows, make a checkpoint."""

    def before_begin(connection: sa.Connection) -> None:
        changed = connection.connection.dbapi_connection.total_changes  # type: ignore[union-attr]  # the driver's own
        # The first one moves what is left by processes that ended before they had changed as much.
        if changed < connection.info.get(DUE, 0):
            return
        connection.info[DUE] = changed + ROWS
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            _checkpoint(path)
        finally:
            connection.exec_driver_sql("ROLLBACK")

    sa.event.listen(engine, "begin", before_begin)


def _checkpoint(path: Path) -> None:
    # What cannot be moved now stays in the log, where it is just as safe, until the next time.
    with (
        contextlib.suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
