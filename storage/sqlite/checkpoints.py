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

# A thousand pages, as SQLite would have it.
LOG_BYTES = 1000 * 4096
# Cut to its limit when it is begun anew, the file is longer only while what it holds is.
PRAGMAS = ("wal_autocheckpoint = 0", f"journal_size_limit = {LOG_BYTES}")


def keep_log_short(engine: sa.Engine, path: Path) -> None:
    """Before each transaction of `engine`, make a checkpoint where the log has grown too long."""
    log = Path(f"{path}-wal")

    def before_begin(connection: sa.Connection) -> None:
        if not _is_long(log):
            return
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            _checkpoint(path)
        finally:
            connection.exec_driver_sql("ROLLBACK")

    sa.event.listen(engine, "begin", before_begin)


def move_leftovers(engine: sa.Engine, path: Path) -> None:
    """Make a checkpoint of what a crash left: until then, nobody can tell a checkpoint's writes from those of others."""
    if Path(f"{path}-wal").stat().st_size:
        with contextlib.suppress(sa.exc.OperationalError), engine.begin():
            _checkpoint(path)


def _is_long(log: Path) -> bool:
    try:
        return log.stat().st_size > LOG_BYTES
    except FileNotFoundError:
        return False


def _checkpoint(path: Path) -> None:
    # What cannot be moved now stays in the log, where it is just as safe, until the next time.
    with (
        contextlib.suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
