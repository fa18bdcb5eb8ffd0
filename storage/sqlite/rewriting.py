"""Rewriting the file, which alone removes what SQLite leaves behind in its pages.

`secure_delete` zeroes what is deleted. But where rows move to another page, as one grows or shrinks, they stay as well where they
were, between the page's list of rows and its rows (https://sqlite.org/fileformat2.html#b_tree_pages), until something takes that
place. VACUUM writes each page anew, from rows that are there.
"""

import shutil
import sqlite3
import time
from collections.abc import Callable
from math import ceil
from pathlib import Path

from storage.sqlite.locking import is_busy

# Of a file, with what is made beside it: some two thirds of what was measured.
BYTES_A_SECOND = 100 << 20
# To the end of what another process is writing.
WAIT_SECONDS = 1.0
# SQLite's machine takes some milliseconds for so many.
STEPS = 100_000


def rewrite(driver: sqlite3.Connection, path: Path, seconds: float) -> str | None:
    """Rewrite the file where that keeps others from writing for so many seconds at most; return why it was not, and what to do.

    Others go on to read. What is written is in the log, as from any transaction. Raises SQLite's error where others are writing.
    """
    size = path.stat().st_size
    duration = size / BYTES_A_SECOND
    unused = f"{path} may hold, in unused parts of its pages, what was wiped"
    if duration > seconds:
        return f"{unused}: to rewrite it would keep others from writing for some {ceil(duration):,} s. {_longer(duration)}"
    # For the log, and for a temporary file, which may lie elsewhere.
    no_room = f"{unused}, and there is no room to rewrite it: free {ceil(3 * size / (1 << 20)):,} MB, and run it again."
    if shutil.disk_usage(path.parent).free < 3 * size:
        return no_room
    try:
        is_done = _vacuum(driver, seconds)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
            raise
        return f"{no_room} The copy is made in the folder that SQLITE_TMPDIR names, or in /var/tmp."
    if not is_done:
        return f"{unused}: to rewrite it takes longer than {seconds:g} s just now. {_longer(seconds)}"
    return None


def _longer(seconds: float) -> str:
    return f"Run it again in a quiet hour, with HOME_VISITS_ANONYMIZE_LOCK_SECONDS={min(ceil(3 * seconds), 3600)}."


def _after(last: float) -> Callable[[], bool]:
    return lambda: time.monotonic() > last


def _vacuum(driver: sqlite3.Connection, seconds: float) -> bool:
    """Return whether it was done: it is broken off, and rolled back, where it takes longer."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        # What comes after is about as long, and cannot be broken off.
        driver.set_progress_handler(_after(time.monotonic() + seconds / 2), STEPS)
        try:
            driver.execute("VACUUM")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return False
            if not is_busy(error) or time.monotonic() > until:
                raise
        else:
            return True
        finally:
            driver.set_progress_handler(None, 0)
