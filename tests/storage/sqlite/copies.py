"""What the tests of copies know: how to keep a visit, spoil a file, and run out of room."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.sqlite.database import SQLiteDatabase
from tests.storage.homes import everything_in, keep, visit

ROOT = Path(__file__).parents[3]


async def keep_visit(path: Path, number: int) -> None:
    database = await SQLiteDatabase(path).open()
    await keep(database, visit(number))
    await database.close()


@contextmanager
def flushes(monkeypatch: pytest.MonkeyPatch, named: Path) -> Iterator[list[tuple[int, int]]]:
    """Note the inode of all that is flushed to the disk meanwhile, and the one that had the name at that moment."""
    inodes: list[tuple[int, int]] = []

    def note_and_flush(descriptor: int, flush: Callable[[int], None] = os.fsync) -> None:
        flush(descriptor)
        inodes.append((os.fstat(descriptor).st_ino, named.stat().st_ino if named.exists() else 0))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", note_and_flush)
        yield inodes


def visits_in(path: Path) -> list[str]:
    return [row[1][-1] for row in everything_in(path)["home_visits"]]


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def damage(path: Path, *, page: int = 2) -> None:
    """Overwrite two pages; they are counted from 1."""
    with path.open("r+b") as file:
        file.seek(4096 * (page - 1))
        file.write(b"\xa5" * 8192)


def with_room_for(bytes: int, call: str, *paths: Path) -> str:
    """Run a call in a process that may write files of that size only, and return what it says to that."""
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from storage.sqlite.backup import backup, restore\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, {bytes}))\n"
        f"{call}(*map(Path, sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, *map(str, paths)]
    failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return failed.stderr.splitlines()[-1]
