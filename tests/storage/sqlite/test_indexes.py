"""A large first import does without indexes until its end; no other does, and none leaves the database without them."""

from pathlib import Path

import pytest
from sqlmodel import Session

from storage.carehq.importing import LARGE
from storage.database import Database
from storage.sqlite.indexes import indexes_built_after
from tests.inspection import inspect
from tests.storage.carehq.taking import LOCATION, numbered, take, visit, write


def indexes_of(path: Path) -> dict[str, str]:
    return inspect(path).definitions("index")


async def test_a_large_first_import_builds_the_indexes_at_its_end(database: Database) -> None:
    before = indexes_of(database.path)

    async with indexes_built_after(database, large=True):
        meanwhile = indexes_of(database.path)

    assert before.keys() - meanwhile.keys() == {
        "home_visit_events_at_location",
        "home_visit_events_by_id",
        "home_visit_events_by_time",
        "home_visit_events_of_actor",
        "home_visit_events_of_type",
        "home_visit_events_of_visit",
        "home_visits_by_created",
        "home_visits_by_modified",
        "home_visits_by_time",
        "home_visits_of_care_enquiry",
        "home_visits_of_contact",
        "home_visits_of_location",
        "home_visits_of_user_at",
        "home_visits_pending_of_location",
        "home_visits_unassigned",
        "home_visits_unconfirmed",
    }
    assert indexes_of(database.path) == before


def pieces_of_the_keyword_index(path: Path) -> int:
    # FTS5 numbers its blocks so: by the piece, then within it; the first ones are about the whole.
    [(pieces,)] = inspect(path).query("SELECT count(DISTINCT id >> 37) FROM home_visits_notes_data WHERE id > 10")
    return int(pieces)


@pytest.mark.parametrize(("large", "pieces"), [(1, 1), (LARGE, 5)])
async def test_a_large_import_leaves_the_index_of_keywords_in_one_piece(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int, pieces: int
) -> None:
    monkeypatch.setattr("storage.carehq.importing.LARGE", large)
    monkeypatch.setattr("storage.carehq.importing.BATCH", 1)

    await take(database, *write(tmp_path, home_visits=numbered(5)))

    assert pieces_of_the_keyword_index(database.path) == pieces


async def test_a_small_import_keeps_them(database: Database) -> None:
    before = indexes_of(database.path)

    async with indexes_built_after(database, large=False):
        meanwhile = indexes_of(database.path)

    assert meanwhile == before


async def test_an_import_beside_other_visits_keeps_them(database: Database, tmp_path: Path) -> None:
    await take(database, *write(tmp_path, home_visits=[visit()]))
    before = indexes_of(database.path)

    async with indexes_built_after(database, large=True):
        meanwhile = indexes_of(database.path)

    assert meanwhile == before


async def test_an_import_that_fails_builds_them_too(database: Database) -> None:
    before = indexes_of(database.path)

    with pytest.raises(ZeroDivisionError):
        async with indexes_built_after(database, large=True):
            _ = 1 / 0

    assert indexes_of(database.path) == before


async def test_the_next_import_builds_what_a_killed_one_left_unbuilt(database: Database, tmp_path: Path) -> None:
    before = indexes_of(database.path)

    def drop(session: Session) -> None:
        for name in ("home_visits_by_time", "home_visit_events_of_visit"):
            session.connection().exec_driver_sql(f"DROP INDEX {name}")

    await database.write(drop)
    await take(database, *write(tmp_path, locations=[{"_id": LOCATION}]))

    assert indexes_of(database.path) == before
