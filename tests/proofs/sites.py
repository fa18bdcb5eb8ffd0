"""Where a fault strikes: a PostgreSQL with a database of visits, and what only some faults need beside it."""

import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.database import Database, database_of, opened
from storage.models import CareEnquiry, Location
from tests.proofs.standby import Standby, replicated
from tests.storage.homes import REID, WILLOW, keep
from tests.storage.postgresql.bouncer import bouncing
from tests.storage.postgresql.clusters import USER, Cluster, cluster
from tests.storage.postgresql.cutting import Wire, wired

# Commits that take longer are more often those that a fault meets.
SLOW_COMMITS = {"fsync": "on", "commit_delay": "10000", "commit_siblings": "0", "max_connections": "70"}
DISK_MEGABYTES = 40
ROLE = """
    CREATE ROLE visits LOGIN;
    ALTER ROLE visits SET statement_timeout = '3s';
    ALTER ROLE visits SET lock_timeout = '2s';
    ALTER ROLE visits SET idle_in_transaction_session_timeout = '5s';
    ALTER ROLE visits SET work_mem = '32MB';
    ALTER ROLE visits SET jit = off;
"""


@dataclass
class Site:
    """`url` is the gateway's. Where it fails over, `cluster` is the one that fails."""

    url: str
    cluster: Cluster
    standby: Standby | None = None
    disk: Path | None = None
    wire: Wire | None = None
    is_pooled: bool = False
    strikes: int = 0


@asynccontextmanager
async def direct() -> AsyncIterator[Site]:
    with cluster("--locale=C.UTF-8", **SLOW_COMMITS) as running:
        yield Site(await _prepared(running), running)


@asynccontextmanager
async def behind_pgbouncer() -> AsyncIterator[Site]:
    with cluster("--locale=C.UTF-8", **SLOW_COMMITS) as running, bouncing(await _prepared(running)) as url:
        yield Site(url, running, is_pooled=True)


@asynccontextmanager
async def over_a_wire() -> AsyncIterator[Site]:
    with cluster("--locale=C.UTF-8", **SLOW_COMMITS) as running:
        async with wired(await _prepared(running)) as (url, wire):
            yield Site(url, running, wire=wire)


@asynccontextmanager
async def on_a_small_disk() -> AsyncIterator[Site]:
    """Its tables have a disk of their own, a small one in memory."""
    with cluster("--locale=C.UTF-8", **SLOW_COMMITS) as running, _small_disk() as disk:
        tables = disk / "tables"
        tables.mkdir()
        if USER:
            shutil.chown(tables, USER)
        running.run(f"CREATE TABLESPACE small LOCATION '{tables}'")
        yield Site(await _prepared(running, "TABLESPACE small"), running, disk=disk)
        running.stop()


@asynccontextmanager
async def with_a_standby() -> AsyncIterator[Site]:
    with replicated(**SLOW_COMMITS) as (primary, standby):
        await _prepared(primary)
        url = f"postgresql://visits@{primary.address},{standby.address}/visits?target_session_attrs=read-write"
        yield Site(url, primary, standby=standby)


@contextmanager
def _small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="home-visits-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m,mode=755", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


async def _prepared(running: Cluster, where: str = "") -> str:
    """Make a database in which one family is known, and return its URL."""
    running.run(*ROLE.strip().split("\n"), f"CREATE DATABASE visits OWNER visits {where}")
    url = f"postgresql://visits@{running.address}/visits"
    database = database_of(url)
    database.migrate()

    async def fill(database: Database) -> None:
        await keep(database, Location(id=WILLOW, name="Willow Court", time_zone="Europe/London"))
        await keep(database, CareEnquiry(id=REID, first_name="Ada", email="ada@family.example", location=WILLOW))

    await opened(database, fill)
    return url
