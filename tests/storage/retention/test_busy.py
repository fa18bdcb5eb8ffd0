"""A wipe that meets a database which is busy: it goes on as soon as that is over, or says what is left."""

import asyncio
from pathlib import Path

import pytest

from storage.database import Database, Remains, Wiped
from storage.retention import erasing, unneeded
from storage.retention.anonymizing import anonymize
from storage.retention.erasing import erase
from storage.retention.finding import Person
from storage.retention.overdue import describe_overdue
from storage.retention.wiping import ENQUIRIES
from storage.sqlite import locking, writing
from tests.inspection import inspect
from tests.storage.homes import NOW, REID, Clock, keep, rows_of, visit
from tests.storage.sqlite.handling import opened

YEAR = 365
FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n {end}) SELECT count(*) FROM n"

pytestmark = pytest.mark.sqlite  # whose writer and readers can be held up for as long as a test needs


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(writing, "BUSY_SECONDS", 0.1)


def slow_down(path: Path, table: str, steps: int | None) -> None:
    """Have each row of a table take some time to be read, or for ever."""
    columns = ", ".join(name for name in inspect(path).columns(table) if name != "anonymized")
    count = FOREVER.format(end=f"WHERE i < {steps}" if steps else "")
    slow = f"CASE WHEN ({count}) > 0 THEN anonymized END AS anonymized"
    view = f"CREATE VIEW {table} AS SELECT {columns}, {slow} FROM elsewhere"  # noqa: S608 - our own
    inspect(path).execute(f"PRAGMA legacy_alter_table = ON; ALTER TABLE {table} RENAME TO elsewhere; {view}")


@pytest.mark.usefixtures("impatient")
async def test_a_person_is_erased_once_whoever_is_writing_has_ended(
    database: Database, clock: Clock, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "RETRY_SECONDS", 0.01)
    with inspect(path).locked():
        erasing_her = asyncio.create_task(erase(database, Person(frozenset({REID}), frozenset()), clock, mail=tmp_path))
        await asyncio.sleep(0.4)
        is_waiting = not erasing_her.done()
    erased = await erasing_her

    assert (is_waiting, erased.wiped) == (True, Wiped(0, 1, 1))


@pytest.mark.usefixtures("impatient")
async def test_families_who_are_in_use_are_left_and_the_next_run_wipes_them(
    database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await keep(database, visit(1, care_enquiry=REID, completed=NOW, anonymized=NOW))
    clock.advance(days=YEAR, seconds=1)

    with inspect(path).locked():
        beside = await anonymize(database, YEAR, clock, mail=tmp_path / "mail")
    after = await anonymize(database, YEAR, clock, mail=tmp_path / "mail")

    sentence = "Care enquiries and contacts that were in use, and are left: 1. Run it again."
    assert (beside.wiped, beside.remains) == (Wiped(), Remains(to_repeat=(sentence,)))
    assert (after.wiped, after.is_done) == (Wiped(0, 1, 1), True)


async def test_from_a_slow_disk_fewer_families_are_looked_at_together(
    database: Database, clock: Clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unneeded, "ROWS", 40)
    monkeypatch.setattr(unneeded, "FEWEST_ROWS", 1)
    rows = rows_of(path, "care_enquiries")
    for number in range(40):
        inspect(path).insert("care_enquiries", rows[0] | {"id": f"6{number:023x}"})
    await keep(database, visit(1, care_enquiry=f"6{39:023x}", completed=NOW, anonymized=NOW))
    slow_down(path, "care_enquiries", 20_000)

    async with opened(path, statement_seconds=0.2) as slow:
        found = [ids async for ids in unneeded.unneeded(slow, ENQUIRIES, clock.advance(days=YEAR))]

    assert found == [[f"6{39:023x}"]]


async def test_that_overdue_visits_cannot_be_counted_is_said_and_no_more(database: Database, path: Path) -> None:
    await keep(database, visit(1))
    slow_down(path, "home_visits", None)

    async with opened(path, statement_seconds=0.1) as slow:
        sentences = await describe_overdue(slow, YEAR, Clock().advance(days=2 * YEAR))

    assert sentences == [
        "How many visits are pending though the time has passed as long ago cannot be told: The database did not answer in time."
    ]
