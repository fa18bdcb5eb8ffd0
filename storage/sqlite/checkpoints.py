"""Checkpoints, which move what was committed from the log into the database, made so that nobody writes meanwhile.

Before SQLite 3.51.3 a checkpoint beside a write that begins the log anew can lose what was committed
(https://sqlite.org/wal.html#walresetbug). SQLite makes its own after a commit, when another process may be writing already. So
they are turned off on every connection, and ours are made while the writer holds the lock that only one has; by a second
connection, because the first cannot within a transaction.
"""

import contextlib
import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from storage.sqlite.files import programs_with
from storage.sqlite.locking import begin, begins

# A thousand pages, as SQLite would have it.
LOG_BYTES = 1000 * 4096
HEAD_BYTES = 32
# From then on it is worth an operator's look.
WARNING_BYTES = 256 << 20
WARNING_SECONDS = 60.0
# Cut to its limit when it is begun anew, the file is longer only while what it holds is.
PRAGMAS = ("wal_autocheckpoint = 0", f"journal_size_limit = {LOG_BYTES}")

logger = logging.getLogger(__name__)


def keep_log_short(engine: sa.Engine, path: Path) -> None:
    """Before each transaction of `engine`, make a checkpoint where the log has grown too long."""
    log = Path(f"{path}-wal")
    warned = -WARNING_SECONDS

    def before_begin(connection: sa.Connection) -> None:
        nonlocal warned
        size = _size(log)
        if size <= LOG_BYTES:
            return
        if size > WARNING_BYTES and time.monotonic() >= warned + WARNING_SECONDS:
            warned = time.monotonic()
            logger.warning(
                "The log %s has grown to %d MB: somebody has been reading for long, and keeps it from being moved into the "
                "database: a backup, an export or another program. These have it open: %s",
                log,
                size >> 20,
                ", ".join(programs_with(log)) or "nobody that can be seen",
            )
        begin(connection)
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


def truncate(driver: sqlite3.Connection, path: Path, until: float) -> bool:
    """Have the log begin anew and its file cut off, so that nothing is left in it of old pages; return whether that was done.

    Once all of it was moved, and nobody reads in it, the next transaction begins it anew: this one writes what is there already.
    """
    log = Path(f"{path}-wal")
    if not begins(driver, until):
        return False
    try:
        _checkpoint(path)
    finally:
        driver.execute("ROLLBACK")
    driver.execute("PRAGMA journal_size_limit = 0")
    try:
        if not begins(driver, until):
            return False
        before = _head(log)
        (version,) = driver.execute("PRAGMA user_version").fetchone()
        driver.execute(f"PRAGMA user_version = {version}")
        driver.execute("COMMIT")
        return _head(log) != before
    finally:
        # What fails in between must not keep the lock.
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        driver.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")


def _head(log: Path) -> bytes:
    """Return what is another each time that the log begins anew."""
    with log.open("rb") as file:
        return file.read(HEAD_BYTES)


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def _checkpoint(path: Path) -> None:
    # What cannot be moved now stays in the log, where it is just as safe, until the next time.
    with (
        contextlib.suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
