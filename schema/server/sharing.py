"""Metrics that workers share, in files allocated before any of them starts.

A worker writes them as memory, and the system kills whoever writes a page of a file for which there is no room.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prometheus_client import values

PREFIX = "home-visits-"
# Memory of the machine's, where the folder for temporary files is full.
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
# By the first part of prometheus-client's names. `metrics.MAX_LABELLED` and `MAX_DEPRECATED` keep counters within theirs.
SIZES = {
    "counter": 2 * 1024 * 1024 + 256 * 1024,
    "histogram": 64 * 1024,
    "gauge_livesum": 64 * 1024,
    "gauge_livemostrecent": 64 * 1024,
}
# Older ones without a lock are left behind; younger ones may just be made.
_UNLOCKED_SECONDS = 3600

log = logging.getLogger(__name__)


class SharedMetrics(NamedTuple):
    """The folder of all workers' files, and which of them are this worker's: those of the one before it, which go on counting."""

    folder: Path
    worker: int


class SharedFolder(NamedTuple):
    """The folder, and the lock that is held while the supervisor or a worker lives."""

    path: Path
    lock: int

    def forget_gauges(self, worker: int) -> None:
        """Drop the gauges of a worker that has ended; what it counted stays counted."""
        for kind in ("gauge_livesum", "gauge_livemostrecent"):
            with suppress(OSError), _file(self.path, kind, worker).open("r+b") as file:
                file.write(bytes(8))  # how much of it is used

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def make_shared_folder(workers: int) -> SharedFolder | None:
    """Allocate the files of so many workers, where there is room for them; remove what killed servers left there."""
    reason: OSError | None = None
    for parent in (tempfile.gettempdir, lambda: MEMORY):
        try:
            _remove_leftovers(Path(parent()))
            return _make_folder(Path(parent()), workers)
        except OSError as error:
            reason = error
    log.warning("Each worker's metrics are its own: there is no room to share them (%s)", reason and reason.strerror)
    return None


def use_files(shared: SharedMetrics | None) -> None:
    """Keep the values of metrics that are created from now on in these files, or in memory."""
    multiple = shared and values.MultiProcessValue(lambda: shared.worker)  # type: ignore[no-untyped-call]  # prometheus-client's own
    values.ValueClass = multiple or values.MutexValue


def _make_folder(parent: Path, workers: int) -> SharedFolder:
    # Found by its final name only once it is locked.
    folder = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        for worker in range(workers):
            for kind, size in SIZES.items():
                # Written, as to allocate without writing is not possible on every system.
                _file(folder, kind, worker).write_bytes(bytes(size))
        return SharedFolder(folder.rename(parent / folder.name.removeprefix(".")), lock)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _file(folder: Path, kind: str, worker: int) -> Path:
    return folder / f"{kind}_{worker}.db"


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"*{PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            if folder.is_symlink() or not folder.is_dir() or status.st_uid != os.getuid():
                continue
            if _is_left_behind(folder, time.time() - status.st_mtime):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left_behind(folder: Path, age: float) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return age > _UNLOCKED_SECONDS
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(lock)
