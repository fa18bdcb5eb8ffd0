"""Each batch of an import is a transaction: what was written before a full disk or a kill stays, and others write between."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from storage.carehq.merging import Tally
from storage.database import Database
from storage.errors import DatabaseFull
from storage.models import HomeVisit
from storage.repository import HomeVisits
from tests import databases
from tests.databases import database_at, path_of
from tests.inspection import inspect
from tests.storage.carehq.taking import (
    ENQUIRY,
    LOCATION,
    enquiry,
    ids_of,
    numbered,
    take,
    write,
)
from tests.storage.homes import EVERYTHING, Clock, booking, events_of, everything_in

ROOT = Path(__file__).parents[3]


async def test_a_batch_is_one_transaction(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.carehq.importing.BATCH", 10)
    paths = write(tmp_path, home_visits=numbered(25))
    written = database.transaction_count

    await take(database, *paths)

    looks_whether_an_index_is_missing = databases.is_sqlite()
    assert database.transaction_count - written == 3 + looks_whether_an_index_is_missing


async def test_a_full_disk_keeps_the_batches_before_and_a_repeat_completes_them(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.carehq.importing.BATCH", 100)
    paths = write(tmp_path, home_visits=numbered(1000))
    await have_room_for(database, 500)

    with pytest.raises(DatabaseFull):
        await take(database, *paths)

    kept = ids_of(path_of(database), "home_visits")
    assert kept == [f"{number:024x}" for number in range(len(kept))]
    assert (len(kept) % 100, 0 < len(kept) < 1000) == (0, True)
    assert [event["home_visit"] for event in events_of(path_of(database))] == kept

    await have_room_for(database, 1_000_000)
    outcome = await take(database, *paths)

    assert outcome.tallies == {"home_visits": Tally(new=1000 - len(kept), unchanged=len(kept))}
    assert len(events_of(path_of(database))) == 1000


FULL = {
    # A page has three visits, with their rows in all indexes.
    "sqlite": ["PRAGMA max_page_count = {pages}"],
    "postgresql": [
        "DROP TRIGGER IF EXISTS is_full ON home_visits",
        """CREATE OR REPLACE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$""",
        "CREATE TRIGGER is_full BEFORE INSERT ON home_visits FOR EACH ROW WHEN (new.number > {visits}) EXECUTE FUNCTION full()",
    ],
}


async def have_room_for(database: Database, visits: int) -> None:
    """Have a disk that is full after some of so many visits."""

    def work(session: Session) -> None:
        for statement in FULL[databases.KIND]:
            session.connection().execute(sa.text(statement.format(visits=visits, pages=visits * 3 // 10)))

    await database.write(work)


@pytest.mark.parametrize(
    ("large", "transactions", "moment", "kept"),
    [
        pytest.param(1 << 25, 1, "before", 0, marks=pytest.mark.slow),
        (1 << 25, 3, "before", 20),
        pytest.param(1 << 25, 1, "after", 10, marks=pytest.mark.slow),
        pytest.param(1 << 25, 10, "after", 100, marks=pytest.mark.slow),
        # Everything counts as large: the first transaction drops the indexes, those after the twelfth build them.
        (0, 4, "before", 20),
        (0, 15, "before", 100),
        pytest.param(0, 1, "before", 0, marks=pytest.mark.slow),
        pytest.param(0, 1, "after", 0, marks=pytest.mark.slow),
        pytest.param(0, 11, "after", 100, marks=pytest.mark.slow),
        pytest.param(0, 15, "after", 100, marks=pytest.mark.slow),
    ],
)
@pytest.mark.sqlite  # the database that kills itself is one of SQLite
def test_what_a_killed_import_wrote_stays_and_a_repeat_completes_it(
    path: Path, tmp_path: Path, template: Path, large: int, transactions: int, moment: str, kept: int
) -> None:
    (file,) = write(tmp_path, home_visits=numbered(100))

    killed = doomed(path, file, transactions, moment, large)
    after_the_kill = everything_in(path)
    faults = inspect(path).faults()
    repeated = doomed(path, file, 1000, "never", large)

    assert (killed, faults, repeated) == (-9, [], 0)
    assert [len(after_the_kill[table]) for table in ("home_visits", "home_visit_events")] == [kept, kept]
    assert [len(everything_in(path)[table]) for table in ("home_visits", "home_visit_events")] == [100, 100]
    assert inspect(path).definitions() == inspect(template).definitions()


def doomed(path: Path, file: Path, transactions: int, moment: str, large: int) -> int:
    command = [sys.executable, "-m", "tests.storage.carehq.doomed", path, file, str(transactions), moment, str(large)]
    return subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode


async def test_visits_are_booked_while_others_are_imported(
    database: Database, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.carehq.importing.BATCH", 10)
    await take(database, *write(tmp_path, care_enquiries=[enquiry(location=LOCATION)]))
    files = write(tmp_path, home_visits=numbered(200))
    beside = await database_at(path).open()

    async def book() -> list[HomeVisit]:
        visits = HomeVisits(beside, EVERYTHING, Clock())
        return [await visits.book(booking(care_enquiry=ENQUIRY)) for _ in range(20)]

    outcome, booked = await asyncio.gather(take(database, *files), book())
    await beside.close()

    events = events_of(path)
    assert outcome.tallies == {"home_visits": Tally(new=200)}
    assert [event["sequence"] for event in events] == list(range(1, 221))
    assert [event["home_visit"] for event in events if event["type"] == "BOOKED"] == [one.id for one in booked]
