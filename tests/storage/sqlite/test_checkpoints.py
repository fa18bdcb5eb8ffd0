"""The log is moved into the database in time, and never while anybody writes."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlmodel import Session, col, update

from storage.database import Database
from storage.models import User
from storage.sqlite import checkpoints
from storage.sqlite.checkpoints import LOG_BYTES
from storage.sqlite.database import SQLiteDatabase
from tests.inspection import connected
from tests.storage.homes import ALICE, everything_in

# Two of them do not yet make the log too long, three do.
LONG = LOG_BYTES * 2 // 5


async def rename_alice(database: Database, name: str, length: int = LONG) -> None:
    def work(session: Session) -> None:
        session.exec(update(User).where(col(User.id) == ALICE).values(first_name=name * (length // len(name))))

    await database.write(work)


def log_of(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def without_log(path: Path, folder: Path) -> str:
    """Return what the database would hold if its log were lost."""
    alone = shutil.copy(path, folder / "alone.db")
    return str(everything_in(alone)["users"])


async def test_the_log_is_begun_anew_once_it_is_long(database: Database, path: Path) -> None:
    lengths = []

    for number in range(30):
        await rename_alice(database, f"Alice {number}")
        lengths.append(log_of(path))

    assert lengths[1] < LOG_BYTES < lengths[2]
    # Cut off where it may end, until it is long again.
    assert lengths[3] == LOG_BYTES
    assert max(lengths) < LOG_BYTES + 2 * LONG


async def test_what_other_processes_write_counts_as_well(path: Path) -> None:
    databases = [await SQLiteDatabase(path).open() for _ in range(5)]

    for number in range(6):
        for database in databases:
            await rename_alice(database, f"Alice {number}")
    longest = log_of(path)
    for database in databases:
        await database.close()

    assert longest < LOG_BYTES + 2 * LONG


async def test_nobody_can_write_beside_a_checkpoint(database: Database, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = []
    make = checkpoints._checkpoint

    def try_to_write_and_make(path: Path) -> None:
        with connected(path, timeout=0) as other:
            with pytest.raises(sqlite3.OperationalError) as refused:
                other.execute("BEGIN IMMEDIATE")
            refusals.append(str(refused.value))
        make(path)

    monkeypatch.setattr(checkpoints, "_checkpoint", try_to_write_and_make)
    for number in range(5):
        await rename_alice(database, f"Alice {number}")

    assert refusals == ["database is locked"]


async def test_a_reader_that_still_needs_the_log_holds_up_no_write(database: Database, path: Path, tmp_path: Path) -> None:
    with connected(path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM users").fetchall()
        for number in range(5):
            await rename_alice(database, f"Alice {number}")
        beside_a_reader = without_log(path, tmp_path)
    await rename_alice(database, "Alexa")
    moved = without_log(path, tmp_path)

    assert "Alice 4" not in beside_a_reader
    assert "Alice 4" in moved


async def test_a_checkpoint_that_cannot_be_made_fails_no_write(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await rename_alice(database, f"Alice {number}")

    def refuse(*_arguments: object, **_options: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", refuse)
        await rename_alice(database, "Alexa", length=5)

    assert "'Alexa'" in str(everything_in(path)["users"])


async def test_a_log_that_a_reader_keeps_from_being_moved_is_told_with_who_has_it_open(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "WARNING_BYTES", 2 * LOG_BYTES)
    with connected(path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM users").fetchall()
        for number in range(9):
            await rename_alice(database, f"Alice {number}")

    [message] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    size, _, rest = message.removeprefix(f"The log {path}-wal has grown to ").partition(" MB: ")
    assert int(size) in (7, 8, 9)
    assert rest.startswith("somebody has been reading for long, and keeps it from being moved into the database: a backup, ")
    assert f" {os.getpid()} (" in rest
