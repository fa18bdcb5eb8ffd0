"""A copy made under load holds every acknowledged write, and putting one back loses nothing that was there."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from storage.errors import DatabaseUnusable
from storage.repository import HomeVisits
from storage.sqlite.backup import backup, restore
from storage.sqlite.database import SQLiteDatabase
from tests.inspection import connected, inspect
from tests.storage.homes import EVERYTHING, Clock, booking, everything_in
from tests.storage.sqlite.copies import damage, flushes, keep_visit, listing, with_room_for


def test_a_backup_holds_what_the_database_holds(path: Path, tmp_path: Path) -> None:
    asyncio.run(keep_visit(path, 1))

    backup(path, tmp_path / "copy.db")

    assert everything_in(tmp_path / "copy.db") == everything_in(path)


def test_a_backup_is_one_file_that_only_its_owner_can_read(path: Path, tmp_path: Path) -> None:
    backup(path, tmp_path / "copy.db")

    assert listing(tmp_path) == ["copy.db", "home_visits.db"]
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600


def test_a_backup_is_on_the_disk_before_it_has_its_name_and_then_its_name_is(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "copy.db"

    with flushes(monkeypatch, target) as flushed:
        backup(path, target)

    copy, folder = target.stat().st_ino, tmp_path.stat().st_ino
    assert flushed == [(copy, 0), (folder, copy)]


def test_a_backup_can_be_read_where_nothing_can_be_written(path: Path, tmp_path: Path) -> None:
    backup(path, tmp_path / "copy.db")

    with closing(sqlite3.connect(f"file:{tmp_path / 'copy.db'}?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("SELECT count(*) FROM locations").fetchone() == (2,)


async def test_a_backup_under_load_holds_every_write_acknowledged_before_it(path: Path, tmp_path: Path) -> None:
    database = await SQLiteDatabase(path).open()
    visits = HomeVisits(database, EVERYTHING, Clock())
    booked: asyncio.Queue[str] = asyncio.Queue()
    done = asyncio.Event()

    async def write() -> None:
        while not done.is_set():
            booked.put_nowait((await visits.book(booking())).id)

    writers = [asyncio.create_task(write()) for _ in range(5)]
    acknowledged: set[str] = set()
    for number in range(5):
        acknowledged |= {await booked.get() for _ in range(20)}
        await asyncio.to_thread(backup, path, tmp_path / f"copy-{number}.db")

        kept = everything_in(tmp_path / f"copy-{number}.db")
        assert acknowledged <= {row[1] for row in kept["home_visits"]}
        assert len(kept["home_visits"]) == len(kept["home_visit_events"]) == len(kept["outbox_messages"])
    done.set()
    await asyncio.gather(*writers)
    await database.close()


def test_a_backup_sees_one_state_though_it_is_written_page_by_page(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sqlite.backup.PAGES_AT_ONCE", 1)
    before = everything_in(path)
    written = []

    def write_meanwhile(done: int, _total: int) -> None:
        if done in (5, 20):
            inspect(path).insert("users", {"id": f"{done:024}"})
            written.append(done)

    backup(path, tmp_path / "copy.db", write_meanwhile)

    assert written == [5, 20]
    assert everything_in(tmp_path / "copy.db") == before


def test_what_a_killed_server_left_in_its_log_is_backed_up(path: Path, tmp_path: Path) -> None:
    program = (
        "import os, signal, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA journal_mode = WAL')\n"
        "connection.execute(\"INSERT INTO users (id) VALUES ('f')\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, path], timeout=30, check=False).returncode
    assert (killed, path.with_name("home_visits.db-wal").stat().st_size > 0) == (-signal.SIGKILL, True)

    backup(path, tmp_path / "copy.db")

    assert "f" in [id for id, *_ in everything_in(tmp_path / "copy.db")["users"]]


def test_progress_is_told_up_to_the_end(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sqlite.backup.PAGES_AT_ONCE", 10)
    progress: list[tuple[int, int]] = []

    backup(path, tmp_path / "copy.db", lambda done, total: progress.append((done, total)))

    pages = path.stat().st_size // 4096
    assert progress == [(min(done, pages), pages) for done in range(10, pages + 10, 10)]


def test_a_file_that_exists_is_not_written_over(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")

    with pytest.raises(DatabaseUnusable) as refused:
        backup(path, target)

    assert str(refused.value) == f"{target} exists already: name a new file for the backup."
    assert (target.read_text(), listing(tmp_path)) == ("precious", ["copy.db", "home_visits.db"])


def test_a_file_that_comes_into_being_meanwhile_is_not_written_over(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"

    with pytest.raises(DatabaseUnusable) as refused:
        backup(path, target, lambda _done, _total: target.write_text("precious") and None)

    assert str(refused.value) == f"{target} exists already: name a new file for the backup."
    assert (target.read_text(), listing(tmp_path)) == ("precious", ["copy.db", "home_visits.db"])


def test_a_file_system_without_links_gets_its_backup_too(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", no_links)

    backup(path, tmp_path / "copy.db")
    kept = restore(tmp_path / "copy.db", path)

    assert kept is not None
    assert everything_in(tmp_path / "copy.db") == everything_in(path) == everything_in(kept)
    assert listing(tmp_path) == ["copy.db", "home_visits.db", "home_visits.db.before-restore"]


def test_where_there_is_no_database_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    missing = tmp_path / "missing.db"

    with pytest.raises(DatabaseUnusable) as refused:
        backup(missing, tmp_path / "copy.db")

    assert str(refused.value) == f"{missing} holds no home visits yet: there is nothing to back up."
    assert listing(tmp_path) == []


def test_a_folder_that_is_not_there_is_told(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "copy.db"

    with pytest.raises(DatabaseUnusable) as refused:
        backup(path, target)

    reason = "No such file or directory. Check the folder, its permissions and its space."
    assert str(refused.value) == f"{path} cannot be backed up to {target}: {reason}"


def test_where_there_is_no_room_for_a_backup_nothing_is_left_behind(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"

    message = with_room_for(40_000, "backup", path, target)

    reason = "disk I/O error. Check the files, their permissions and their space."
    assert message == f"storage.errors.DatabaseUnusable: {path} cannot be backed up to {target}: {reason}"
    assert listing(tmp_path) == ["home_visits.db"]


def test_a_damaged_database_is_told_when_it_is_backed_up(path: Path, tmp_path: Path) -> None:
    with connected(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'care_enquiries'").fetchone()
    damage(path, page=page)

    with pytest.raises(DatabaseUnusable) as refused:
        backup(path, tmp_path / "copy.db")

    assert str(refused.value).startswith(f"{path} is damaged (")
    assert str(refused.value).endswith("): restore the last backup.")
    assert listing(tmp_path) == ["home_visits.db"]
