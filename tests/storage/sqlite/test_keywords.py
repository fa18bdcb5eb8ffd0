"""What the index of keywords finds is what the notes hold, whatever becomes of them."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session, delete

from storage.database import Database
from storage.folding import folded
from storage.models import HomeVisit
from storage.queries import listing
from storage.queries.conditions import conditions
from storage.sqlite.dialect import DIALECT
from storage.sqlite.keywords import optimize_index, trigrams
from tests.inspection import connected, inspect
from tests.storage.homes import keep, visit, visit_id

# What could be taken for syntax, folds to more than it was, or is no character of its own.
ODD = "\"'*:^-+(){}%_\\ \n\tAaBbßİﬁﬃÅ\u0131\u017f\u0301\u200d\ufeff\ufffd\ufffe\uffff😀🚗한글\U0010ffff"
TEXTS = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@pytest.mark.parametrize(
    ("keyword", "query"),
    [
        ("abc", '"abc"'),
        ("abcd", '"abc" AND "bcd"'),
        ("abcdef", '"abc" AND "cde" AND "def"'),
        ("abcdefg", '"abc" AND "cde" AND "efg"'),
        ("aaaaaaaa", '"aaa"'),
        ('a"b', '"a""b"'),
        ("éßü", '"éßü"'),
    ],
)
def test_the_index_is_asked_for_what_any_note_with_the_keyword_has(keyword: str, query: str) -> None:
    assert trigrams(keyword) == query


async def found(database: Database, keyword: str) -> tuple[set[str], set[str]]:
    """Return what the index finds, and what a look at all notes finds."""
    sought = conditions({"keyword": keyword}, None, DIALECT)
    looked = listing.page(DIALECT, listing.Shape(sought.shape, (("id", False),))).statement
    assert looked.fallback is not None
    rows = [await database.fetch(statement, sought.values | {"limit": 1000}) for statement in (looked.fallback, looked)]
    return {row[0] for row in rows[0]}, {row[0] for row in rows[1]}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), notes=st.lists(TEXTS, min_size=1, max_size=8))
async def test_the_index_finds_what_the_notes_hold(database: Database, data: st.DataObject, notes: list[str]) -> None:
    whole = data.draw(st.sampled_from(notes))
    start = data.draw(st.integers(0, max(len(whole) - 1, 0)))
    keyword = data.draw(st.sampled_from([whole[start:], whole[start : start + 3], whole[start : start + 5]]) | TEXTS)
    sought = folded(keyword.strip())

    def work(session: Session) -> None:
        session.exec(delete(HomeVisit))
        session.add_all(visit(number, notes=text) for number, text in enumerate(notes))

    await database.write(work)

    if len(sought) >= 3:
        holding = {visit_id(number) for number, text in enumerate(notes) if sought in folded(text)}
        assert await found(database, keyword) == (holding, holding)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE home_visits SET notes_folded = 'the wheelchair' WHERE number = 1", {visit_id(1), visit_id(2)}),
        ("UPDATE home_visits SET notes_folded = '' WHERE number = 2", set()),
        ("UPDATE home_visits SET notes_folded = 'stairs' WHERE number = 2", set()),
        ("UPDATE home_visits SET notes_folded = notes_folded, version = 7", {visit_id(2)}),
        ("DELETE FROM home_visits", set()),
        ("DELETE FROM home_visits WHERE number = 1", {visit_id(2)}),
    ],
)
async def test_the_index_keeps_in_step_with_whoever_changes_the_notes(
    database: Database, statement: str, expected: set[str]
) -> None:
    await keep(database, visit(1), visit(2, notes="Wheelchair"))

    inspect(database.path).execute(statement)

    assert await found(database, "heelch") == (expected, expected)
    inspect(database.path).execute("INSERT INTO home_visits_notes(home_visits_notes, rank) VALUES ('integrity-check', 1)")


async def test_more_characters_than_the_index_is_asked_for_are_looked_at_too(database: Database) -> None:
    long = "".join(chr(0x4E00 + number) for number in range(100))
    await keep(database, visit(1, notes=long), visit(2, notes=f"{long[:99]}x"))

    assert await found(database, long) == ({visit_id(1)}, {visit_id(1)})


@pytest.mark.parametrize("keyword", ["a", "ab", "한글", " ab "])
def test_fewer_than_three_characters_have_no_trigram(keyword: str) -> None:
    assert [name for name, _ in conditions({"keyword": keyword}, None, DIALECT).shape] == ["keyword"]


def pieces_of_the_index(path: Path) -> int:
    # FTS5 numbers its blocks so: by the piece, then within it; the first ones are about the whole.
    [(pieces,)] = inspect(path).query("SELECT count(DISTINCT id >> 37) FROM home_visits_notes_data WHERE id > 10")
    return int(pieces)


def trigrams_in(path: Path) -> set[str]:
    with connected(path) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, home_visits_notes, row)")
        return {term for (term,) in connection.execute("SELECT term FROM terms")}


async def test_settled_the_index_is_of_one_piece_without_what_is_no_more(database: Database) -> None:
    for number in range(5):
        await keep(database, visit(number, notes=f"Ring {number:04} twice"))
    inspect(database.path).execute("UPDATE home_visits SET notes = '', notes_folded = '' WHERE number > 1")
    before = pieces_of_the_index(database.path)

    await optimize_index(database)

    assert (before > 1, pieces_of_the_index(database.path)) == (True, 1)
    assert {term for term in trigrams_in(database.path) if term.isdigit()} == {"000"}
    assert await found(database, "Ring 0000") == ({visit_id(0)}, {visit_id(0)})


async def test_an_index_that_is_settled_is_left_alone(database: Database) -> None:
    await keep(database, visit(1, notes="Ring twice"))
    await optimize_index(database)
    before = database.transaction_count

    await optimize_index(database)

    assert database.transaction_count - before == 1
