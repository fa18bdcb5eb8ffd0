"""Copies of the database: one taken while it is served, one put back."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from storage import migrations
from storage.database import Progress
from storage.errors import DatabaseUnusable
from storage.sqlite.connecting import EVERY_CONNECTION, apply, connected, has_index, has_log, is_writable
from storage.sqlite.files import close_to_others, put_foreign_log_aside
from storage.sqlite.leftovers import COMPANIONS, temporary_folder, unfinished
from storage.sqlite.migrating import revision
from storage.sqlite.revoking import revoke, revoked_since
from storage.sqlite.schemas import strangeness

PAGES_AT_ONCE = 4096
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def backup(path: Path, target: Path, progress: Progress | None = None) -> None:
    """Copy a database to a new file that only its owner can read, however busily it is written meanwhile.

    Every write acknowledged before the start is in it. `progress` is called with the pages done and their total.
    Raises DatabaseUnusable where there is nothing to copy, or nowhere to copy it to.
    """
    if target.exists():
        raise DatabaseUnusable(f"{target} exists already: name a new file for the backup.")
    with _translate_errors(f"{path} cannot be backed up to {target}"), _readable(path) as source, unfinished(target) as copy:
        if revision(source) is None:
            raise DatabaseUnusable(f"{path} holds no home visits yet: there is nothing to back up.")
        _copy(source, copy, progress)
        if found := problem(copy, "PRAGMA quick_check(1)"):
            raise DatabaseUnusable(f"{path} is damaged ({found}): restore the last backup.")
        _publish(copy, target)


def restore(source: Path, path: Path) -> Path | None:
    """Put a backup in the place of a database that nobody has open; return the name under which the old one is kept.

    The backup is copied and checked before anything is touched. Keys that were revoked since stay revoked. Raises
    DatabaseUnusable where it is damaged, no database of ours or of a newer version, or where the old one is in use.
    """
    _require_restorable(source, path)
    put_foreign_log_aside(path)
    with _translate_errors(f"{source} cannot be restored to {path}"), unfinished(path) as copy:
        _copy(source, copy)
        if found := strangeness(copy):
            raise DatabaseUnusable(f"{source} is no backup of this program's: {found}. Name a file that the command backup made.")
        if found := problem(copy, "PRAGMA integrity_check(1)"):
            raise DatabaseUnusable(f"{source} is damaged ({found}): restore another backup.")
        revoke(copy, revoked_since(path, copy) or {})
        with _nobody_else_using(path):
            return _replace(path, copy)


def _require_restorable(source: Path, path: Path) -> None:
    step = revision(source) if source.is_file() else None
    if step is None:
        raise DatabaseUnusable(f"{source} is no backup: name a file that the command backup made.")
    migrations.require_served(step, None, str(source))
    if path.exists() and path.samefile(source):
        raise DatabaseUnusable(f"{source} is the database itself: name a backup of it.")


@contextlib.contextmanager
def _translate_errors(failed: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatabaseUnusable(f"{failed}: {error.strerror}. Check the folder, its permissions and its space.") from error
    except sqlite3.Error as error:
        raise DatabaseUnusable(f"{failed}: {error}. Check the files, their permissions and their space.") from error


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """Return the database, or a copy of its files where it has a log that SQLite could not read beside it."""
    if is_writable(path) or not has_log(path) or has_index(path):
        yield path
        return
    with temporary_folder() as folder:
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", folder / f"{path.name}{suffix}")
        yield folder / path.name


def _copy(path: Path, copy: Path, progress: Progress | None = None) -> None:
    def report(_status: int, left: int, total: int) -> None:
        if progress:
            progress(total - left, total)

    with (
        closing(connected(path, "rw" if is_writable(path) else "ro")) as source,
        closing(sqlite3.connect(copy, isolation_level=None)) as target,
    ):
        # Who moves what out of the log, and when: see storage.sqlite.checkpoints.
        source.execute("PRAGMA wal_autocheckpoint = 0")
        # Within one transaction the copying sees one state, and never has to begin again.
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM sqlite_schema").fetchone()
        source.backup(target, pages=PAGES_AT_ONCE, progress=report)
        # A single file, that can be read where nothing can be written.
        target.execute("PRAGMA journal_mode = DELETE")
    _flush(copy)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _publish(copy: Path, target: Path) -> None:
    """Give the copy its name, but not that of a file which has come into being meanwhile."""
    try:
        target.hardlink_to(copy)
    except FileExistsError:
        raise DatabaseUnusable(f"{target} exists already: name a new file for the backup.") from None
    except OSError:  # a file system without links
        copy.rename(target)
    _flush(target.absolute().parent)


def problem(copy: Path, check: str) -> str | None:
    """Return what a check of SQLite's, or of references, finds wrong."""
    with closing(sqlite3.connect(copy)) as connection:
        apply(connection, EVERY_CONNECTION)
        try:
            (answer,) = connection.execute(check).fetchone()
            dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in DAMAGED:
                raise
            return str(error)
    if answer != "ok":
        return str(answer)
    return f"{dangling[0]} refer to {dangling[2]} that are not there" if dangling else None


@contextlib.contextmanager
def _nobody_else_using(path: Path) -> Iterator[None]:
    """Hold the lock that SQLite gives only to one who is alone; put what is beside the database into it."""
    if not path.exists():
        yield
        return
    with closing(connected(path, "rw")) as connection:
        connection.execute("PRAGMA busy_timeout = 1000")
        if not _is_alone(connection):
            raise DatabaseUnusable(f"{path} is in use: stop the server, then restore the backup.")
        yield


def _is_alone(connection: sqlite3.Connection) -> bool:
    try:
        # Each connection to a database with a log holds a lock, however idle: only the last one may do away with the log.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        return bool(connection.execute("PRAGMA journal_mode").fetchone() == ("delete",))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in IN_USE:
            return False
        if error.sqlite_errorcode & 0xFF in DAMAGED:  # that is why a backup is needed
            return True
        raise


def _replace(path: Path, copy: Path) -> Path | None:
    old = _free_name(path)
    for companion in COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{companion}").rename(f"{old}{companion}")
    existed = path.exists()
    if existed:
        _link_or_copy(path, old)
        close_to_others(path)
        shutil.copymode(path, copy)
        with contextlib.suppress(PermissionError):
            os.chown(copy, path.stat().st_uid, path.stat().st_gid)
    copy.replace(path)
    _flush(path.absolute().parent)
    return old if existed else None


def _free_name(path: Path) -> Path:
    number = 1
    while (old := Path(f"{path}.before-restore" + (f"-{number}" if number > 1 else ""))).exists():
        if path.exists() and old.samefile(path):  # by a run that was killed before it put the backup in its place
            old.unlink()
            break
        number += 1
    return old


def _link_or_copy(path: Path, old: Path) -> None:
    # With a second name for the old database there is no moment without one under the first.
    try:
        old.hardlink_to(path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        shutil.copy2(path, old)
