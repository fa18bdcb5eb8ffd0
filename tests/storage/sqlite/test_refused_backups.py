"""A backup that is damaged, of another version or no backup is refused, and what is there stays."""

import os
from pathlib import Path

import pytest

from storage.errors import DatabaseUnusable
from storage.sqlite.backup import restore
from tests.inspection import connected, inspect
from tests.storage.homes import NOBODY
from tests.storage.sqlite.copies import damage, listing


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


def test_what_is_no_file_is_not_restored(path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(DatabaseUnusable, match="is no backup: name a file that the command backup made"):
        restore(tmp_path / "pipe", path)
