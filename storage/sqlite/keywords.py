"""The index by which a keyword is found in notes: their trigrams, which SQLite keeps in step with the visits by triggers."""

from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from storage.models import HomeVisit
from storage.sqlite.database import Database

# Shorter ones have no trigram.
SHORTEST = 3
MOST = 20
MERGED_PAGES = 500

# With `detail=none` it takes a third of the room; which of its finds hold the keyword as a whole, the notes tell.
TABLES = (
    """
    CREATE VIRTUAL TABLE home_visits_notes USING fts5(
        notes_folded, content='home_visits', content_rowid='number',
        tokenize='trigram case_sensitive 1', detail=none, columnsize=0
    )
    """,
    """
    CREATE TRIGGER home_visits_notes_inserted AFTER INSERT ON home_visits WHEN new.notes_folded <> ''
    BEGIN
        INSERT INTO home_visits_notes(rowid, notes_folded) VALUES (new.number, new.notes_folded);
    END
    """,
    """
    CREATE TRIGGER home_visits_notes_updated AFTER UPDATE OF notes_folded ON home_visits
    WHEN new.notes_folded <> old.notes_folded
    BEGIN
        INSERT INTO home_visits_notes(home_visits_notes, rowid, notes_folded)
        SELECT 'delete', old.number, old.notes_folded WHERE old.notes_folded <> '';
        INSERT INTO home_visits_notes(rowid, notes_folded)
        SELECT new.number, new.notes_folded WHERE new.notes_folded <> '';
    END
    """,
    """
    CREATE TRIGGER home_visits_notes_deleted AFTER DELETE ON home_visits WHEN old.notes_folded <> ''
    BEGIN
        INSERT INTO home_visits_notes(home_visits_notes, rowid, notes_folded)
        VALUES ('delete', old.number, old.notes_folded);
    END
    """,
)

for _statement in TABLES:
    _made = sa.DDL(_statement).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]
    sa.event.listen(HomeVisit.__table__, "after_create", _made)  # type: ignore[attr-defined]  # every table model has one

INDEX = sa.table("home_visits_notes", sa.column("rowid", sa.Integer), sa.column("home_visits_notes", sa.String))


def trigrams(keyword: str) -> str:
    """Return what the index is asked for a keyword: every second one, so that no two neighbours are left out."""
    last = len(keyword) - SHORTEST
    found = [keyword[at : at + SHORTEST] for at in (*range(0, last, 2), last)]
    return " AND ".join('"{}"'.format(one.replace('"', '""')) for one in dict.fromkeys(found[:MOST]))


def may_hold(asked: sa.BindParameter[Any]) -> sa.Select[Any]:
    """Select the numbers of the visits whose notes have all these trigrams: at least all that hold the keyword."""
    return sa.select(INDEX.c.rowid).where(INDEX.c.home_visits_notes.op("MATCH")(asked))


async def settle(database: Database) -> None:
    """Make the index of one piece, in which nothing is left of notes that are no more; others can write meanwhile."""
    # A negative number has it take up all that it holds, as of the first time.
    pages = -MERGED_PAGES
    while await database.write(partial(_merge, pages)):
        pages = MERGED_PAGES


def _merge(pages: int, session: Session) -> bool:
    """Merge so many pages and tell whether there are more."""
    connection = session.connection()
    before = connection.exec_driver_sql("SELECT total_changes()").scalar_one()
    connection.exec_driver_sql("INSERT INTO home_visits_notes(home_visits_notes, rank) VALUES ('merge', ?)", (pages,))
    # As SQLite says: what changes nothing counts as one change.
    return bool(connection.exec_driver_sql("SELECT total_changes()").scalar_one() - before >= 2)
