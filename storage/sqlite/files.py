"""The files behind the connections: whether they are still those under their names, and hold what SQLite wrote into them.

A server goes on writing into a file that was deleted or replaced, and would acknowledge what no restart finds.
"""

import fcntl
import glob
import itertools
import logging
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import NamedTuple

from storage.errors import DatabaseUnusable

log = logging.getLogger(__name__)

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
# As https://sqlite.org/walformat.html has them: the index of the log, and what checkpoints note in it.
INDEX_BYTES = 136
LOG_HEADER_BYTES, LOG_SALTS_AT, FRAME_HEADER_BYTES = 32, 16, 24
NOT_WRITABLE = "cannot be written to: give this user permission to"
# Where each connection holds a shared lock on a database that is written by way of a log, however idle it is.
LOCK_START, LOCK_BYTES = 0x40000002, 510


class Fault(NamedTuple):
    """Why a database cannot be used, as operators are told. `allows_reads`: what it answers is still true."""

    reason: str
    allows_reads: bool = False


GONE = Fault("The database's file is gone. Put it back, or stop the server and restore a backup.", allows_reads=True)
REPLACED = Fault(
    "Another file took the place of the database's. Put the first one back, or restart the server to serve this one."
)
LOG_GONE = Fault(
    "The database's log (its file -wal or -shm) is gone. Restart the server: stopping, it saves what the log held.",
    allows_reads=True,
)
LOG_REPLACED = Fault("Another file took the place of the database's log (-wal or -shm). Stop the server and restore a backup.")
LOG_CUT = Fault("The database's log (-wal) was cut off. Stop the server and restore a backup.")
OVERWRITTEN = Fault("Something else wrote into the database's file. Stop the server and restore a backup.")
READ_ONLY = Fault("The database's files cannot be written to any more. Give the server's user permission to.", allows_reads=True)

# Of the file, its log and the log's index: gone, or replaced.
FAULTS = ((GONE, REPLACED), (LOG_GONE, LOG_REPLACED), (LOG_GONE, LOG_REPLACED))


class _Index(NamedTuple):
    """What the index of the log says: how many frames the log has, and how many checkpoints have moved, or begun to."""

    frames: int
    salts: bytes
    moved: int
    attempted: int

    @property
    def is_settled(self) -> bool:
        return self.moved == self.attempted

    @property
    def is_moved_whole(self) -> bool:
        return self.moved == self.frames

    def has_same_checkpoints(self, other: "_Index") -> bool:
        return self[1:] == other[1:]


class _Main(NamedTuple):
    """The database's file as it is seen without SQLite."""

    size: int
    modified: int
    header: bytes

    @property
    def page_bytes(self) -> int:
        size = int.from_bytes(self.header[16:18], "big")
        return 65536 if size == 1 else size

    @property
    def is_whole(self) -> bool:
        pages = int.from_bytes(self.header[28:32], "big")
        return self.size >= pages * self.page_bytes

    @property
    def has_log(self) -> bool:
        """Tell whether it is a database that is written by way of a log."""
        return len(self.header) == HEADER_BYTES and self.header.startswith(MAGIC) and self.header[18:20] == b"\2\2"


class OpenFiles:
    """The files of a database that connections have opened; made when these are open, closed when they are closed.

    Descriptors stay open until then: to close one would drop the locks that SQLite holds on the file in this process
    (https://sqlite.org/howtocorrupt.html).
    """

    def __init__(self, path: Path) -> None:
        self._paths = [path, Path(f"{path}-wal"), Path(f"{path}-shm")]
        self._overwritten = False
        # The event loop and threads look, and compare what they see with what was seen last.
        self._looking = RLock()
        with suppress(FileNotFoundError):
            self._main_descriptor = os.open(path, os.O_RDONLY)
            self._log_descriptor = os.open(self._paths[1], os.O_RDONLY)
            self._index_descriptor = os.open(self._paths[2], os.O_RDONLY)
            self._inodes = [_inode(path.stat()) for path in self._paths]
            if self._inodes[0] == _inode(os.fstat(self._main_descriptor)):
                self.accept()
                self._frame_bytes = FRAME_HEADER_BYTES + self._main.page_bytes
                return
        raise DatabaseUnusable(REPLACED.reason)

    def close(self) -> None:
        os.close(self._main_descriptor)
        os.close(self._log_descriptor)
        os.close(self._index_descriptor)

    @property
    def is_overwritten(self) -> bool:
        """Tell whether the log is no longer that of the file, and must not be written into it."""
        return self._overwritten

    def fault(self) -> Fault | None:
        """Return what keeps writes from being found by the next to open the database."""
        with self._looking:
            return self._fault()

    def _fault(self) -> Fault | None:
        if self._overwritten:
            return OVERWRITTEN
        # Before the files: what is then seen of them is at least as new.
        index, sizes = self._read_index(), []
        for path, inode, (gone, replaced) in zip(self._paths, self._inodes, FAULTS, strict=True):
            try:
                stat = path.stat()
            except FileNotFoundError:
                if gone is LOG_GONE and self._is_log_put_aside():
                    self.condemn()
                    return OVERWRITTEN
                return gone
            except OSError as error:
                return Fault(f"The database's files cannot be reached: {error.strerror}. Check their folder and its permissions.")
            if _inode(stat) != inode:
                return replaced
            sizes.append(stat.st_size)
        return self._overwriting(index) or self._cutting_of_log(index, sizes[1])

    def _is_log_put_aside(self) -> bool:
        """Tell whether another process has found out that the log is not that of the file any more."""
        main, log = self._paths[0], self._inodes[1]
        aside = main.parent.glob(f"{glob.escape(main.name)}.orphaned*-wal")
        return any(_inode(file.stat()) == log for file in aside)

    def permission_fault(self) -> Fault | None:
        return None if all(os.access(path, os.W_OK) for path in self._paths) else READ_ONLY

    def condemn(self) -> None:
        """Take the file for one that holds what SQLite did not write, for good."""
        self._overwritten = True

    def accept(self) -> None:
        """Take the file as it is for what SQLite wrote."""
        with self._looking:
            self._index, self._main = self._read_index(), self._read_main()

    def _overwriting(self, index: _Index) -> Fault | None:
        """Look for what was written into the file by anything but a checkpoint; `index` was read before the file is."""
        stat = os.fstat(self._main_descriptor)
        if (stat.st_size, stat.st_mtime_ns) == self._main[:2]:
            self._index = index
            return None
        main = self._read_main()
        if not self._is_explained(index, main):
            if main.header != self._main.header:
                self.condemn()
                put_log_aside(self._paths[0])
            return OVERWRITTEN
        # Read once more, the file after the index, because a checkpoint may be on its way.
        self.accept()
        return None

    def _is_explained(self, index: _Index, main: _Main) -> bool:
        """Tell whether a checkpoint changed the file: the index says so before it writes, and again after it has written."""
        if not main.has_log:
            return False
        now = self._read_index()
        if not now.is_settled or not now.has_same_checkpoints(index):
            return True
        if self._index.is_settled and index.has_same_checkpoints(self._index):
            return False
        # Beside a reader of an older state, the last pages may have to wait in the log, while the first one counts them already.
        return main.is_whole or not index.is_moved_whole

    def _cutting_of_log(self, index: _Index, size: int) -> Fault | None:
        if not index.frames:
            return None
        # A write that was on its way makes a log long again that was cut off, without its beginning.
        salts = os.pread(self._log_descriptor, len(index.salts), LOG_SALTS_AT)
        if salts == index.salts and size >= LOG_HEADER_BYTES + index.frames * self._frame_bytes:
            return None
        # One that was begun anew meanwhile may be shorter.
        return LOG_CUT if self._read_index().salts == index.salts else None

    def _read_index(self) -> _Index:
        content = os.pread(self._index_descriptor, INDEX_BYTES, 0).ljust(INDEX_BYTES, b"\0")
        (frames,) = struct.unpack_from("=I", content, 16)
        (moved,) = struct.unpack_from("=I", content, 96)
        (attempted,) = struct.unpack_from("=I", content, 128)
        return _Index(frames, content[32:40], moved, attempted)

    def _read_main(self) -> _Main:
        stat = os.fstat(self._main_descriptor)
        return _Main(stat.st_size, stat.st_mtime_ns, os.pread(self._main_descriptor, HEADER_BYTES, 0))


def _inode(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


def keep_private(path: Path) -> None:
    """Make the file where there is none, for its owner alone, and close one that is there to all but its owner and group.

    SQLite gives what it keeps beside a database the same permissions.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        close_to_others(name)


def close_to_others(path: Path) -> None:
    with suppress(OSError):
        mode = path.stat().st_mode & 0o777
        if mode & 0o007:
            path.chmod(mode & 0o770)


def obstacle(path: Path) -> str | None:
    """Return why the database cannot be written, as a sentence that says what to do goes on; None where it can."""
    if not os.access(path.parent, os.W_OK):
        return f"{path.parent} is no folder that can be written to: make it"
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        if name.exists() and not os.access(name, os.W_OK):
            return f"{name} {NOT_WRITABLE}"
    return None


def put_foreign_log_aside(path: Path) -> None:
    """Put a log aside that SQLite would apply to a database which took the place of the log's own.

    A backup, as one with a rollback journal, has no log: one beside it was left by what was there before.
    """
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
        has_foreign_log = header.startswith(MAGIC) and header[18:20] == b"\1\1" and Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return
    if has_foreign_log:
        put_log_aside(path)


def put_log_aside(path: Path) -> None:
    """Give the log of a database that is gone a name of its own: it holds the last changes of that one."""
    names = (f"{path}.orphaned{'' if number == 1 else f'-{number}'}" for number in itertools.count(1))
    aside = next(name for name in names if not Path(f"{name}-wal").exists())
    for suffix in ("-wal", "-shm"):
        with suppress(OSError):
            os.replace(f"{path}{suffix}", f"{aside}{suffix}")  # noqa: PTH105 - names, as SQLite makes them
    log.error(
        "%s does not belong to %s, and was put aside as %s: it holds the last changes of the database that was there",
        f"{path}-wal",
        path,
        f"{aside}-wal",
    )


def kept_aside(path: Path) -> list[Path]:
    """Return what was kept of databases that were here before: by a restore, and logs that belonged to another file."""
    name = glob.escape(path.name)
    return sorted(file for kind in ("before-restore", "orphaned") for file in path.parent.glob(f"{name}.{kind}*"))


def lock_holder(path: Path) -> int | None:
    """Return a process, other than this one, that has the database open; None where there is none, or where nobody can tell."""
    if sys.platform != "linux":
        return None
    flock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, LOCK_START, LOCK_BYTES, 0)
    try:
        with path.open("rb") as file:
            kind, _, _, _, process = struct.unpack("hhqqi", fcntl.fcntl(file, fcntl.F_GETLK, flock))
    except OSError:
        return None
    return process if kind != fcntl.F_UNLCK else None


def programs_with(path: Path) -> list[str]:
    """Return the processes that have a file open, with the words that started them; none where they cannot be seen."""
    inode, found = _inode(path.stat()), []
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda process: int(process.name)):
        with suppress(OSError):
            if any(_is_same(descriptor, inode) for descriptor in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found.append(f"{process.name} ({' '.join(words).strip()[:80]})")
    return found


def _is_same(descriptor: Path, inode: tuple[int, int]) -> bool:
    with suppress(OSError):
        return _inode(descriptor.stat()) == inode
    return False
