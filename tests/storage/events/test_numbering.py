"""Events are numbered without a gap, also those that code of before inserts, which knows neither IDs nor numbers."""

import time
from pathlib import Path

import pytest
from sqlmodel import Session

from storage.database import Database
from storage.errors import DatabaseBusy
from storage.events.numbering import number_events
from storage.events.reading import events_after, newest_event
from storage.identifiers import is_identifier
from storage.repository import HomeVisits
from tests import databases
from tests.inspection import inspect
from tests.storage.carehq.taking import numbered, take, write
from tests.storage.homes import EVANS, NOW, WILLOW, booking, keep, rows_of, visit, visit_id

# As code of step 0006 inserts one.
OF_BEFORE = f"""
    INSERT INTO home_visit_events (at, actor, type, home_visit, care_enquiry, location, version, changes)
    VALUES ('2024-10-20T09:30:00Z', 'clerk', 'BOOKED', '{visit_id(1)}', '{EVANS}', '{WILLOW}', 1, '[]')
"""  # noqa: S608 - the test's own


async def test_code_of_before_inserts_events_that_are_read(database: Database, path: Path) -> None:
    await keep(database, visit(1))
    statement = OF_BEFORE if not databases.is_sqlite() else OF_BEFORE.replace("00Z", "00")
    inspect(path).execute(statement)
    inspect(path).execute(statement)

    first, second = await events_after(database, 0, 10)

    assert (first.sequence, second.sequence) == (1, 2)
    assert all(
        is_identifier(str(event.id)) and str(event.id).startswith(f"{int(NOW.timestamp()):08x}") for event in (first, second)
    )
    assert first.id != second.id


async def test_a_backlog_is_numbered_in_batches_and_shown(
    database: Database, visits: HomeVisits, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.events.numbering.BATCH", 2)
    monkeypatch.setattr("storage.events.numbering.BACKLOG_BATCH", 3)
    for _ in range(6):
        await visits.book(booking())
    progress: list[tuple[int, int]] = []

    numbered = await number_events(database, progress=lambda done, total: progress.append((done, total)))

    assert (numbered, progress) == ((0, []) if databases.is_sqlite() else (6, [(2, 6), (5, 6), (6, 6)]))
    rows = rows_of(path, "home_visit_events")
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4, 5, 6]


# Many events of one visit, at one moment each: as they are there after an import of so many, which takes minutes.
FILL = """
    INSERT INTO home_visit_events (id, sequence, at, actor, type, home_visit, care_enquiry, location, version, changes)
    {series} SELECT {id}, n, {at}, 'import', 'IMPORTED', '{visit}', '{enquiry}', '{location}', n, '[]' FROM numbers
"""
SERIES = {
    True: "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})",
    False: "WITH numbers AS (SELECT n FROM generate_series(1, {count}) n)",
}


def fill(path: Path, count: int) -> None:
    """Insert this many events, numbered as an import leaves them."""
    values = {"id": "printf('%024x', n)", "at": "'2024-10-20T09:30:00'"}
    if not databases.is_sqlite():
        values = {"id": "lpad(to_hex(n), 24, '0')", "at": "timestamptz '2024-10-20T09:30:00Z'"}
    series = SERIES[databases.is_sqlite()].format(count=count)
    inspect(path).execute(FILL.format(visit=visit_id(1), enquiry=EVANS, location=WILLOW, series=series, **values))


@pytest.mark.parametrize(("there", "imported"), [(0, 2_000), pytest.param(1_000_000, 20_000, marks=pytest.mark.slow)])
async def test_after_an_import_a_booking_waits_for_no_numbers(
    database: Database, visits: HomeVisits, path: Path, tmp_path: Path, there: int, imported: int
) -> None:
    await keep(database, visit(1))
    if there:
        fill(path, there)
    await take(database, *write(tmp_path, home_visits=numbered(imported)))

    booked, began = await visits.book(booking()), time.monotonic()
    event = await newest_event(database)
    took = time.monotonic() - began

    assert event is not None
    assert (event.home_visit, event.sequence) == (booked.id, there + imported + 1)
    assert took < 5


async def test_a_feed_that_cannot_be_numbered_shows_what_has_a_number(
    database: Database, visits: HomeVisits, monkeypatch: pytest.MonkeyPatch
) -> None:
    await visits.book(booking())
    before = await events_after(database, 0, 10)
    await visits.book(booking())

    def fail(_session: Session, _limit: int) -> int:
        raise DatabaseBusy

    monkeypatch.setattr(database.dialect, "number_events", fail)
    meanwhile = await events_after(database, 0, 10)
    monkeypatch.undo()

    assert len(before) == 1
    assert len(meanwhile) == (2 if databases.is_sqlite() else 1)
    assert [event.sequence for event in await events_after(database, 0, 10)] == [1, 2]
