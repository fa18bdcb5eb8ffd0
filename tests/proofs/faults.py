"""What befalls PostgreSQL: each fault is over where its block begins; at the end of the block it tidies up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.proofs.sites import Site
from tests.storage.postgresql.clusters import Cluster

OURS = "FROM pg_stat_activity WHERE application_name = 'home-visits'"
AWAY_SECONDS = 0.5
LOCKED_SECONDS = 2.5
# Longer than anybody may wait: what is not bounded shows.
HUNG_SECONDS = 15.0
CUTS = 20


Strike = Callable[[Site], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def killed(site: Site) -> AsyncIterator[None]:
    """Its first process alone, or all of them, in turn."""
    site.strikes += 1
    await asyncio.to_thread(site.cluster.kill, whole=bool(site.strikes % 2))
    await asyncio.sleep(AWAY_SECONDS)
    await asyncio.to_thread(site.cluster.start)
    yield


@asynccontextmanager
async def backend_killed(site: Site) -> AsyncIterator[None]:
    """A process of one connection, upon which PostgreSQL ends all others and starts anew."""
    await asyncio.to_thread(site.cluster.kill_backend, "home-visits")
    yield


@asynccontextmanager
async def hung(site: Site) -> AsyncIterator[None]:
    with site.cluster.suspended():
        await asyncio.sleep(HUNG_SECONDS)
    yield


@asynccontextmanager
async def restarted(site: Site) -> AsyncIterator[None]:
    await asyncio.to_thread(site.cluster.stop)
    await asyncio.to_thread(site.cluster.start)
    yield


@asynccontextmanager
async def out_of_connections(site: Site) -> AsyncIterator[None]:
    """Others take all that are not the superuser's, and those that we have are ended."""
    with contextlib.ExitStack() as taken:
        await asyncio.to_thread(_take_all, site.cluster, taken)
        await asyncio.sleep(2)
    yield


def _take_all(cluster: Cluster, taken: contextlib.ExitStack) -> None:
    url = f"postgresql://visits@{cluster.address}/postgres"
    with psycopg.connect(cluster.url, autocommit=True) as administrator:
        for _ in range(1000):
            administrator.execute(f"SELECT pg_terminate_backend(pid) {OURS}".encode())
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    taken.enter_context(contextlib.closing(psycopg.connect(url)))
            if administrator.execute(f"SELECT count(*) {OURS}".encode()).fetchone() == (0,):
                return
    raise AssertionError("the server has always found a connection")


@asynccontextmanager
async def locked(site: Site) -> AsyncIterator[None]:
    """Somebody keeps all from writing for longer than `lock_timeout`."""
    async with _administrator(site) as other:
        await other.execute("LOCK TABLE home_visits IN SHARE ROW EXCLUSIVE MODE")
        await asyncio.sleep(LOCKED_SECONDS)
        waiting = await _number(other, "SELECT count(*) FROM pg_locks WHERE NOT granted")
        await other.rollback()
        assert waiting > 0
        yield


@asynccontextmanager
async def deadlocked(site: Site) -> AsyncIterator[None]:
    """Somebody takes locks in another order than we, and it is we who are told of it."""
    async with _administrator(site) as other:
        await other.execute("SET deadlock_timeout = '1min'")
        before = await _number(other, DEADLOCKS)
        await other.execute("LOCK TABLE outbox_messages IN SHARE ROW EXCLUSIVE MODE")
        await asyncio.sleep(0.3)
        await other.execute("LOCK TABLE home_visits IN SHARE ROW EXCLUSIVE MODE")
        await other.rollback()
        yield
        # It counts them a moment later.
        async with asyncio.timeout(10):
            while await _number(other, DEADLOCKS) == before:
                await other.rollback()
                await asyncio.sleep(0.1)


DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'visits'"
CONFLICTS = """
    CREATE SEQUENCE meetings;
    GRANT USAGE ON meetings TO public;
    CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF nextval('meetings') % 8 = 0 THEN RAISE 'met' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER meeting AFTER INSERT ON home_visit_events DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION meet();
"""


@asynccontextmanager
async def conflicting(site: Site) -> AsyncIterator[None]:
    """Each eighth commit fails as one that is serializable does where it met another."""
    async with _administrator(site) as other:
        await other.execute(CONFLICTS)
        await other.commit()
        await asyncio.sleep(3)
        failed = await _number(other, "SELECT last_value / 8 FROM meetings")
        await other.execute("DROP FUNCTION meet CASCADE; DROP SEQUENCE meetings")
        await other.commit()
        assert failed > 0
        yield


@asynccontextmanager
async def full_disk(site: Site) -> AsyncIterator[None]:
    """Where its tables are no page can be added."""
    assert site.disk
    ballast = site.disk / "ballast"
    await asyncio.to_thread(_fill, ballast)
    await asyncio.sleep(3)
    ballast.unlink()
    yield


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@asynccontextmanager
async def cut(site: Site) -> AsyncIterator[None]:
    """Connections break as they commit, each second one once PostgreSQL has heard it."""
    wire = site.wire
    assert wire
    before = wire.cuts
    for _ in range(CUTS):
        wire.is_heard, wire.text = not wire.is_heard, b"COMMIT"
        while wire.text is not None:  # noqa: ASYNC110 - the wire has no event
            await asyncio.sleep(0.01)
    assert wire.cuts == before + CUTS
    yield


@asynccontextmanager
async def failed_over(site: Site) -> AsyncIterator[None]:
    """It hangs, is fenced, and its standby takes over."""
    assert site.standby
    with site.cluster.suspended():
        await asyncio.sleep(1)
        await asyncio.to_thread(site.cluster.kill)
    await asyncio.to_thread(site.standby.promote)
    yield


@asynccontextmanager
async def vanished(site: Site) -> AsyncIterator[None]:
    """Its host is gone without a word, for ever, and its standby takes over."""
    assert site.standby
    site.cluster.suspend()
    await asyncio.to_thread(site.standby.promote)
    yield
    await asyncio.to_thread(site.cluster.kill)


async def _number(connection: "psycopg.AsyncConnection[Any]", query: str) -> int:
    [number] = await (await connection.execute(query.encode())).fetchone() or [0]
    return int(number)


@asynccontextmanager
async def _administrator(site: Site) -> AsyncIterator["psycopg.AsyncConnection[Any]"]:
    """Connect to the database as its superuser."""
    url = f"postgresql://postgres@{site.cluster.address}/visits"
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield connection
