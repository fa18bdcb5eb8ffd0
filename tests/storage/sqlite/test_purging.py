"""What a purge leaves in the files of SQLite: nothing, or it says what and why, and the next one does it."""

import asyncio
import fcntl
import os
import sqlite3
import tempfile
import time
from pathlib import Path

import pytest

from schema.server.background import anonymize_regularly
from storage.database import Remains, Wiped
from storage.repository import HomeVisits
from storage.retention.anonymizing import anonymize
from storage.retention.marks import mark, unpurged
from storage.sqlite import checkpoints, leftovers, locking, rewriting, writing
from storage.sqlite import database as sqlite_database
from storage.sqlite.database import SQLiteDatabase
from tests.databases import migrate
from tests.inspection import connected, inspect
from tests.storage.homes import Clock, booking, everything_in, migrate_to
from tests.storage.retention.families import load
from tests.storage.retention.histories import Histories

YEAR = 365


async def wiped_visit(visits: HomeVisits, clock: Clock, notes: str) -> None:
    visit = await visits.book(booking(notes=notes))
    await visits.complete(visit.id)
    clock.advance(days=YEAR, seconds=1)


def files_with(path: Path, text: str) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir() if file.is_file() and text.encode() in file.read_bytes())


@pytest.mark.parametrize("count", [70, pytest.param(int(os.environ.get("WIPED_HISTORIES", "400")), marks=pytest.mark.slow)])
async def test_nothing_is_left_of_what_was_changed_many_times(
    database: SQLiteDatabase, clock: Clock, path: Path, tmp_path: Path, count: int
) -> None:
    histories = Histories(seed=2)
    await histories.live(database, clock, count, changes=5)
    clock.advance(days=YEAR, seconds=1)
    other = await SQLiteDatabase(path).open()

    async with load(database, clock), load(other, clock):
        report = await anonymize(database, YEAR, clock, mail=tmp_path / "mail")
        left = histories.left_in(tmp_path)
    await other.close()

    assert (report.wiped, report.is_done) == (Wiped(count, count, 0), True)
    assert left == set()
    assert inspect(path).faults() == []


async def test_a_large_file_is_rewritten_once_that_may_take_as_long(
    visits: HomeVisits, database: SQLiteDatabase, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await wiped_visit(visits, clock, "Ada is frail.")
    database.lock_seconds = 1e-9
    first = await anonymize(database, YEAR, clock, mail=tmp_path / "mail")
    marks = await unpurged(database)
    database.lock_seconds = 10.0

    second = await anonymize(database, YEAR, clock, mail=tmp_path / "mail")

    assert (first.wiped, first.is_done, len(marks) > 0) == (Wiped(1, 1, 1), False, True)
    [sentence] = first.remains.to_repeat
    assert sentence == (
        f"{path} may hold, in unused parts of its pages, what was wiped: to rewrite it would keep others from writing for "
        "some 1 s. Run it again in a quiet hour, with HOME_VISITS_ANONYMIZE_LOCK_SECONDS=1."
    )
    assert (second.wiped, second.is_done, await unpurged(database)) == (Wiped(), True, [])


def test_rewriting_is_broken_off_where_it_takes_longer_than_it_may(
    database: SQLiteDatabase, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "STEPS", 1)
    monkeypatch.setattr(rewriting, "BYTES_A_SECOND", 1 << 60)
    before = path.read_bytes()

    with connected(path) as connection:
        reason = rewriting.rewrite(connection, path, 1e-6)
        connection.set_progress_handler(None, 0)

        assert reason is not None
        assert reason.startswith(f"{path} may hold, in unused parts of its pages, what was wiped: to rewrite it takes ")
        assert path.read_bytes() == before
        assert rewriting.rewrite(connection, path, 10.0) is None


def test_a_purge_waits_for_who_is_writing_and_gives_up_after_a_while(
    database: SQLiteDatabase, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "WAIT_SECONDS", 0.05)

    with (
        inspect(path).locked(),
        connected(path, timeout=0) as connection,
        pytest.raises(sqlite3.OperationalError, match="database is locked"),
    ):
        rewriting.rewrite(connection, path, 10.0)


async def test_a_server_tries_again_what_a_reader_has_kept_it_from(
    visits: HomeVisits, database: SQLiteDatabase, clock: Clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(sqlite_database, "TRUNCATING_SECONDS", 0.05)
    await wiped_visit(visits, clock, "zebrafishxyzzy")
    rounds = anonymize_regularly(database, YEAR, clock, interval_seconds=0.01, start_seconds=0)

    with connected(path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM home_visits").fetchone()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(rounds)
            while not _is_wiped(path) or database.transaction_count < 40:  # noqa: ASYNC110 - another task writes
                await asyncio.sleep(0.01)
            beside = files_with(path, "zebrafishxyzzy")
            reader.execute("ROLLBACK")
            async with asyncio.timeout(20):
                while await unpurged(database):  # noqa: ASYNC110 - another task purges
                    await asyncio.sleep(0.01)
            task.cancel()

    assert beside == ["home_visits.db-wal"]
    assert files_with(path, "zebrafishxyzzy") == []


def _is_wiped(path: Path) -> bool:
    return inspect(path).query("SELECT count(*) FROM home_visits WHERE anonymized IS NOT NULL") == [(1,)]


async def test_nothing_is_purged_where_nothing_was_wiped_since(database: SQLiteDatabase, clock: Clock, path: Path) -> None:
    before = (everything_in(path), database.transaction_count)

    for _ in range(2):
        await anonymize(database, YEAR, clock, mail=path.parent / "mail")

    assert (everything_in(path), database.transaction_count) == before


async def test_a_purge_that_fails_in_the_middle_leaves_nothing_locked(
    database: SQLiteDatabase, path: Path, tmp_path: Path
) -> None:
    with connected(path) as connection:
        connection.execute("PRAGMA user_version").fetchone()

        # Its log is not where it is looked for.
        with pytest.raises(FileNotFoundError):
            checkpoints.truncate(connection, tmp_path / "elsewhere.db", time.monotonic() + 5)

        assert not connection.in_transaction
        assert not inspect(path).is_locked()


def test_copies_that_killed_runs_left_among_temporary_files_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, used = (tmp_path / f"{leftovers.PREFIX}{name}" for name in ("left", "used"))
    for folder in (left, used):
        folder.mkdir()
        (folder / "lock").touch()
        (folder / "visits.db").write_text("Ada")

    with (used / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        leftovers.remove_leftovers(tmp_path)

    assert list(tmp_path.iterdir()) == [used]
    assert (used / "visits.db").read_text() == "Ada"


@pytest.mark.parametrize(("age", "is_left"), [(0.0, True), (3600.0, False)])
def test_a_copy_without_a_lock_is_removed_once_its_run_must_have_ended(
    age: float, is_left: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"{leftovers.PREFIX}left"
    folder.mkdir()
    (folder / "visits.db").write_text("Ada")
    then = time.time() - age
    os.utime(folder, (then, then))

    leftovers.remove_leftovers(tmp_path)

    assert folder.exists() == is_left


@pytest.mark.parametrize("is_killed", [True, False])
def test_the_lock_of_a_copy_goes_last(is_killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    removed: list[str] = []
    unlink = os.unlink

    def note(path: str, **options: int) -> None:
        removed.append(Path(path).name)
        unlink(path, **options)

    if is_killed:
        (tmp_path / f"{leftovers.PREFIX}left").mkdir()
        for name in ("lock", "a.db", "z.db"):
            (tmp_path / f"{leftovers.PREFIX}left" / name).touch()
    monkeypatch.setattr(os, "unlink", note)
    if is_killed:
        leftovers.remove_leftovers(tmp_path)
    else:
        with leftovers.temporary_folder() as folder:
            for name in ("a.db", "z.db"):
                (folder / name).touch()

    assert (sorted(removed), removed[-1]) == (["a.db", "lock", "z.db"], "lock")
    assert list(tmp_path.iterdir()) == []


async def test_where_no_copies_can_be_looked_for_the_rest_is_purged_and_said(
    visits: HomeVisits, database: SQLiteDatabase, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await wiped_visit(visits, clock, "Ada is frail.")
    mail = tmp_path / "mail"
    mail.mkdir()
    [[letter]] = inspect(database.path).query("SELECT id FROM outbox_messages LIMIT 1")
    (mail / f"{letter}.eml").touch()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)  # all of them are full

    report = await anonymize(database, YEAR, clock, mail=mail)
    copied = tmp_path / "another disk.db"
    database.backup(copied)

    assert (report.wiped, report.letters, await unpurged(database)) == (Wiped(1, 1, 1), 1, [])
    [sentence] = report.remains.to_repeat
    assert sentence.startswith("Copies of the database may hold what was wiped, and cannot be looked for: No usable temporary")
    assert inspect(copied).faults() == []


async def test_what_was_wiped_is_said_where_somebody_holds_the_lock_while_files_are_purged(
    database: SQLiteDatabase, clock: Clock, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(writing, "BUSY_SECONDS", 0.1)
    await database.write(lambda session: mark(session, clock()))

    with inspect(path).locked():
        beside = await anonymize(database, YEAR, clock, mail=tmp_path / "mail")
    after = await anonymize(database, YEAR, clock, mail=tmp_path / "mail")

    sentence = "The database's files may hold what was wiped: The database did not answer in time. Run it again."
    assert (beside.wiped, beside.remains) == (Wiped(), Remains(to_repeat=(sentence,)))
    assert (after.is_done, await unpurged(database)) == (True, [])


@pytest.mark.parametrize(("anonymized", "marks"), [("2024-01-01T00:00:00", 1), (None, 0)])
def test_what_an_older_version_wiped_is_to_be_purged(tmp_path: Path, anonymized: str | None, marks: int) -> None:
    path = tmp_path / "old.db"
    migrate_to("0012", path)
    for table in ("care_enquiries", "service_user_contacts"):
        inspect(path).insert(table, {"id": "6" * 24, "anonymized": anonymized})

    migrate(path)

    assert len(inspect(path).records("unpurged_wipes")) == marks
