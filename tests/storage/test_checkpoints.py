"""The log is moved into the database in time, and never while anybody writes."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlmodel import Session, col, update

from storage import checkpoints
from storage.database import Database
from storage.models import User
from tests.storage.homes import ALICE, everything_in


async def rename_alice(database: Database, name: str) -> None:
    def work(session: Session) -> None:
        session.exec(update(User).where(col(User.id) == ALICE).values(first_name=name))

    await database.write(work)


def log_of(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def without_log(path: Path, folder: Path) -> str:
    """Return what the database would hold if its log were lost."""
    alone = shutil.copy(path, folder / "alone.db")
    return str(everything_in(alone)["users"])


async def test_the_log_stays_as_long_as_what_is_written_between_two_checkpoints(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "ROWS", 10)
    lengths = []

    for number in range(100):
        await rename_alice(database, f"Alice {number}")
        lengths.append(log_of(path))

    assert lengths[8] < lengths[9] == lengths[99]


async def test_what_a_process_left_in_the_log_is_moved_before_the_first_write_of_the_next(path: Path, tmp_path: Path) -> None:
    first, second = await Database(path).open(), await Database(path).open()

    await rename_alice(first, "Alison")
    left = without_log(path, tmp_path)
    await rename_alice(second, "Alexa")
    moved = without_log(path, tmp_path)
    await first.close()
    await second.close()

    assert "Alison" not in left
    assert "Alison" in moved


async def test_nobody_can_write_beside_a_checkpoint(database: Database, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = []
    make = checkpoints._checkpoint

    def try_to_write_and_make(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError) as refused:
                other.execute("BEGIN IMMEDIATE")
            refusals.append(str(refused.value))
        make(path)

    monkeypatch.setattr(checkpoints, "_checkpoint", try_to_write_and_make)
    await rename_alice(database, "Alison")
    await rename_alice(database, "Alexa")

    assert refusals == ["database is locked"]


async def test_a_reader_that_still_needs_the_log_holds_up_no_write(
    database: Database, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "ROWS", 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM users").fetchall()
        for number in range(5):
            await rename_alice(database, f"Alice {number}")
        held_up = without_log(path, tmp_path)
    await rename_alice(database, "Alexa")
    moved = without_log(path, tmp_path)

    assert "Alice 4" not in held_up
    assert "Alice 4" in moved


async def test_a_checkpoint_that_cannot_be_made_fails_no_write(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "ROWS", 1)
    elsewhere = path.with_name("elsewhere.db")
    os.rename(path, elsewhere)  # noqa: PTH104 - a folder of the test's own, which blocks nobody

    await rename_alice(database, "Alison")
    await rename_alice(database, "Alexa")

    os.rename(elsewhere, path)  # noqa: PTH104 - see above
    assert "Alexa" in str(everything_in(path)["users"])
