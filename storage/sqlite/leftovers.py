"""Copies of a database on their way, and what runs that were killed have left of them."""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# What SQLite keeps beside a database, and would apply to another one that takes its place.
COMPANIONS = ("-wal", "-shm", "-journal")
# As `tempfile` names them, with what SQLite keeps beside.
IS_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}\.unfinished").fullmatch
PREFIX = "home-visits-copy-"


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Make a file beside `target` that is gone afterwards, unless it got another name; remove those of runs that were killed."""
    folder = target.absolute().parent
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
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, Path(name, "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished copies of runs that were killed, in a folder and in that for temporary files."""
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
    # One that has no lock yet holds nothing yet.
    with (folder / "lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def _remove(copy: Path) -> None:
    # Itself last: without it, nobody would look for the others.
    for suffix in (*COMPANIONS, ""):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
