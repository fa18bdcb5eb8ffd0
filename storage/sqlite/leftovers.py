"""Copies of a database on their way, and what runs that were killed have left of them."""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# What SQLite keeps beside a database, and would apply to another one that takes its place.
COMPANIONS = ("-wal", "-shm", "-journal")
# As `tempfile` names them, with what SQLite keeps beside.
IS_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}\.unfinished").fullmatch
PREFIX = "home-visits-copy-"
LOCK = "lock"
# A run has locked its folder long before.
LOCKING_SECONDS = 60.0


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Make a file beside `target` that is gone afterwards, unless it got another name; remove those of runs that were killed."""
    folder = target.absolute().parent
    # A backup to another disk is wanted above all where the own one is full.
    with contextlib.suppress(OSError):
        remove_leftovers(folder)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".unfinished", dir=folder)
    try:
        # For as long as it is locked, no other run takes it for a leftover.
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield Path(name)
    finally:
        _remove(Path(name))
        os.close(handle)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for a copy that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    with (folder / f"{LOCK}.new").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Nobody finds it before it is locked.
        Path(lock.name).rename(folder / LOCK)
        try:
            yield folder
        finally:
            _remove_locked_folder(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished copies of runs that were killed, in a folder and in that for temporary files.

    Raises OSError where one of these cannot be looked into.
    """
    for leftover in [file for file in folder.iterdir() if IS_UNFINISHED(file.name)]:
        with contextlib.suppress(OSError), leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(leftover)
    for temporary in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            _remove_temporary(temporary)


def _remove_temporary(folder: Path) -> None:
    # Another user may have put anything there.
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        return
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_locked_folder(folder)
    except FileNotFoundError:
        # Its run is about to lock it, or was killed before.
        if folder.stat().st_mtime < time.time() - LOCKING_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_locked_folder(folder: Path) -> None:
    # The lock last: a folder without one is passed over, if only for a while.
    for path in [path for path in folder.iterdir() if path.name != LOCK]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _remove(copy: Path) -> None:
    # Itself last: without it, nobody would look for the others.
    for suffix in (*COMPANIONS, ""):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
