"""Promise 15: a full disk is an error, not corruption."""

import contextlib
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from storage.database import Database
from storage.errors import DatabaseFull
from storage.instants import clock
from storage.queries.paging import Window
from storage.repository import HomeVisits
from tests.databases import copied, database_at
from tests.proofs.wholeness import faults
from tests.proofs.writers import WAITS
from tests.storage.homes import EVERYTHING, booking, everything_in

FULL = "There is no room left to save this. Nothing was changed: try again once space has been freed."
MEGABYTE = 1 << 20
PAGE = 4096
CAP_SYS_ADMIN = 21


class Disk(NamedTuple):
    """`limit` is called once the database is open, `free` when it has been found to be full."""

    folder: Path
    limit: Callable[[Database], Awaitable[None]]
    free: Callable[[Database], Awaitable[None]]


async def allow_pages(database: Database, pages: int) -> None:
    def work(session: Session) -> None:
        session.exec(sa.text(f"PRAGMA max_page_count = {pages}"))  # type: ignore[call-overload]

    await database.write(work)


@contextlib.contextmanager
def of_pages(folder: Path, megabytes: int) -> Iterator[Disk]:
    """A database that may have so many pages: as good as a full disk where none can be mounted."""

    async def limit(database: Database) -> None:
        await allow_pages(database, megabytes * MEGABYTE // PAGE)

    async def free(database: Database) -> None:
        await allow_pages(database, 1 << 30)

    yield Disk(folder, limit, free)


@contextlib.contextmanager
def of_memory(folder: Path, megabytes: int) -> Iterator[Disk]:
    """A small disk in memory, with a ballast that can be thrown off it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    ballast = folder / "ballast"
    ballast.write_bytes(b"\0" * MEGABYTE)

    async def nothing(_: Database) -> None:
        pass

    async def throw_off(_: Database) -> None:
        ballast.unlink()

    try:
        yield Disk(folder, nothing, throw_off)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def may_mount() -> bool:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    capabilities = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(capabilities, 16) >> CAP_SYS_ADMIN & 1)


MOUNTING = pytest.mark.skipif(not may_mount(), reason="needs the right to mount a disk")
DISKS = [
    pytest.param((of_pages, 1), id="1 MB of pages"),
    pytest.param((of_pages, 6), id="6 MB of pages", marks=pytest.mark.slow),
    # As large as it takes for the log to be written back and to find no room there either.
    pytest.param((of_memory, 10), id="10 MB of memory", marks=[pytest.mark.slow, MOUNTING]),
]


# A server has its own disk.
pytestmark = pytest.mark.sqlite


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    kind, megabytes = request.param
    with kind(folder, megabytes) as disk:
        yield disk


async def book(visits: HomeVisits, key: str, notes: str) -> str:
    return (await visits.book(booking(date_time=WAITS, notes=notes), idempotency_key=key)).id


async def book_until_full(visits: HomeVisits) -> list[str]:
    booked: list[str] = []
    with contextlib.suppress(DatabaseFull):
        while len(booked) < 5000:
            booked.append(await book(visits, str(len(booked)), "x" * 5_000))
    return booked


async def test_a_full_disk_refuses_writes_serves_reads_and_recovers(
    template: Path, disk: Disk, tell: Callable[..., None]
) -> None:
    path = copied(template, disk.folder / "home_visits.db")
    database = await database_at(path).open()
    visits = HomeVisits(database, EVERYTHING, clock)
    await disk.limit(database)

    booked = await book_until_full(visits)
    before = everything_in(path)
    refused = []
    for number in range(10):
        with pytest.raises(DatabaseFull) as refusal:
            await book(visits, f"refused {number}", "x" * 10_000)
        refused.append(str(refusal.value))
    unchanged = everything_in(path) == before
    newest = await visits.page({}, [("id", True)], Window(100, False, None, None))
    counted = await newest.total_count()
    read = [await visits.get(id) for id in booked]
    await disk.free(database)
    again = [await book(visits, f"refused {number}", "x" * 10_000) for number in range(10)]
    await visits.cancel(booked[0])

    await database.close()
    tell("disk full", booked=len(booked), refused=len(refused), read=len(read), booked_once_freed=len(again))
    assert len(booked) > 20
    assert refused == [FULL] * 10
    assert unchanged
    assert [node.id for node in newest.nodes] == booked[::-1][:100]
    assert counted == len(booked)
    assert [visit.id for visit in read if visit] == booked
    assert {row[1] for row in everything_in(path)["home_visits"]} == {*booked, *again}
    assert faults(path) == []
