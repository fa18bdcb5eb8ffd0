"""SQLite's index of trigrams of names: kept in step by triggers whoever writes, filled at once by an import, merged after it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.models import CareEnquiry, metadata
from storage.names import folded_columns
from storage.sqlite.database import SQLiteDatabase
from storage.sqlite.people import INDEXED, index_new
from storage.unfolded_names import fold_all_names
from tests.inspection import connected, inspect
from tests.storage.carehq.taking import write
from tests.storage.carehq.test_importing import take
from tests.storage.homes import REID, keep, prepare

# Of its triggers.
pytestmark = pytest.mark.sqlite

ID = "c" * 24


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SQLiteDatabase]:
    path = tmp_path / "visits.db"
    prepare(path)
    database = await SQLiteDatabase(path).open()
    await fold_all_names(database)
    yield database
    await database.close()


def indexed(path: Path, text: str, table: str = "care_enquiries") -> list[str]:
    search = f"SELECT rowid FROM {table}_search WHERE {table}_search MATCH '\"{text}\"'"  # noqa: S608 - the test's own
    return [id for (id,) in inspect(path).query(f"SELECT record FROM {table}_numbers WHERE number IN ({search})")]  # noqa: S608


def numbers_and_texts_agree(path: Path) -> bool:
    """Tell whether exactly those are numbered who have a text, and a new index of the texts would have the same trigrams."""
    with connected(path) as connection:
        for table in INDEXED:
            numbered = connection.execute(f"SELECT record FROM {table}_numbers ORDER BY record").fetchall()  # noqa: S608
            with_text = f"SELECT id FROM {table} WHERE search_folded <> '' ORDER BY id"  # noqa: S608 - the test's own
            if numbered != connection.execute(with_text).fetchall():
                return False
            connection.execute(f"CREATE VIRTUAL TABLE temp.{table}_terms USING fts5vocab(main, {table}_search, row)")
            connection.execute(
                f"CREATE VIRTUAL TABLE temp.{table}_anew USING fts5(text, tokenize='trigram case_sensitive 1', detail=none)"
            )
            connection.execute(f"INSERT INTO {table}_anew SELECT search_folded FROM {table} WHERE search_folded <> ''")  # noqa: S608
            connection.execute(f"CREATE VIRTUAL TABLE temp.{table}_anew_terms USING fts5vocab(temp, {table}_anew, row)")
            terms, anew = (
                connection.execute(f"SELECT term, doc FROM {name} ORDER BY term").fetchall()  # noqa: S608 - the test's own
                for name in (f"{table}_terms", f"{table}_anew_terms")
            )
            if terms != anew:
                return False
    return True


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE care_enquiries SET search_folded = '  wilhelmina' WHERE id = 'REID'", [REID]),
        ("UPDATE care_enquiries SET search_folded = '' WHERE id = 'REID'", []),
        ("UPDATE care_enquiries SET search_folded = NULL WHERE id = 'REID'", []),
        ("UPDATE care_enquiries SET first_name = 'Wilhelmina' WHERE id = 'REID'", []),
        ("DELETE FROM care_enquiries WHERE id = 'REID'", []),
        ("INSERT INTO care_enquiries(id, search_folded) VALUES ('NEW', '  wilhelmina')", [ID]),
        ("INSERT INTO care_enquiries(id) VALUES ('NEW')", []),
        ("INSERT INTO service_user_contacts(id, search_folded) VALUES ('NEW', '  wilhelmina')", []),
        ("UPDATE care_enquiries SET search_folded = search_folded, location = NULL", []),
    ],
)
async def test_the_index_is_kept_in_step(database: SQLiteDatabase, change: str, found: list[str]) -> None:
    before = indexed(database.path, "ada")

    inspect(database.path).execute(change.replace("REID", REID).replace("NEW", ID))

    assert before == [REID]
    assert indexed(database.path, "hel") == found
    assert numbers_and_texts_agree(database.path)


async def test_an_import_keeps_it_in_step(database: SQLiteDatabase, tmp_path: Path) -> None:
    enquiries = [{"_id": f"{number:024x}", "first_name": f"Wil{number}"} for number in range(5)]
    await take(database, *write(tmp_path, care_enquiries=enquiries))
    changed = [{"_id": f"{0:024x}", "first_name": "Ann"}, {"_id": f"{1:024x}"}, {"_id": f"{2:024x}", "first_name": "WIL2"}]

    await take(database, *write(tmp_path, care_enquiries=changed))

    assert sorted(indexed(database.path, "wil")) == [f"{number:024x}" for number in (2, 3, 4)]
    assert numbers_and_texts_agree(database.path)
    rows = {row["id"]: row for row in inspect(database.path).records("care_enquiries")}
    assert all(rows[one["_id"]].items() >= folded_columns(rows[one["_id"]]).items() for one in [*enquiries, *changed])


async def test_a_row_that_was_indexed_beforehand_is_indexed_once(database: SQLiteDatabase) -> None:
    await database.write(lambda session: index_new(session, "care_enquiries", [(ID, "  wilhelmina"), (REID, None), ("x", "")]))

    await keep(database, CareEnquiry(id=ID, search_folded="  wilhelmina"))

    assert indexed(database.path, "hel") == [ID]
    assert numbers_and_texts_agree(database.path)


async def test_nothing_is_left_of_a_name_that_was_wiped(database: SQLiteDatabase) -> None:
    async def terms() -> set[str]:
        with connected(database.path) as connection:
            connection.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, care_enquiries_search, row)")
            return {term for (term,) in connection.execute("SELECT term FROM terms")}

    await keep(database, *(CareEnquiry(id=f"{number:024x}", search_folded=f"  qqq{number}") for number in range(3)))
    inspect(database.path).execute("UPDATE care_enquiries SET search_folded = '' WHERE search_folded LIKE '%qqq%'")

    await database.optimize()

    assert {term for term in await terms() if "q" in term} == set()
    await database.close()
    assert b"qqq" not in database.path.read_bytes()


@pytest.mark.parametrize("table", INDEXED)
async def test_an_empty_database_that_was_filled_has_each_index_in_one_piece(database: SQLiteDatabase, table: str) -> None:
    columns = metadata.tables[table]
    async with database.filling() as insert:
        for number in range(5):
            values = {"id": f"{number:024x}", "search_folded": f"  wilhelmina{number}", "name_folded": ""}
            await insert(columns, [tuple(values.get(column.name) for column in columns.c)])

    # FTS5 numbers its blocks so: by the piece, then within it; the first ones are about the whole.
    pieces = f"SELECT count(DISTINCT id >> 37) FROM {table}_search_data WHERE id > 10"  # noqa: S608 - the test's own
    assert inspect(database.path).query(pieces) == [(1,)]
