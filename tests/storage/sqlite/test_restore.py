"""Putting a backup back: what was there before is not lost, and nothing is put back that would not stand."""

import asyncio
import os
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
from tests.inspection import connected, inspect
from tests.storage.homes import EVERYTHING, NOBODY, Clock, booking, everything_in, keep, migrate_to, visit
from tests.storage.sqlite.copies import ROOT, damage, flushes, keep_visit, listing, visits_in, with_room_for


@pytest.fixture
def copy(path: Path, tmp_path: Path) -> Path:
    """A backup of a database with one visit, which has a second one since."""
    asyncio.run(keep_visit(path, 1))
    backup(path, tmp_path / "copy.db")
    asyncio.run(keep_visit(path, 2))
    return tmp_path / "copy.db"


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


def test_a_damaged_backup_is_not_restored(path: Path, copy: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    [(page,)] = inspect(copy).query("SELECT rootpage FROM sqlite_schema WHERE name = 'home_visits_by_time'")
    damage(copy, page=page)

    with pytest.raises(DatabaseUnusable) as refused:
        restore(copy, path)

    assert str(refused.value).startswith(f"{copy} is damaged (")
    assert str(refused.value).endswith("): restore another backup.")
    assert (path.read_bytes(), listing(tmp_path)) == (before, ["copy.db", "home_visits.db"])


def test_a_backup_whose_indexes_do_not_hold_what_its_tables_hold_is_not_restored(path: Path, copy: Path) -> None:
    before = path.read_bytes()
    both = "name IN ('home_visits_by_time', 'home_visits_by_created')"
    with connected(copy) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        pages = f"(SELECT sum(rootpage) FROM sqlite_schema WHERE {both})"  # noqa: S608 - ours
        connection.execute(f"UPDATE sqlite_schema SET rootpage = {pages} - rootpage WHERE {both}")  # noqa: S608 - ours

    with pytest.raises(DatabaseUnusable) as refused:
        restore(copy, path)

    assert str(refused.value).startswith(f"{copy} is damaged (row 1 missing from index home_visits_by_")
    assert path.read_bytes() == before


def test_a_backup_whose_references_dangle_is_not_restored(path: Path, copy: Path) -> None:
    inspect(copy).execute(f"UPDATE care_enquiries SET location = '{NOBODY}'")  # noqa: S608 - ours
    before = path.read_bytes()

    with pytest.raises(DatabaseUnusable) as refused:
        restore(copy, path)

    message = "care_enquiries refer to locations that are not there"
    assert (str(refused.value), path.read_bytes()) == (f"{copy} is damaged ({message}): restore another backup.", before)


def test_a_backup_that_was_cut_off_is_not_restored(path: Path, copy: Path) -> None:
    os.truncate(copy, copy.stat().st_size // 2)
    before = path.read_bytes()

    with pytest.raises(DatabaseUnusable):
        restore(copy, path)

    assert path.read_bytes() == before


def test_a_backup_of_a_newer_version_is_not_restored(path: Path, copy: Path) -> None:
    inspect(copy).execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()

    with pytest.raises(DatabaseUnusable) as refused:
        restore(copy, path)

    message = "was made by a newer version of this program (step 9999): install that one or a later one."
    assert (str(refused.value), path.read_bytes()) == (f"{copy} {message}", before)


def test_a_backup_of_an_older_version_is_restored_and_brought_up_to_date(path: Path, tmp_path: Path) -> None:
    older = tmp_path / "older.db"
    migrate_to("0001", older)

    restore(older, path)

    assert "outbox_messages" not in everything_in(path)
    assert migrate(path) is True
    assert everything_in(path)["outbox_messages"] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "{} is no backup: name a file that the command backup made."),
        (b"", "{} is no backup: name a file that the command backup made."),
        (
            b"nonsense" * 1000,
            "{} cannot be opened as a database: file is not a database. Check the file and its permissions.",
        ),
    ],
)
def test_what_is_no_backup_is_not_restored(path: Path, tmp_path: Path, content: bytes | None, message: str) -> None:
    source, before = tmp_path / "source.db", path.read_bytes()
    if content is not None:
        source.write_bytes(content)

    with pytest.raises(DatabaseUnusable) as refused:
        restore(source, path)

    assert (str(refused.value), path.read_bytes()) == (message.format(source), before)


def test_a_database_is_not_restored_from_itself(path: Path) -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        restore(path, path)

    assert str(refused.value) == f"{path} is the database itself: name a backup of it."


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


STRANGE = {
    "a trigger": (
        "CREATE TRIGGER spy AFTER INSERT ON home_visits BEGIN DELETE FROM home_visit_events; END",
        "it holds the trigger spy",
    ),
    "a view": ("CREATE VIEW spied AS SELECT * FROM users", "it holds the view spied"),
    "a table": ("CREATE TABLE loot (name)", "it holds the table loot"),
    "an index": ("CREATE INDEX loot ON users (email)", "it holds the index loot"),
    "another index of the same name": (
        "DROP INDEX home_visits_by_time; CREATE INDEX home_visits_by_time ON home_visits (created, id)",
        "its index home_visits_by_time is another",
    ),
    "another trigger of the same name": (
        (
            "DROP TRIGGER home_visits_notes_deleted;"
            "CREATE TRIGGER home_visits_notes_deleted AFTER DELETE ON home_visits BEGIN DELETE FROM users; END"
        ),
        "its trigger home_visits_notes_deleted is another",
    ),
    "no trigger": ("DROP TRIGGER home_visits_notes_deleted", "the trigger home_visits_notes_deleted is missing"),
    "a further column": ("ALTER TABLE users ADD COLUMN loot", "its table users is another"),
    "no table": ("DROP TABLE idempotency_keys", "the index ix_idempotency_keys_created is missing"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_backup_with_another_schema_is_not_restored(path: Path, copy: Path, tmp_path: Path, name: str) -> None:
    statement, message = STRANGE[name]
    inspect(copy).execute(statement)
    before = path.read_bytes()

    with pytest.raises(DatabaseUnusable) as refused:
        restore(copy, path)

    reason = f"{copy} is no backup of this program's: {message}. Name a file that the command backup made."
    assert (str(refused.value), path.read_bytes(), listing(tmp_path)) == (reason, before, ["copy.db", "home_visits.db"])


def test_a_backup_with_statistics_or_without_indexes_that_an_import_builds_is_restored(path: Path, copy: Path) -> None:
    inspect(copy).execute("DROP INDEX home_visits_by_time; ANALYZE")

    assert restore(copy, path) is not None


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


def test_what_is_no_file_is_not_restored(path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(DatabaseUnusable, match="is no backup: name a file that the command backup made"):
        restore(tmp_path / "pipe", path)
