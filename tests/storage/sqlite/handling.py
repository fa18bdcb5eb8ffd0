"""How tests open a database, write a name into it, and keep its readers busy."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlmodel import Session, col, update

from storage.caller import Accounts
from storage.database import Database
from storage.models import User
from storage.queries.statements import Statement
from storage.sqlite import readers
from storage.sqlite.database import SQLiteDatabase
from storage.sqlite.readers import InlineReader
from tests.storage.homes import ALICE

COUNT = Statement("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n", ("to",))
ENDLESS = {"to": 10**12}
A_WHILE = {"to": 20_000}  # too long for the loop, and milliseconds for a thread


def name_alice(session: Session, name: str) -> None:
    session.exec(update(User).where(col(User.id) == ALICE).values(first_name=name))


async def alices_name(database: Database) -> str:
    [[name]] = await database.fetch(Statement("SELECT first_name FROM users WHERE id = ?", ("id",)), {"id": ALICE})
    return str(name)


@asynccontextmanager
async def opened(path: Path, accounts: Accounts | None = None, **options: float) -> AsyncIterator[Database]:
    database = SQLiteDatabase(path, **options)
    database.accounts = accounts or database.accounts
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def inline_reader(database: Database) -> InlineReader:
    assert isinstance(database, SQLiteDatabase)
    assert database._inline_reader is not None
    return database._inline_reader


def let_steps_alone_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the kernel may set any read aside for longer than the loop would wait."""
    monkeypatch.setattr(readers, "INLINE_SECONDS", 60.0)
    monkeypatch.setattr(readers, "TURN_SECONDS", 60.0)


def close_inline_reader(database: Database) -> None:
    """Leave all that is fetched from now on to the threads."""
    inline_reader(database).close()
    database._inline_reader = None


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def ends_with(threads: list[threading.Thread]) -> bool:
    """Tell whether soon no other threads are left: they end a moment after they have said so."""
    for _ in range(1000):
        if threading.enumerate() == threads:
            return True
        await asyncio.sleep(0.01)
    return False
