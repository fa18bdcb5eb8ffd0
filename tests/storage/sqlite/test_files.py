"""What is looked for in a database's files is found, and what SQLite itself does to them is never taken for it."""

import asyncio
import itertools
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from storage.errors import DatabaseUnusable, WriteInDoubt
from storage.repository import HomeVisits
from storage.sqlite import health
from storage.sqlite.database import SQLiteDatabase
from storage.sqlite.files import GONE, LOG_CUT, OVERWRITTEN, OpenFiles
from tests.inspection import connected
from tests.storage.homes import EVERYTHING, Clock, booking, keep, visit
from tests.storage.sqlite.handling import name_alice


async def test_checkpoints_of_other_processes_beside_writes_are_no_fault(
    database: SQLiteDatabase, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    visits, done = HomeVisits(database, EVERYTHING, Clock()), asyncio.Event()
    checkpoints: list[str] = []

    def checkpoint() -> None:
        with connected(path) as other:
            for mode in itertools.cycle(("PASSIVE", "FULL", "RESTART", "TRUNCATE")):
                if done.is_set():
                    return
                other.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
                checkpoints.append(mode)

    async def look() -> None:
        while not done.is_set():
            await database.check()
            await asyncio.sleep(0)

    beside = [asyncio.create_task(asyncio.to_thread(checkpoint)), asyncio.create_task(look())]
    try:
        for booked in itertools.count():
            await visits.book(booking(notes="x" * 9_000))
            if booked >= 60 and len(set(checkpoints)) == 4:
                break
    finally:
        done.set()
    await asyncio.gather(*beside)

    assert set(checkpoints) == {"PASSIVE", "FULL", "RESTART", "TRUNCATE"}
    assert caplog.records == []


async def test_a_checkpoint_beside_a_reader_of_an_older_state_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    with connected(path) as writer, connected(path) as reader:
        for pragma in ("journal_mode = WAL", "wal_autocheckpoint = 0"):
            writer.execute(f"PRAGMA {pragma}")
        writer.execute("CREATE TABLE rows (text)")
        writer.execute("PRAGMA wal_checkpoint").fetchall()
        opened = OpenFiles(path)
        for _ in range(100):
            writer.execute("INSERT INTO rows VALUES (?)", ("x" * 500,))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM rows").fetchall()
        # Into the last page: only this page waits for the reader, not the first one, which counts it.
        writer.execute("INSERT INTO rows VALUES ('y')")
        [(_, frames, moved)] = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        [(pages,)] = writer.execute("PRAGMA page_count").fetchall()

        assert (frames - moved, path.stat().st_size) == (1, (pages - 1) * 4096)
        assert (opened.fault(), opened.is_overwritten) == (None, False)
        reader.execute("COMMIT")
        writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        assert opened.fault() is None
        opened.close()


class Interrupted(OpenFiles):
    """Somebody else looks, from another thread, just after the file was read."""

    other: threading.Thread | None = None

    def _read_main(self) -> Any:
        main = super()._read_main()
        if self.other is None and hasattr(self, "_main"):
            self.other = threading.Thread(target=self.fault)
            self.other.start()
            self.other.join(0.2)
        return main


def test_a_checkpoint_is_no_fault_to_two_threads_that_look_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    with connected(path) as writer:
        for pragma in ("journal_mode = WAL", "wal_autocheckpoint = 0"):
            writer.execute(f"PRAGMA {pragma}")
        writer.execute("CREATE TABLE rows (text)")
        opened = Interrupted(path)
        writer.execute("PRAGMA wal_checkpoint").fetchall()

        faults = [opened.fault(), opened.fault()]

        assert opened.other
        opened.other.join()
        opened.close()
    assert faults == [None, None]


async def test_a_log_whose_beginning_is_lost_is_cut_off_though_it_is_long_again(database: SQLiteDatabase, path: Path) -> None:
    await keep(database, visit(1))
    log = path.with_name("home_visits.db-wal")
    length = log.stat().st_size

    os.truncate(log, 0)
    os.truncate(log, length)

    with pytest.raises(DatabaseUnusable) as refused:
        await keep(database, visit(2))
    assert str(refused.value) == LOG_CUT.reason


async def test_a_commit_into_a_file_that_has_gone_meanwhile_is_in_doubt(database: SQLiteDatabase, path: Path) -> None:
    with pytest.raises(WriteInDoubt):
        await database.write(lambda session: (name_alice(session, "Alison"), path.unlink()))

    with pytest.raises(DatabaseUnusable) as refused:
        await database.write(lambda session: name_alice(session, "Alexa"))
    assert str(refused.value) == GONE.reason


async def test_a_fault_is_logged_when_it_begins_and_when_it_ends(
    database: SQLiteDatabase, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = path.with_name("away.db")
    for _ in range(2):
        path.rename(away)  # noqa: ASYNC240 - a folder of the test's own, which blocks nobody
        for _ in range(3):
            with pytest.raises(DatabaseUnusable):
                await database.check()
        away.rename(path)
        await database.check()

    logged = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    began = (health.__name__, "ERROR", f"The database cannot be used. {GONE.reason}")
    assert logged == [began, (health.__name__, "WARNING", "The database can be used again")] * 2


def test_all_processes_say_the_same_of_a_file_that_was_written_over_and_each_log_is_kept(
    database: SQLiteDatabase, path: Path
) -> None:
    first, second = OpenFiles(path), OpenFiles(path)
    log = Path(f"{path}-wal").read_bytes()
    Path(f"{path}.orphaned-wal").write_text("the log of another day")

    path.write_bytes(path.read_bytes()[:24] + b"\xff" * 8 + path.read_bytes()[32:])
    faults = [first.fault(), second.fault(), first.fault()]
    first.close()
    second.close()

    assert faults == [OVERWRITTEN] * 3
    assert Path(f"{path}.orphaned-wal").read_text() == "the log of another day"
    assert Path(f"{path}.orphaned-2-wal").read_bytes() == log
