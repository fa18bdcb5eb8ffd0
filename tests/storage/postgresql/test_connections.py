"""The pool: bounded, waited for a bounded time, and of use again after whatever became of a connection."""

import asyncio
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError
from sqlmodel import Session, text

from storage.errors import DatabaseBusy, WriteInDoubt
from storage.postgresql import leases
from storage.postgresql.connections import Connections
from storage.postgresql.database import MAX_ATTEMPTS, PostgreSQLDatabase
from storage.queries.statements import Statement
from storage.writes import Stage, WriteState
from tests.inspection import PostgreSQLInspection
from tests.storage.postgresql.cutting import wired

ONE = Statement("SELECT 1", ())
SLEEP = Statement("SELECT pg_sleep(30)", ())
BACKENDS = "SELECT {} FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def kill_others(url: str) -> int:
    """End all connections to a database, as a restart does; return how many there were."""
    connection = await asyncpg.connect(url)
    ended = await connection.fetch(BACKENDS.format("pg_terminate_backend(pid)"))
    await connection.close()
    return len(ended)


async def test_there_are_no_more_connections_than_the_bound(database: PostgreSQLDatabase, url: str) -> None:
    database._connections._leases._wait_seconds = 5
    await asyncio.gather(*(database.fetch(ONE, {}) for _ in range(50)))

    assert await kill_others(url) == 2


async def test_who_finds_no_connection_waits_for_a_bounded_time(database: PostgreSQLDatabase) -> None:
    busy = [await database._connections.acquire() for _ in range(2)]

    with pytest.raises(DatabaseBusy):
        await database.fetch(ONE, {})

    database._connections.release(busy[0])
    assert (await database.fetch(ONE, {}))[0][0] == 1
    database._connections.release(busy[1])


async def test_a_read_is_repeated_once_where_its_connection_was_lost(database: PostgreSQLDatabase, url: str) -> None:
    await asyncio.gather(database.fetch(ONE, {}), database.fetch(ONE, {}))
    assert await kill_others(url) > 0

    assert [(await database.fetch(ONE, {}))[0][0] for _ in range(5)] == [1] * 5


async def test_reads_that_are_cancelled_leave_all_connections_usable(database: PostgreSQLDatabase) -> None:
    for _ in range(6):
        reading = asyncio.ensure_future(database.fetch(SLEEP, {}))
        await asyncio.sleep(0.02)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    results = await asyncio.gather(database.fetch(ONE, {}), database.fetch(ONE, {}))
    assert [rows[0][0] for rows in results] == [1, 1]


@pytest.mark.parametrize("state", ["40001", "40P01", "23505", "55P03"])
async def test_a_write_that_met_another_one_is_run_again(database: PostgreSQLDatabase, state: str) -> None:
    attempts = []

    def work(session: Session) -> int:
        attempts.append(1)
        if len(attempts) < MAX_ATTEMPTS:
            session.execute(text(f"DO $$ BEGIN RAISE 'met' USING ERRCODE = '{state}'; END $$"))
        return len(attempts)

    assert await database.write(work) == MAX_ATTEMPTS


async def test_a_write_that_fails_otherwise_is_not_run_again(database: PostgreSQLDatabase) -> None:
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        session.execute(text("SELECT 1/0"))

    with pytest.raises(Exception, match="division by zero"):
        await database.write(work)
    assert len(attempts) == 1


async def test_a_connection_lost_at_the_commit_leaves_a_write_in_doubt(
    database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(_session: Any) -> None:
        raise ConnectionResetError("lost")

    monkeypatch.setattr("sqlalchemy.ext.asyncio.AsyncSession.commit", lost)
    with pytest.raises(WriteInDoubt):
        await database.write(lambda session: session.execute(text("SELECT 1")))

    assert (await database.fetch(ONE, {}))[0][0] == 1


async def test_a_connection_that_is_made_while_the_pool_closes_is_closed_when_it_comes_back(url: str) -> None:
    connections = Connections(url, pooled=False)
    making = asyncio.create_task(connections.acquire())
    await asyncio.sleep(0)

    await connections.close()
    connection = await making
    was_open = not connection.is_closed()
    await connection.close()

    assert (was_open, connection.is_closed()) == (True, True)


async def test_what_is_written_after_a_transaction_that_began_too_late_is_committed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.postgresql.connecting.COMMAND_SECONDS", 0.2)
    PostgreSQLDatabase(url).migrate()
    async with wired(url) as (through, wire):
        database = await PostgreSQLDatabase(through, connections=1).open()
        await database.write(lambda session: session.execute(text("CREATE TABLE notes (note text)")))
        wire.text, wire.delay = b"BEGIN", 0.3

        with pytest.raises(DatabaseBusy):
            await database.write(lambda session: session.execute(text("INSERT INTO notes VALUES ('too late')")))
        await database.write(lambda session: session.execute(text("INSERT INTO notes VALUES ('saved')")))
        await database.close()

    assert PostgreSQLInspection(url).query("SELECT note FROM notes") == [("saved",)]


async def test_a_write_that_cannot_begin_is_refused_in_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.postgresql.database.BEGIN_SECONDS", 0.2)
    PostgreSQLDatabase(url).migrate()
    async with wired(url) as (through, wire):
        database = await PostgreSQLDatabase(through, connections=1).open()
        wire.text, wire.delay = b"BEGIN", 2.0

        async with asyncio.timeout(1.5):
            with pytest.raises(DatabaseBusy):
                await database.write(lambda session: session.execute(text("SELECT 1")))
        monkeypatch.undo()
        result = await database.write(lambda session: session.execute(text("SELECT 2")).scalar())
        await database.close()

    assert result == 2


async def test_a_read_is_repeated_once_however_late_it_was_lost(database: PostgreSQLDatabase, url: str) -> None:
    await database.write(lambda session: session.execute(text("CREATE SEQUENCE runs")))
    slow_at_first = Statement("SELECT pg_sleep(CASE nextval('runs') WHEN 1 THEN 30 ELSE 0 END), 'again'", ())
    reading = asyncio.ensure_future(database.fetch(slow_at_first, {}))
    await asyncio.sleep(1.1)

    await kill_others(url)

    assert (await reading)[0][1] == "again"


async def test_a_repeated_read_has_what_is_left_of_its_time(
    database: PostgreSQLDatabase, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "ANSWER_SECONDS", 0.8)
    reading = asyncio.ensure_future(database.fetch(SLEEP, {}))
    await asyncio.sleep(0.3)

    await kill_others(url)

    async with asyncio.timeout(1):
        with pytest.raises(DatabaseBusy):
            await reading


async def test_a_write_whose_statement_hangs_is_refused_in_time(
    database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.postgresql.database.ANSWER_SECONDS", 0.3)
    state = WriteState()

    async with asyncio.timeout(1):
        with pytest.raises(DatabaseBusy):
            await database.write(lambda session: session.execute(text("SELECT pg_sleep(30)")), state)

    assert state.stage is Stage.NOT_BEGUN
    assert (await database.fetch(ONE, {}))[0][0] == 1


async def test_a_write_for_nobody_who_waits_takes_its_time(database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.postgresql.database.ANSWER_SECONDS", 0.1)

    assert await database.write(lambda session: session.execute(text("SELECT 1 FROM pg_sleep(0.4)")).scalar()) == 1


async def test_a_write_whose_commit_hangs_is_in_doubt_in_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.postgresql.database.ANSWER_SECONDS", 0.3)
    PostgreSQLDatabase(url).migrate()
    async with wired(url) as (through, wire):
        database = await PostgreSQLDatabase(through, connections=1).open()
        await database.write(lambda session: session.execute(text("CREATE TABLE notes (note text)")))
        wire.text, wire.delay, state = b"COMMIT", 2.0, WriteState()

        async with asyncio.timeout(1):
            with pytest.raises(WriteInDoubt):
                await database.write(lambda session: session.execute(text("INSERT INTO notes VALUES ('late')")), state)
        await database.close()

    assert state.stage is Stage.BEGUN


@pytest.mark.parametrize(("code", "error"), [("40003", WriteInDoubt), ("23514", IntegrityError)])
async def test_a_commit_that_fails_is_in_doubt_unless_it_was_surely_rolled_back(
    database: PostgreSQLDatabase, code: str, error: type[Exception]
) -> None:
    failing = f"""
        CREATE TABLE notes (note text);
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$;
        CREATE CONSTRAINT TRIGGER failing AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION fail()
    """
    for statement in failing.split(";\n"):
        await database.write(lambda session, statement=statement: session.execute(text(statement)))

    with pytest.raises(error):
        await database.write(lambda session: session.execute(text("INSERT INTO notes VALUES ('lost')")))


async def test_a_write_whose_record_another_one_has_changed_is_run_again(database: PostgreSQLDatabase) -> None:
    attempts = []

    def work(session: Session) -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise StaleDataError
        return len(attempts)

    assert await database.write(work) == 3


async def test_where_one_connection_hangs_the_idle_ones_are_dropped(
    database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "READ_SECONDS", 0.2)
    await asyncio.gather(database.fetch(ONE, {}), database.fetch(ONE, {}))

    with pytest.raises(DatabaseBusy):
        await database.fetch(SLEEP, {})

    assert database._connections._idle == []
