"""Background tasks: from the server's start to its end, never failing unseen; and housekeeping that happens."""

import asyncio
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from schema.server import background
from schema.server.background import BackgroundTask, delete_old_keys, fold_names, lifespan, refold_notes
from storage.database import Database
from storage.errors import IdempotencyConflict
from storage.models import HomeVisit, User
from storage.repository import HomeVisits
from tests.databases import database_at, migrate, path_of
from tests.inspection import inspect
from tests.storage.homes import EVERYTHING, Clock, booking, keep, prepare, visit


@pytest.fixture
def database(tmp_path: Path) -> Database:
    migrate(tmp_path / "visits.db")
    return database_at(tmp_path / "visits.db")


async def test_a_background_task_ends_with_the_server(database: Database) -> None:
    ended = list[str]()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def close() -> None:
        ended.append("what was open")

    server = lifespan(database, [BackgroundTask("work", work)], close)(web.Application())
    await anext(server)
    await asyncio.sleep(0)
    while_serving = ended.copy()
    await anext(server, None)

    assert while_serving == []
    assert ended == ["work", "what was open"]


async def test_a_task_that_fails_is_logged_while_the_server_goes_on(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("no more")

    server = lifespan(database, [BackgroundTask("work", fail)], None)(web.Application())
    await anext(server)
    await asyncio.sleep(0)
    await database.check()
    await anext(server, None)

    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "The background task 'work' has stopped, and starts again in 1 s"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no more"


async def test_a_task_that_has_stopped_starts_again_with_growing_pauses(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RESTART_SECONDS", 0.01)
    started, running = list[int](), asyncio.Event()

    async def work() -> None:
        started.append(1)
        if len(started) == 3:
            running.set()
            await asyncio.Event().wait()
        if len(started) == 2:
            raise OSError(24, "Too many open files")

    server = lifespan(database, [BackgroundTask("mail", work)], None)(web.Application())
    await anext(server)
    async with asyncio.timeout(20):
        await running.wait()
    await anext(server, None)

    assert [(record.getMessage(), record.exc_info is not None) for record in caplog.records] == [
        ("The background task 'mail' has stopped, and starts again in 0.01 s", False),
        ("The background task 'mail' has stopped, and starts again in 0.02 s", True),
    ]


async def test_housekeeping_deletes_old_idempotency_keys_at_every_interval(tmp_path: Path) -> None:
    prepare(tmp_path / "visits.db")
    database, clock = database_at(tmp_path / "visits.db"), Clock()
    visits = HomeVisits(database, EVERYTHING, clock)

    server = lifespan(database, [BackgroundTask("keys", partial(delete_old_keys, visits, interval_seconds=0.01))], None)(
        web.Application()
    )
    await anext(server)
    booked = [await visits.book(booking(), idempotency_key="key")]
    for notes in ("second", "third"):
        with pytest.raises(IdempotencyConflict):
            await visits.book(booking(notes=notes), idempotency_key="key")
        clock.advance(hours=25)
        booked.append(await book_once_free(visits, notes))
    await anext(server, None)

    assert [visit.notes for visit in booked] == ["", "second", "third"]


async def book_once_free(visits: HomeVisits, notes: str) -> HomeVisit:
    """Book with other input as soon as the key was deleted."""
    async with asyncio.timeout(20):
        while True:
            with suppress(IdempotencyConflict):
                return await visits.book(booking(notes=notes), idempotency_key="key")
            await asyncio.sleep(0.01)


async def test_notes_of_an_older_version_are_folded_anew_beside_requests(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    prepare(tmp_path / "visits.db")
    database = database_at(tmp_path / "visits.db")
    inspection = inspect(path_of(database))

    server = lifespan(database, [BackgroundTask("notes", partial(refold_notes, database))], None)(web.Application())
    inspection.execute("INSERT INTO notes_refolding VALUES (1, 0)")
    older = await database_at(path_of(database)).open()
    await keep(older, visit(1, notes="İstanbul", notes_folded="i\u0307stanbul"))
    await older.close()
    await anext(server)
    async with asyncio.timeout(20):
        while "Notes folded anew: 1" not in caplog.messages:  # noqa: ASYNC110 - logging has no event
            await asyncio.sleep(0.01)
    await anext(server, None)

    assert [row["notes_folded"] for row in inspection.records("home_visits")] == ["istanbul"]
    assert inspection.records("notes_refolding") == []


async def test_names_of_an_older_version_are_folded_as_often_as_there_are_any(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    prepare(tmp_path / "visits.db")
    database = database_at(tmp_path / "visits.db")
    task = BackgroundTask("names", partial(fold_names, database, interval_seconds=0.01))
    server = lifespan(database, [task], None)(web.Application())

    await anext(server)
    async with asyncio.timeout(20):
        while not any(message.startswith("Names folded: ") for message in caplog.messages):  # noqa: ASYNC110 - logging has no event
            await asyncio.sleep(0.01)
        caplog.clear()
        await keep(database, User(id="f" * 24, first_name="Zoë"))
        while "Names folded: 1" not in caplog.messages:  # noqa: ASYNC110 - logging has no event
            await asyncio.sleep(0.01)
    await anext(server, None)

    (row,) = (row for row in inspect(path_of(database)).records("users") if row["id"] == "f" * 24)
    assert (row["name_folded"], row["search_folded"]) == ("0\tzoe", "  zoe")
