"""Names that an older version has written: they are forgotten where it changes them, and folded a batch at a time."""

import pytest
import sqlalchemy as sa

from storage import unfolded_names
from storage.database import Database
from storage.names import folded_columns
from storage.unfolded_names import fold_all_names
from tests.databases import path_of
from tests.inspection import Inspection, inspect
from tests.storage.homes import ALICE, DAUGHTER, REID

TABLES = ["users", "locations", "care_enquiries", "service_user_contacts"]


def unfolded_in(inspection: Inspection) -> dict[str, int]:
    return {table: sum(row["search_folded"] is None for row in inspection.records(table)) for table in TABLES}


async def execute(database: Database, statement: str) -> None:
    await database.write(lambda session: session.connection().execute(sa.text(statement)).close())


def is_folded(row: dict[str, object]) -> bool:
    return row.items() >= folded_columns(row).items()


async def test_all_names_are_folded_and_nothing_else_changes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfolded_names, "BATCH", 2)
    inspection = inspect(path_of(database))
    before = {table: inspection.records(table) for table in TABLES}
    steps = list[tuple[int, int]]()

    folded = await fold_all_names(database, lambda done, total: steps.append((done, total)))
    again = await fold_all_names(database)

    total = sum(map(len, before.values()))
    assert (folded, again, steps[-1]) == (total, 0, (total, total))
    after = {table: inspection.records(table) for table in TABLES}
    ordered = {table: sorted(rows, key=lambda row: str(row["id"])) for table, rows in before.items()}
    assert {table: sorted(rows, key=lambda row: str(row["id"])) for table, rows in after.items()} == {
        table: [row | folded_columns(row) for row in rows] for table, rows in ordered.items()
    }


async def test_it_goes_on_where_it_was_ended(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfolded_names, "BATCH", 2)

    def end(done: int, _total: int) -> None:
        if done > 3:
            raise KeyboardInterrupt

    total = sum(unfolded_in(inspect(path_of(database))).values())
    with pytest.raises(KeyboardInterrupt):
        await fold_all_names(database, end)

    assert await fold_all_names(database) == total - 4


@pytest.mark.parametrize(
    ("table", "id", "change"),
    [
        ("users", ALICE, "email = 'ada@elsewhere.example'"),
        ("care_enquiries", REID, "last_name = 'Reed'"),
        ("care_enquiries", REID, "anonymized = '2024-11-03 11:00:00', first_name = NULL, last_name = NULL"),
        ("service_user_contacts", DAUGHTER, "phone = '07700 900123'"),
    ],
)
async def test_what_an_older_version_changes_is_forgotten_at_once_and_folded_anew(
    database: Database, table: str, id: str, change: str
) -> None:
    inspection = inspect(path_of(database))
    await fold_all_names(database)

    await execute(database, f"UPDATE {table} SET {change} WHERE id = '{id}'")  # noqa: S608 - the test's own

    (row,) = (row for row in inspection.records(table) if row["id"] == id)
    assert (row["search_folded"], row.get("name_folded", "1")) == (None, "1")
    assert await fold_all_names(database) == 1
    assert all(map(is_folded, inspection.records(table)))


async def test_what_is_written_with_its_folded_form_is_kept(database: Database) -> None:
    inspection = inspect(path_of(database))
    await fold_all_names(database)

    values = "first_name = 'Zoe', name_folded = '0reid', search_folded = 'z'"
    await execute(database, f"UPDATE care_enquiries SET {values} WHERE id = '{REID}'")  # noqa: S608 - the test's own

    (row,) = (row for row in inspection.records("care_enquiries") if row["id"] == REID)
    assert (row["name_folded"], row["search_folded"]) == ("0reid", "z")
