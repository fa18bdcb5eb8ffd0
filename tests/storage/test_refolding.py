"""Notes that an older version folded are folded anew: a batch at a time, resumed where it ended, found all the while."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage import refolding
from storage.folding import folded, folded_before
from storage.queries.paging import Window
from storage.refolding import refold_all_notes
from storage.repository import HomeVisits
from storage.sqlite.database import SQLiteDatabase
from tests.inspection import inspect
from tests.storage.homes import EVERYTHING, Clock, keep, migrate_to, prepare, visit, visit_id

# Of PostgreSQL no older version has ever folded notes.
pytestmark = pytest.mark.sqlite

NOTES = ["İstanbul", "her mother\N{RIGHT SINGLE QUOTATION MARK}s chair", "one\r\ntwo", "plain", "", "a  b"]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SQLiteDatabase]:
    """A database whose notes an older version folded."""
    path = tmp_path / "visits.db"
    prepare(path)
    database = await SQLiteDatabase(path).open()
    await keep(database, *(visit(number, notes=notes, notes_folded=folded_before(notes)) for number, notes in enumerate(NOTES)))
    inspect(path).execute("INSERT INTO notes_refolding VALUES (1, 0)")
    yield database
    await database.close()


def kept(path: Path) -> list[str]:
    return [row["notes_folded"] for row in inspect(path).records("home_visits")]


async def test_all_notes_are_folded_anew_and_nothing_else_changes(database: SQLiteDatabase) -> None:
    before = inspect(database.path).records("home_visits")

    changed = await refold_all_notes(database)
    again = await refold_all_notes(database)

    assert (changed, again) == (4, 0)
    assert inspect(database.path).records("home_visits") == [row | {"notes_folded": folded(row["notes"])} for row in before]
    assert inspect(database.path).records("notes_refolding") == []
    inspect(database.path).execute("INSERT INTO home_visits_notes(home_visits_notes, rank) VALUES ('integrity-check', 1)")


@pytest.mark.parametrize(("visits", "characters"), [(2, 100_000), (500, 1)])
async def test_it_goes_on_where_it_was_ended(
    visits: int, characters: int, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refolding, "VISITS", visits)
    monkeypatch.setattr(refolding, "CHARACTERS", characters)
    steps = list[tuple[int, int]]()

    def end_after_two(number: int, last: int) -> None:
        steps.append((number, last))
        if len(steps) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await refold_all_notes(database, end_after_two)
    [state] = inspect(database.path).records("notes_refolding")
    await refold_all_notes(database, lambda number, last: steps.append((number, last)))

    assert state["number"] == steps[1][0] < 6
    assert [number for number, _ in steps] == sorted({number for number, _ in steps})
    assert steps[-1] == (6, 6)
    assert kept(database.path) == [folded(notes) for notes in NOTES]


async def test_two_processes_may_do_it_at_once(database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refolding, "VISITS", 1)
    other = await SQLiteDatabase(database.path).open()
    others = list[int]()

    async def meanwhile() -> None:
        others.append(await refold_all_notes(other))

    changed = 0
    while (batch := await database.write(refolding._refold_batch)) is not None:
        changed += batch[2]
        if not others and batch[0] == 2:
            await meanwhile()

    assert (changed, others) == (2, [2])
    assert kept(database.path) == [folded(notes) for notes in NOTES]
    await other.close()


@pytest.mark.parametrize(("notes", "to_do"), [("her notes", 1), ("", 0)])
async def test_the_step_that_brings_it_leaves_work_only_where_there_are_notes(notes: str, to_do: int, tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    migrate_to("0003", path)
    inspect(path).insert("home_visits", OLD_VISIT | {"notes": notes, "notes_folded": notes})

    migrate_to("head", path)

    assert len(inspect(path).records("notes_refolding")) == to_do


OLD_VISIT = {
    "id": "5" * 24,
    "care_enquiry": "3" * 24,
    "location": "1" * 24,
    "date_time": "2024-11-03 11:00:00.000000",
    "visit_type": "IN_PERSON",
    "host": "NURSE",
    "created": "2024-10-20 09:30:00.000000",
    "modified": "2024-10-20 09:30:00.000000",
    "version": 1,
    "confirmation": "NOT_REQUIRED",
}


@pytest.mark.parametrize(
    ("keyword", "found"),
    [
        ("istanbul", {0}),
        ("İstanbul", {0}),
        ("mother's", {1}),
        ("mother\N{RIGHT SINGLE QUOTATION MARK}s", {1}),
        ("one\ntwo", {2}),
        ("one two", {2}),
        ("PLA\u200bIN", {3}),
        ("a  b", {5}),
        ("\u200b", {0, 1, 2, 3, 4, 5}),
    ],
)
async def test_a_keyword_is_found_once_the_notes_are_folded_anew(keyword: str, found: set[int], database: SQLiteDatabase) -> None:
    await refold_all_notes(database)

    assert await search(database, keyword) == found


@pytest.mark.parametrize("keyword", ["İstanbul", "mother\N{RIGHT SINGLE QUOTATION MARK}s", "one\r\ntwo", "plain", "a  b"])
async def test_what_was_found_before_is_found_while_notes_are_folded_anew(
    keyword: str, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refolding, "VISITS", 1)

    found = [await search(database, keyword)]
    while await database.write(refolding._refold_batch) is not None:
        found.append(await search(database, keyword))

    assert len(found) == 7
    assert len(found[0]) == 1
    assert found == [found[0]] * 7


async def search(database: SQLiteDatabase, keyword: str) -> set[int]:
    visits = HomeVisits(database, EVERYTHING, Clock())
    page = await visits.page({"keyword": keyword}, [("id", False)], Window.of(100, None, None, None))
    return {[visit_id(number) for number in range(len(NOTES))].index(visit.id) for visit in page.nodes}
