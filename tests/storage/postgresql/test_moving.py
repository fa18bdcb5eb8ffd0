"""Moving between SQLite and PostgreSQL: each row as it was, either way, and on from where a move was ended."""

import asyncio
import random
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlmodel import Session, text

from storage import moving
from storage.api_keys import APIKey, APIKeys
from storage.caller import Caller, Role
from storage.carehq.live.intents import Intent
from storage.carehq.live.progress import Walk, lead
from storage.database import Database, database_of
from storage.demo import fill_with_demo
from storage.errors import DatabaseBusy, DatabaseUnusable, UnfinishedMove
from storage.instants import clock
from storage.models import metadata
from storage.moving import move
from storage.nonces import Nonce
from storage.postgresql.database import PostgreSQLDatabase
from storage.repository import HomeVisits
from tests.conftest import APP, RunCommand, StartServer, environment, fill
from tests.storage.homes import booking

DEFINITIONS = """
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    UNION ALL SELECT pg_get_triggerdef(oid) || ' ' || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT relname || ' ' || relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""
CLERK = Caller("clerk", frozenset(Role))


async def rows_in(database: Database) -> dict[str, list[tuple[object, ...]]]:
    found: dict[str, list[tuple[object, ...]]] = {}
    for table in metadata.sorted_tables:
        found[table.name] = [tuple(row) async for rows in moving._rows_after(database, table, None) for row in rows]
    return found


def definitions(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return sorted(row[0] for row in connection.execute(DEFINITIONS).fetchall())


@pytest.fixture
def sqlite(tmp_path: Path) -> Callable[[str], Database]:
    def new(name: str) -> Database:
        database = database_of(f"sqlite:///{tmp_path / name}")
        database.migrate()
        return database

    return new


async def with_odd_texts(database: Database) -> None:
    """Add what a text format might lose: separators, its own escapes, what looks like null, and nothing at all."""
    odd = ["\\N", "\\", "a\tb\nc\r\nd\\n", "", "\u2028日本語 👍🏽", "NULL", '"', "{}", "\x01\x7f"]

    def work(session: Session) -> None:
        for number, notes in enumerate(odd, 1):
            session.execute(
                text("UPDATE home_visits SET notes = :notes WHERE number = :number"), {"notes": notes, "number": number}
            )
        session.execute(text("UPDATE users SET locations = '[\"x\", \"\\\\n\"]', suspended = true, last_name = ''"))

        # What is seen at a location because of a visit alone.
        enquiry = "id = (SELECT min(care_enquiry) FROM home_visits)"
        homes = f"UPDATE care_enquiries SET location = (SELECT max(id) FROM locations) WHERE {enquiry}"  # noqa: S608 - our own
        session.execute(text(homes))

    await fill_with_demo(database, clock())
    await database.write(work)


async def with_a_key(database: Database) -> None:
    keys = APIKeys(database, clock)
    names = {"key": "k", "account_id": "1" * 24, "subject": "script", "secret": "encrypted", "created": clock()}
    await keys.add(APIKey(**names, roles=["VIEWER"], locations=["2" * 24], allows_signature_1=True, last_used=clock()))
    await keys.keep_nonce(Nonce("k", "AAECAwQFBgcICQoLDA0ODw"))


async def with_a_followed_account(database: Database) -> None:
    now = clock()

    def work(session: Session) -> None:
        lead(session, "https://api.carehq.example", "3" * 24, "somebody", now).last_synced = now
        session.add(Walk(kind="home_visits", watermark=now, began=now, page=7, item_count=812, has_shrunk=True))
        session.add(Walk(kind="users"))
        for number, key in enumerate([None, "k", "\u2028ß"]):
            session.add(Intent(id=f"{number:024}", subject="clerk", key=key, fingerprint=key, started=now))

    await database.write(work)


async def test_every_row_is_moved_there_and_back_as_it_was(database: Database, sqlite: Callable[[str], Database]) -> None:
    first, last = await sqlite("first.db").open(), await sqlite("last.db").open()
    await with_odd_texts(first)
    await with_a_key(first)
    await with_a_followed_account(first)
    before = await rows_in(first)

    moved, moved_back = await move(first, database), await move(database, last)

    of_all = ("home_visits", "users", "home_visit_events", "sightings", "api_keys", "used_nonces")
    assert min(len(before[name]) for name in (*of_all, "carehq_account", "carehq_walks", "carehq_intents")) > 0
    assert moved == moved_back == sum(map(len, before.values()))
    assert await rows_in(database) == await rows_in(last) == before
    await asyncio.gather(first.close(), last.close())


async def test_what_a_move_does_without_is_there_afterwards_as_it_was(
    database: Database, url: str, sqlite: Callable[[str], Database]
) -> None:
    before = definitions(url)
    source = await sqlite("first.db").open()
    await fill_with_demo(source, clock())

    await move(source, database)

    assert definitions(url) == before
    assert any("home_visits_notes" in definition for definition in before)
    await source.close()


async def test_what_is_booked_after_a_move_is_numbered_on(database: Database, sqlite: Callable[[str], Database]) -> None:
    source = await sqlite("first.db").open()
    await fill_with_demo(source, clock())
    enquiry = (await rows_in(source))["care_enquiries"][0][0]

    await move(source, database)
    before = await rows_in(database)
    await HomeVisits(database, CLERK, clock).book(booking(care_enquiry=enquiry, assigned_to=None))
    after = await rows_in(database)

    assert [row[0] for row in after["home_visits"]] == [
        *(row[0] for row in before["home_visits"]),
        before["home_visits"][-1][0] + 1,
    ]  # type: ignore[operator]
    assert len(after["home_visit_events"]) == len(before["home_visit_events"]) + 1
    await source.close()


@pytest.mark.parametrize("batches", [1, 3, 9, 14])
async def test_a_move_that_was_ended_goes_on_where_it_was(
    database: Database, sqlite: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr(moving, "ROWS", 7)
    source = await sqlite("first.db").open()
    await fill_with_demo(source, clock())
    begun: list[int] = []
    steps: list[int] = []

    def end(moved: int, _total: int) -> None:
        begun.append(moved)
        if len(begun) == batches:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await move(source, database, end)
    with pytest.raises(UnfinishedMove, match="run that move again to finish it"):
        database.migrate()
    total = await move(source, database, lambda moved, _: steps.append(moved))

    assert await rows_in(database) == await rows_in(source)
    assert steps[0] >= 0
    assert steps[-1] == 2 * total
    assert not database.migrate()
    await source.close()


async def test_a_move_that_was_done_may_be_run_again(database: Database, sqlite: Callable[[str], Database]) -> None:
    source = await sqlite("first.db").open()
    await fill_with_demo(source, clock())
    total = await move(source, database)
    written = database.transaction_count

    assert await move(source, database) == total
    assert database.transaction_count == written + 1  # which found out that there is nothing to do
    await source.close()


async def test_a_target_that_holds_anything_else_is_refused_as_it_is(
    database: Database, sqlite: Callable[[str], Database]
) -> None:
    source = await sqlite("first.db").open()
    await fill_with_demo(source, clock())
    await move(source, database)
    await HomeVisits(source, CLERK, clock).delete_old_keys()
    await source.write(lambda session: session.execute(text("UPDATE home_visits SET notes = 'else' WHERE number = 3")))
    before = await rows_in(database)

    with pytest.raises(DatabaseUnusable, match=re.escape(f"{database} is not empty, and differs from {source} in home_visits")):
        await move(source, database)

    assert await rows_in(database) == before
    await source.close()


async def test_what_another_move_left_is_refused(database: Database, sqlite: Callable[[str], Database]) -> None:
    first, other = await sqlite("first.db").open(), await sqlite("other.db").open()
    await fill_with_demo(first, clock())

    def end(_moved: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await move(first, database, end)
    with pytest.raises(DatabaseUnusable, match=re.escape(f"{database} holds what a move from {first} left")):
        await move(other, database)

    await asyncio.gather(first.close(), other.close())


@pytest.mark.parametrize("back", [False, True], ids=["from SQLite", "from PostgreSQL"])
async def test_nothing_is_written_to_the_source_while_it_is_moved(
    database: Database, sqlite: Callable[[str], Database], back: bool
) -> None:
    source, target = (database, await sqlite("a.db").open()) if back else (await sqlite("a.db").open(), database)
    await fill_with_demo(source, clock())
    refused = []

    def write(_moved: int, _total: int) -> None:
        if refused:
            return
        if back:
            with (
                psycopg.connect(database._dsn, autocommit=True, options="-c lock_timeout=100") as connection,  # type: ignore[attr-defined]
                pytest.raises(psycopg.errors.LockNotAvailable) as locked,
            ):
                connection.execute("UPDATE home_visits SET notes = 'lost?'")
        else:
            with (
                closing(sqlite3.connect(source.path, timeout=0)) as connection,  # type: ignore[attr-defined]
                pytest.raises(sqlite3.OperationalError) as locked,
            ):
                connection.execute("UPDATE home_visits SET notes = 'lost?'")
        refused.append(locked.value)

    await move(source, target, write)

    assert len(refused) == 1
    assert await rows_in(source) == await rows_in(target)
    await (target if back else source).close()


async def test_a_source_that_somebody_writes_to_is_refused(database: Database, sqlite: Callable[[str], Database]) -> None:
    source = await sqlite("a.db").open()
    with closing(sqlite3.connect(source.path, isolation_level=None)) as connection:  # type: ignore[attr-defined]
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy):
            await move(source, database)
    await source.close()


def test_a_source_that_is_served_is_refused(start_server: StartServer, run_command: RunCommand, tmp_path: Path, url: str) -> None:
    server = start_server("--dev", "--demo")

    ended = run_command("move", "--to", f"sqlite:///{tmp_path / 'new.db'}")

    assert re.fullmatch(
        rf"home-visits: {re.escape(server.serving)} is in use by a server or a command, or PgBouncer for one \(connected from .+"
        r", process \d+ of PostgreSQL\)\. Stop it first: what it wrote from now on would not be moved\.\n",
        ended.err,
    )
    assert not (tmp_path / "new.db").exists()


def test_a_file_that_is_served_is_refused(start_server: StartServer, run_command: RunCommand, tmp_path: Path, url: str) -> None:
    server = start_server("--dev", "--demo", DATABASE_URL=f"sqlite:///{tmp_path / 'served.db'}")

    ended = run_command("move", "--to", url, DATABASE_URL=f"sqlite:///{tmp_path / 'served.db'}")

    user = f"{tmp_path / 'served.db'} is in use by process {server.process.pid}. "
    assert ended.err == f"home-visits: {user}Stop it first: what it wrote from now on would not be moved.\n"
    assert PostgreSQLDatabase(url).is_empty()


def test_a_database_is_not_moved_to_itself(run_command: RunCommand, tmp_path: Path) -> None:
    fill(f"sqlite:///{tmp_path / 'a.db'}")
    here = f"sqlite:///{tmp_path / 'a.db'}"

    ended = run_command("move", "--to", here, DATABASE_URL=here)

    assert ended.err == f"home-visits: {tmp_path / 'a.db'} cannot be moved to itself: name another database by --to.\n"


def kill_and_finish(source: str, target: str, folder: Path, kills: int) -> None:
    """Kill moves at random moments, later and later, then let one come to its end."""
    command = [sys.executable, APP, "move", "--to", target]
    variables = environment(folder, DATABASE_URL=source)
    for kill in range(kills):
        process = subprocess.Popen(command, cwd=folder, env=variables, stderr=subprocess.PIPE, text=True)
        time.sleep(random.uniform(0.8, 1.2 + 2.5 * kill / kills))  # noqa: S311 - any moment will do
        process.kill()
        assert "Error" not in process.communicate()[1]
    ended = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 0, ended.stderr
    assert "rows were moved from" in ended.stderr


async def rows_at(url: str) -> dict[str, list[tuple[object, ...]]]:
    database = await database_of(url).open()
    try:
        return await rows_in(database)
    finally:
        await database.close()


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(3, id="a few kills"),
        pytest.param(12, id="many kills", marks=pytest.mark.slow),
    ],
)
async def test_moves_that_are_killed_at_any_moment_are_finished_by_the_next(tmp_path: Path, url: str, kills: int) -> None:
    source, back = f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'b.db'}"
    fill(source)
    model = PostgreSQLDatabase(url)
    model.migrate()
    before = definitions(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    kill_and_finish(source, url, tmp_path, kills)
    kill_and_finish(url, back, tmp_path, kills)

    kept = await rows_at(source)
    assert await rows_at(url) == kept
    assert await rows_at(back) == kept
    assert definitions(url) == before
