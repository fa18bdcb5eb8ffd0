"""How tests open a database, write a name into it, and keep it busy."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

from sqlmodel import Session, col, update

from storage.models import User
from storage.queries.statements import Statement
from storage.sqlite.database import Database
from tests.storage.homes import ALICE

COUNT = Statement("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n", ("to",))
ENDLESS = {"to": 10**12}
A_WHILE = {"to": 150_000}  # too long for the loop, and a fraction of a second for a thread


def name_alice(session: Session, name: str) -> None:
    session.exec(update(User).where(col(User.id) == ALICE).values(first_name=name))


async def alices_name(database: Database) -> str:
    [[name]] = await database.fetch(Statement("SELECT first_name FROM users WHERE id = ?", ("id",)), {"id": ALICE})
    return str(name)


@asynccontextmanager
async def opened(path: Path, **options: float) -> AsyncIterator[Database]:
    database = await Database(path, **options).open()
    try:
        yield database
    finally:
        await database.close()


def close_inline_reader(database: Database) -> None:
    """Leave all that is fetched from now on to the threads."""
    assert database._inline_reader is not None
    database._inline_reader.close()
    database._inline_reader = None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock, as another process might."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def ends_with(threads: list[threading.Thread]) -> bool:
    """Tell whether soon no other threads are left: they end a moment after they have said so."""
    for _ in range(100):
        if threading.enumerate() == threads:
            return True
        await asyncio.sleep(0.01)
    return False
