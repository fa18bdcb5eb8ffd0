"""What is left of families that were wiped: nothing through SQL, and nothing in files once the README's statements were run."""

import asyncio
import re
import time
from pathlib import Path

import asyncpg
import psycopg
import pytest

from storage.database import Database, Remains, Wiped
from storage.postgresql import purging
from storage.repository import HomeVisits
from storage.retention.anonymizing import anonymize
from tests.conftest import ROOT
from tests.databases import database_at, url_of
from tests.storage.homes import EVERYTHING, Clock, booking, prepare
from tests.storage.retention.families import add_families, left_in_tables, left_of, load


async def test_nothing_is_left_of_them_in_tables_statistics_or_files(tmp_path: Path) -> None:
    path, clock = tmp_path / "families.db", Clock()
    prepare(path)
    database = await database_at(path).open()
    families = await add_families(database, clock, tmp_path / "mail", 20)
    [statements] = re.findall(r"```sql\n(VACUUM.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    clock.advance(days=400)

    with psycopg.connect(url_of(path), autocommit=True) as connection:
        connection.execute("ANALYZE")
        before = repr(connection.execute("SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats").fetchall())
        async with load(database, clock):
            report = await anonymize(database, 365, clock, mail=tmp_path / "mail")
        after = repr(connection.execute("SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats").fetchall())
        await database.close()
        [name] = connection.execute("SELECT current_database()").fetchone() or ()
        for statement in statements.replace("visits", f'"{name}"').split(";\n")[:2]:
            connection.execute(statement.encode())
        connection.execute("CHECKPOINT")
        [folder] = (
            connection.execute(
                "SELECT setting || '/base/' || oid FROM pg_settings, pg_database WHERE name = 'data_directory' AND datname = %s",
                [name],
            ).fetchone()
            or ()
        )

    assert report.wiped == Wiped(20, 20, 20)
    assert report.remains.to_know == (
        "Tables and indexes hold what was wiped until VACUUM FULL and REINDEX, the log and base backups until they expire.",
    )
    words = [word for family in families for word in family.words]
    assert [word for word in words if word in before] != []
    assert [word for word in words if word in after] == []
    assert left_in_tables(families, path) == set()
    assert any(file.is_file() for file in Path(folder).glob("*"))  # noqa: ASYNC240 - nothing else runs here
    assert left_of(families, Path(folder)) == set()


async def with_statistics_of_keys(path: Path, clock: Clock) -> Database:
    """Return a database in which a visit is due whose booking key statistics have."""
    prepare(path)
    database = await database_at(path).open()
    visits = HomeVisits(database, EVERYTHING, clock)
    await visits.complete((await visits.book(booking(notes="Frail."), idempotency_key="Ada")).id)
    await database.optimize()
    clock.advance(days=400)
    return database


async def test_nobody_waits_for_a_purge_that_waits_for_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "_ATTEMPTS", 3)
    path, mail, clock, waits = tmp_path / "visits.db", tmp_path / "mail", Clock(), list[float]()
    database = await with_statistics_of_keys(path, clock)

    with psycopg.connect(url_of(path)) as reader, psycopg.connect(url_of(path), autocommit=True) as other:
        reader.execute("SELECT count(*) FROM idempotency_keys").fetchone()
        purge = asyncio.create_task(anonymize(database, 365, clock, mail=mail))
        while not purge.done():
            began = time.monotonic()
            await asyncio.to_thread(other.execute, "SELECT count(*) FROM idempotency_keys")
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.01)
    after = await anonymize(database, 365, clock, mail=mail)
    await database.close()

    in_use = "Statistics of booking keys hold what was wiped: somebody is using their table. Run it again."
    beside = await purge
    assert (beside.wiped, beside.remains.to_repeat) == (Wiped(1, 1, 1), (in_use,))
    assert (after.wiped, after.remains) == (Wiped(), Remains(to_know=(purging.OLD_PAGES,)))
    assert max(waits) < 1.0


async def test_statistics_that_only_their_owner_can_rebuild_are_named(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    database = await with_statistics_of_keys(path, Clock())
    await database.close()
    connection = await asyncpg.connect(url_of(path))
    await connection.execute("DELETE FROM idempotency_keys; GRANT SELECT ON idempotency_keys TO PUBLIC")
    await connection.execute("SET SESSION AUTHORIZATION pg_monitor")

    remains = await purging.purge_statistics(connection)
    await connection.close()

    others = "Statistics of tables may hold what was wiped: only their owner can rebuild them."
    assert remains == Remains(
        to_know=(
            "Statistics of booking keys may hold what was wiped: only the owner of the table idempotency_keys can drop them.",
            f"{others} Run this as the owner, in psql: ANALYZE {purging.TABLES}.",
            purging.OLD_PAGES,
        )
    )
