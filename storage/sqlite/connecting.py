"""How connections to the file are set up: the pragmas without which none is safe to use."""

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from storage.sqlite import checkpoints
from storage.sqlite.locking import BUSY_SECONDS, POLL_MILLISECONDS, begin

EVERY_CONNECTION = (
    "foreign_keys = ON",
    "secure_delete = ON",
    "trusted_schema = OFF",
    f"busy_timeout = {int(BUSY_SECONDS * 1000)}",
    *checkpoints.PRAGMAS,
)
# The index of keywords is kept by triggers, in which SQLite before 3.44 takes it for unsafe.
TRUSTED = "OFF" if sqlite3.sqlite_version_info >= (3, 44) else "ON"
WRITER = (
    "journal_mode = WAL",
    "synchronous = FULL",
    *EVERY_CONNECTION,
    f"trusted_schema = {TRUSTED}",
    f"busy_timeout = {POLL_MILLISECONDS}",
)


def uri(path: Path, mode: str) -> str:
    """Return the file as a URI: whatever characters its path has, and opened as `ro` or `rw`."""
    return f"{path.absolute().as_uri()}?mode={mode}" + ("&immutable=1" if mode == "ro" and _is_at_rest(path) else "")


def is_writable(path: Path) -> bool:
    """Tell whether SQLite can keep its log beside the database, which it needs to even for reading."""
    return os.access(path.absolute().parent, os.W_OK)


def has_log(path: Path) -> bool:
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def has_index(path: Path) -> bool:
    """Tell whether the log can be read as it is: while the database is written by somebody who may, or after a crash."""
    return all(Path(f"{path}{suffix}").exists() for suffix in ("-wal", "-shm"))


def _is_at_rest(path: Path) -> bool:
    """Tell whether everything is in the file itself, and nobody can be writing."""
    return not is_writable(path) and not has_log(path) and not has_index(path)


def connected(path: Path, mode: str, *, check_same_thread: bool = True) -> sqlite3.Connection:
    return sqlite3.connect(uri(path, mode), uri=True, isolation_level=None, check_same_thread=check_same_thread)


def apply(connection: sqlite3.Connection, pragmas: Iterable[str]) -> None:
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")


def writer_of(path: Path) -> sa.Engine:
    """Return an engine of one connection, whose transactions nobody else writes beside."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), pool_size=1, max_overflow=0, pool_reset_on_return=None)
    sa.event.listen(engine, "connect", _prepare)
    checkpoints.keep_log_short(engine, path)
    sa.event.listen(engine, "begin", begin)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    # The driver's own transactions begin too late; ours take the write lock with their first word.
    connection.isolation_level = None
    try:
        apply(connection, WRITER)
    except BaseException:
        connection.close()  # SQLAlchemy forgets one that fails here
        raise
