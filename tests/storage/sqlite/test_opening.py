"""What a database is told by its URL, how its connections are set up, and how it is left."""

import asyncio
import shutil
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from storage.database import Database, database_of
from storage.errors import DatabaseUnusable
from storage.queries.statements import Statement
from storage.sqlite import readers
from storage.sqlite.database import SQLiteDatabase
from tests.storage.homes import everything_in
from tests.storage.sqlite.handling import alices_name, close_inline_reader, ends_with, files_in, name_alice, opened


@pytest.mark.parametrize("url", ["sqlite:///visits.db", "sqlite+aiosqlite:///visits.db"])
def test_a_url_names_a_file_which_is_told_in_full(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    relative, absolute = database_of(url), database_of(url.replace("///", "////tmp/"))

    assert (type(relative), str(relative), str(absolute)) == (SQLiteDatabase, f"{tmp_path}/visits.db", "/tmp/visits.db")  # noqa: S108 - a name only


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "The database URL cannot be read: write it like sqlite:///home_visits.db."),
        ("visits.db", "The database URL cannot be read: write it like sqlite:///home_visits.db."),
        ("sqlite://", "The database must be a file: give a URL like sqlite:///home_visits.db."),
        ("sqlite:///:memory:", "The database must be a file: give a URL like sqlite:///home_visits.db."),
        ("mysql://u:secret@h/d", "mysql databases are not served: give a URL like sqlite:///home_visits.db or postgresql://…."),
    ],
)
def test_a_url_that_names_none_is_refused_without_repeating_it(url: str, message: str) -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        database_of(url)

    assert str(refused.value) == message


async def test_a_file_that_cannot_be_opened_is_told_plainly_and_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ada, " * 100)
    before = threading.enumerate()

    for path, reason in [
        (tmp_path / "no folder" / "x.db", "unable to open database file"),
        (tmp_path, "unable to open database file"),
        (tmp_path / "letter.txt", "file is not a database"),
    ]:
        database = SQLiteDatabase(path)
        with pytest.raises(DatabaseUnusable) as refused:
            await database.open()
        assert str(refused.value) == f"The database cannot be used: {reason}. Check the file, its folder and their permissions."

    assert await ends_with(before)


def test_an_inline_reader_of_what_is_no_database_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ada, " * 100)
    connections: list[sqlite3.Connection] = []

    def connect(*arguments: Any, connect: Any = sqlite3.connect, **options: Any) -> sqlite3.Connection:
        connections.append(connect(*arguments, **options))
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", connect)

    with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
        readers.InlineReader(tmp_path / "letter.txt")

    [connection] = connections
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        connection.execute("SELECT 1")


async def test_an_open_that_fails_half_way_leaves_no_thread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "READER", ("no pragma",))
    before = threading.enumerate()

    with pytest.raises(sqlite3.OperationalError):
        await SQLiteDatabase(path).open()

    assert await ends_with(before)


async def test_a_path_may_have_any_characters(tmp_path: Path, template: Path) -> None:
    path = Path(shutil.copy(template, tmp_path / "a?mode=memory&b#c %41'é.db"))

    async with opened(path) as database:
        await database.write(lambda session: name_alice(session, "Alison"))
        read = await alices_name(database)

    assert (read, files_in(tmp_path)) == ("Alison", [path.name])


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


async def test_a_database_that_is_damaged_is_told_plainly(path: Path) -> None:
    damage(path)

    with pytest.raises(DatabaseUnusable, match="database disk image is malformed"):
        async with opened(path) as database:
            await alices_name(database)


PRAGMAS = ["journal_mode", "synchronous", "foreign_keys", "secure_delete", "trusted_schema", "busy_timeout", "query_only",
           "wal_autocheckpoint", "mmap_size"]  # fmt: skip


async def test_connections_are_set_up_to_be_safe(database: Database) -> None:
    def ask(session: Session) -> list[Any]:
        return [session.exec(sa.text(f"PRAGMA {name}")).scalar() for name in PRAGMAS]  # type: ignore[call-overload]

    async def read() -> list[Any]:
        return [(await database.fetch(Statement(f"PRAGMA {name}", ()), {}))[0][0] for name in PRAGMAS]

    writer, on_the_loop = await database.write(ask), await read()
    close_inline_reader(database)
    in_a_thread = await read()

    assert dict(zip(PRAGMAS, writer, strict=True)) == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "trusted_schema": int(sqlite3.sqlite_version_info < (3, 44)),
        "busy_timeout": 20,
        "query_only": 0,
        "wal_autocheckpoint": 0,
        "mmap_size": 0,
    }
    assert in_a_thread == ["wal", 2, 1, 1, 0, 5000, 1, 0, 0]
    # Nobody else is served while the loop waits.
    assert on_the_loop == ["wal", 2, 1, 1, 0, 0, 1, 0, 0]


async def test_closing_waits_for_what_is_being_written(path: Path) -> None:
    database = await SQLiteDatabase(path).open()

    def work(session: Session) -> None:
        name_alice(session, "Alison")
        time.sleep(0.05)

    async def one_after_another() -> None:
        await database.write(work)
        await database.write(work)

    writing = asyncio.ensure_future(one_after_another())
    await asyncio.sleep(0.01)
    await database.close()

    assert await asyncio.gather(writing, return_exceptions=True) == [None]
    assert "Alison" in str(everything_in(path)["users"])


async def test_a_closed_database_leaves_one_file(path: Path, database: Database) -> None:
    await database.write(lambda session: name_alice(session, "Alison"))
    before = files_in(path.parent)

    await database.close()

    assert before == ["home_visits.db", "home_visits.db-shm", "home_visits.db-wal"]
    assert files_in(path.parent) == ["home_visits.db"]
