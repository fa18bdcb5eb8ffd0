"""Moving between SQLite and PostgreSQL: each row as it was, either way, and on from where a move was ended."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import moving
from storage.database import Database, database_of
from storage.demo import fill_with_demo
from storage.errors import DatabaseUnusable
from storage.instants import clock
from storage.models import metadata
from storage.moving import move


async def rows_in(database: Database) -> dict[str, list[tuple[object, ...]]]:
    found: dict[str, list[tuple[object, ...]]] = {}
    for table in metadata.sorted_tables:
        found[table.name] = [tuple(row) async for rows in moving._rows_after(database, table, None) for row in rows]
    return found


@pytest.fixture
def sqlite(tmp_path: Path) -> Callable[[str], Database]:
    def new(name: str) -> Database:
        database = database_of(f"sqlite:///{tmp_path / name}")
        database.migrate()
        return database

    return new


async def test_every_row_is_moved_there_and_back_as_it_was(database: Database, sqlite: Callable[[str], Database]) -> None:
    first, last = await sqlite("first.db").open(), await sqlite("last.db").open()
    await fill_with_demo(first, clock())
    before = await rows_in(first)

    moved, moved_back = await move(first, database), await move(database, last)

    assert before["home_visits"] != []
    assert moved == moved_back == sum(map(len, before.values()))
    assert await rows_in(database) == await rows_in(last) == before
    await asyncio.gather(first.close(), last.close())


async def test_a_move_that_was_ended_goes_on_where_it_was(
    database: Database, sqlite: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "ROWS", 7)
    source = await sqlite("first.db").open()
    await fill_with_demo(source, clock())
    steps: list[int] = []

    def end(moved: int, _total: int) -> None:
        steps.append(moved)
        if len(steps) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await move(source, database, end)
    written = database.transaction_count
    await move(source, database)

    assert written == 5
    assert await rows_in(database) == await rows_in(source)
    await source.close()


async def test_a_move_that_was_written_beside_is_refused(database: Database, sqlite: Callable[[str], Database]) -> None:
    source = await sqlite("first.db").open()
    await fill_with_demo(source, clock())
    await move(source, database)
    await database._read("UPDATE home_visits SET notes = 'else' WHERE number = 3", [], custom_plan=False)  # type: ignore[attr-defined]

    with pytest.raises(DatabaseUnusable, match=re.escape("The two databases differ in home_visits: stop what writes")):
        await move(source, database)
    await source.close()
