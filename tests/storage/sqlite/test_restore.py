"""Putting a backup back: what was there before is not lost, and nothing is put back that would not stand."""

import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage.errors import DatabaseUnusable
from storage.repository import HomeVisits
from storage.sqlite.backup import backup, restore
from storage.sqlite.database import SQLiteDatabase
from storage.sqlite.migrating import migrate
from tests.inspection import connected
from tests.storage.homes import EVERYTHING, Clock, booking, everything_in, keep, migrate_to, visit
from tests.storage.sqlite.copies import ROOT, damage, flushes, listing, visits_in, with_room_for


def test_a_restored_database_is_the_one_that_was_backed_up(path: Path, copy: Path) -> None:
    before = visits_in(path)

    restore(copy, path)

    assert (before, visits_in(path)) == (["1", "2"], ["1"])
    assert everything_in(path) == everything_in(copy)


def test_the_old_database_is_kept_beside(path: Path, copy: Path, tmp_path: Path) -> None:
    before = everything_in(path)

    kept = restore(copy, path)

    assert kept == tmp_path / "home_visits.db.before-restore"
    assert everything_in(kept) == before
    assert listing(tmp_path) == ["copy.db", "home_visits.db", "home_visits.db.before-restore"]


def test_no_old_database_that_was_kept_is_lost_by_the_next_restore(path: Path, copy: Path, tmp_path: Path) -> None:
    before = everything_in(path)

    kept = [restore(copy, path) for _ in range(3)]

    assert kept == [tmp_path / f"home_visits.db.before-restore{suffix}" for suffix in ("", "-2", "-3")]
    assert everything_in(tmp_path / "home_visits.db.before-restore") == before


def test_a_database_that_was_lost_is_restored(path: Path, copy: Path, tmp_path: Path) -> None:
    path.unlink()

    kept = restore(copy, path)

    assert (kept, visits_in(path)) == (None, ["1"])
    assert listing(tmp_path) == ["copy.db", "home_visits.db"]


async def test_a_restored_database_can_be_opened_and_written(path: Path, tmp_path: Path) -> None:
    backup(path, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", path)

    database = await SQLiteDatabase(path).open()
    booked = await HomeVisits(database, EVERYTHING, Clock()).book(booking())
    await database.close()

    assert [row[1] for row in everything_in(path)["home_visits"]] == [booked.id]


def test_the_log_of_the_old_database_is_not_applied_to_the_new_one(path: Path, copy: Path, tmp_path: Path) -> None:
    wal = tmp_path / "home_visits.db-wal"
    with connected(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO users (id) VALUES ('f')")
        log = wal.read_bytes()
    wal.write_bytes(log)
    before = everything_in(path)

    kept = restore(copy, path)

    assert kept is not None
    assert "f" in [id for id, *_ in before["users"]]
    assert (everything_in(kept), everything_in(path)) == (before, everything_in(copy))
    assert listing(tmp_path) == ["copy.db", "home_visits.db", "home_visits.db.before-restore"]


def test_logs_of_a_lost_database_are_put_aside(path: Path, copy: Path, tmp_path: Path) -> None:
    path.unlink()
    (tmp_path / "home_visits.db-wal").write_text("a log")
    (tmp_path / "home_visits.db-journal").write_text("a journal")

    restore(copy, path)

    assert everything_in(path) == everything_in(copy)
    assert (tmp_path / "home_visits.db.before-restore-wal").read_text() == "a log"
    assert (tmp_path / "home_visits.db.before-restore-journal").read_text() == "a journal"


async def test_a_database_that_is_being_served_is_not_restored(path: Path, tmp_path: Path) -> None:
    backup(path, tmp_path / "copy.db")
    database = await SQLiteDatabase(path).open()
    await keep(database, visit(1))

    with pytest.raises(DatabaseUnusable) as refused:
        await asyncio.to_thread(restore, tmp_path / "copy.db", path)

    await keep(database, visit(2))
    await database.close()
    assert str(refused.value) == f"{path} is in use: stop the server, then restore the backup."
    assert listing(tmp_path) == ["copy.db", "home_visits.db"]
    assert visits_in(path) == ["1", "2"]


def test_a_database_that_another_process_serves_idly_is_not_restored(path: Path, copy: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from storage.sqlite.database import SQLiteDatabase\n"
        "async def main():\n"
        "    database = await SQLiteDatabase(Path(sys.argv[1])).open()\n"
        "    print('open', flush=True)\n"
        "    await asyncio.to_thread(sys.stdin.read)\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )
    before = everything_in(path)
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "open\n"

        with pytest.raises(DatabaseUnusable) as refused:
            restore(copy, path)

        server.communicate(timeout=30)

    assert str(refused.value) == f"{path} is in use: stop the server, then restore the backup."
    assert everything_in(path) == before


def test_where_there_is_no_room_to_restore_the_old_database_stays(path: Path, copy: Path, tmp_path: Path) -> None:
    before = everything_in(path)

    message = with_room_for(40_000, "restore", copy, path)

    assert message.startswith(f"storage.errors.DatabaseUnusable: {copy} cannot be restored to {path}: ")
    assert everything_in(path) == before
    assert [name for name in listing(tmp_path) if "unfinished" in name or "restore" in name] == []


@pytest.mark.parametrize("page", ["the first", "another"])
def test_a_damaged_database_can_be_replaced_and_is_kept(path: Path, copy: Path, page: str) -> None:
    if page == "the first":
        path.write_bytes(b"\xa5" * 8192)
    else:
        damage(path)
    before = path.read_bytes()

    kept = restore(copy, path)

    assert kept is not None
    assert (kept.read_bytes()[4096:], everything_in(path)) == (before[4096:], everything_in(copy))


def test_a_backup_of_an_older_version_is_restored_and_brought_up_to_date(path: Path, tmp_path: Path) -> None:
    older = tmp_path / "older.db"
    migrate_to("0001", older)

    restore(older, path)

    assert "outbox_messages" not in everything_in(path)
    assert migrate(path) is True
    assert everything_in(path)["outbox_messages"] == []


def test_what_is_restored_is_on_the_disk_before_it_has_its_name_and_then_its_name_is(
    path: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = path.stat().st_ino

    with flushes(monkeypatch, path) as flushed:
        restore(copy, path)

    new, folder = path.stat().st_ino, tmp_path.stat().st_ino
    assert flushed == [(new, old), (folder, new)]


def test_a_restored_database_keeps_its_permissions(path: Path, copy: Path) -> None:
    path.chmod(0o640)

    restore(copy, path)

    assert path.stat().st_mode & 0o777 == 0o640


def kill_at(step: str, copy: Path, path: Path) -> None:
    """Restore in a process that is killed when it comes to a step."""
    program = (
        "import os, signal, sqlite3, sys, tempfile\n"
        "from pathlib import Path\n"
        "from storage.sqlite import backup\n"
        "class Connection(sqlite3.Connection):\n"
        "    pass\n"
        "def die(*_arguments, **_options):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "connect = sqlite3.connect\n"
        "sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Connection, **options)\n"
        "for place in (tempfile, Connection, Path):\n"
        "    if hasattr(place, sys.argv[3]):\n"
        "        setattr(place, sys.argv[3], die)\n"
        "backup.restore(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", program, str(copy), str(path), step]

    killed = subprocess.run(command, cwd=ROOT, timeout=30, check=False).returncode
    assert killed == -signal.SIGKILL


@pytest.mark.parametrize("step", ["mkstemp", "backup", "hardlink_to", "replace"])
def test_killed_at_any_step_there_is_a_whole_database(path: Path, copy: Path, step: str) -> None:
    before = everything_in(path)

    kill_at(step, copy, path)

    assert everything_in(path) == before
    restore(copy, path)
    assert everything_in(path) == everything_in(copy)


def test_restores_at_once_each_happen_or_find_the_other_in_the_way(path: Path, copy: Path) -> None:
    before = everything_in(path)
    outcomes: list[Path | str | None] = []

    def put_back() -> None:
        try:
            outcomes.append(restore(copy, path))
        except DatabaseUnusable as refused:
            outcomes.append(str(refused))

    threads = [threading.Thread(target=put_back) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    in_the_way = f"{path} is in use: stop the server, then restore the backup."
    assert [one for one in outcomes if not isinstance(one, Path)] == [in_the_way] * outcomes.count(in_the_way)
    assert len(outcomes) == 4
    assert everything_in(path) == (before if outcomes.count(in_the_way) == 4 else everything_in(copy))


@pytest.mark.parametrize("step", ["mkstemp", "backup", "hardlink_to", "replace"])
def test_what_a_killed_run_left_is_removed_by_the_next(path: Path, copy: Path, tmp_path: Path, step: str) -> None:
    kill_at(step, copy, path)

    restore(copy, path)
    backup(path, tmp_path / "another.db")

    assert listing(tmp_path) == ["another.db", "copy.db", "home_visits.db", "home_visits.db.before-restore"]


def test_what_another_run_is_writing_is_left_alone(
    path: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sqlite.backup.PAGES_AT_ONCE", 10)
    unfinished = []

    def back_up_meanwhile(_done: int, _total: int) -> None:
        if not unfinished:
            unfinished.extend(name for name in listing(tmp_path) if name.endswith(".unfinished"))
            backup(path, tmp_path / "second.db")

    backup(path, tmp_path / "first.db", back_up_meanwhile)

    assert len(unfinished) == 1
    assert everything_in(tmp_path / "first.db") == everything_in(tmp_path / "second.db") == everything_in(path)
