"""What a row is, the same on every database: a sequence of texts, whole numbers and nulls, each in one form."""

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from storage.database import Database
from storage.instants import Instant, instant, stored
from storage.models import HomeVisitEvent, HomeVisitEventType, metadata
from storage.queries.statements import compiled
from tests.storage.homes import ALICE, DAUGHTER, NOW, REID, WILLOW, keep, visit, visit_id

FORMS = [NOW, NOW + timedelta(milliseconds=120), NOW + timedelta(microseconds=7)]


async def rows_of(database: Database, *columns: Any) -> list[Any]:
    return list(await database.fetch(compiled(database.dialect, sa.select(*columns)), {}))


@pytest.fixture
async def filled(database: Database) -> Database:
    """A database whose tables of visits and events have a value in each column."""
    for number, at in enumerate(FORMS, 1):
        of = {"assigned_to": ALICE, "service_user_contact": DAUGHTER, "anonymized": at, "cancelled": at, "notes": "Café"}
        await keep(database, visit(number, date_time=at, created=at, modified=at, **of))
    event = {"home_visit": visit_id(1), "care_enquiry": REID, "location": WILLOW, "version": 2, "at": NOW, "actor": "clerk"}
    await keep(database, HomeVisitEvent(type=HomeVisitEventType.UPDATED, changes=[["notes", None, "é"]], **event))
    return database


@pytest.mark.parametrize("table", ["home_visits", "home_visit_events", "users", "locations", "care_enquiries"])
async def test_a_row_holds_texts_whole_numbers_and_nulls_and_compares_as_a_tuple(filled: Database, table: str) -> None:
    rows = await rows_of(filled, *metadata.tables[table].columns)

    assert rows != []
    assert [tuple(row) for row in rows] == rows
    assert {hash(row) for row in rows} == {hash(tuple(row)) for row in rows}
    assert all(value is None or isinstance(value, str | int) for row in rows for value in row)


async def test_an_instant_is_its_canonical_text(filled: Database) -> None:
    visits = metadata.tables["home_visits"]
    columns = [column for column in visits.columns if isinstance(column.type, Instant)]

    rows = await rows_of(filled, *columns)

    assert [row[0] for row in rows] == ["2024-10-20T09:30:00", "2024-10-20T09:30:00.120", "2024-10-20T09:30:00.000007"]
    assert [stored(instant(text)) for row in rows for text in row if text] == [text for row in rows for text in row if text]


async def test_json_is_its_text(filled: Database) -> None:
    [[text]] = await rows_of(filled, metadata.tables["home_visit_events"].c.changes)

    assert json.loads(text) == [["notes", None, "é"]]


async def test_a_truth_is_one_or_zero(filled: Database) -> None:
    visits = metadata.tables["home_visits"]

    [row] = await rows_of(filled, sa.exists().select_from(visits).label("a"), (~sa.exists().select_from(visits)).label("b"))

    assert [(isinstance(value, int), value) for value in row] == [(True, 1), (True, 0)]
