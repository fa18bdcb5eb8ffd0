"""The index by which a keyword is found in notes: their trigrams, which SQLite keeps in step with the visits by triggers."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlmodel import Session

from storage.models import HomeVisit, table_of

if TYPE_CHECKING:
    from storage.database import Database

# Shorter ones have no trigram.
SHORTEST = 3
MOST = 20
MERGED_PAGES = 500
PAUSE_SECONDS = 0.02

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
    _ddl = sa.DDL(_statement).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    sa.event.listen(table_of(HomeVisit), "after_create", _ddl)

INDEX = sa.table("home_visits_notes", sa.column("rowid", sa.Integer), sa.column("home_visits_notes", sa.String))


def trigrams(keyword: str) -> str:
    """Return the search for a keyword in the index: every second trigram, so that no two neighbours are left out."""
    last = len(keyword) - SHORTEST
    parts = [keyword[at : at + SHORTEST] for at in (*range(0, last, 2), last)]
    return " AND ".join('"{}"'.format(part.replace('"', '""')) for part in dict.fromkeys(parts[:MOST]))


def candidates(search: sa.BindParameter[Any]) -> sa.Select[Any]:
    """Select the numbers of the visits whose notes have all these trigrams: at least all that contain the keyword."""
    return sa.select(INDEX.c.rowid).where(INDEX.c.home_visits_notes.op("MATCH")(search))


async def optimize_index(database: "Database", index: str = INDEX.name) -> None:
    """Merge the segments of an index into one, in which nothing is left of deleted texts; others can write meanwhile."""
    # A negative number has it take up all that it holds, as of the first time.
    pages = -MERGED_PAGES
    while await database.write(partial(_merge, index, pages)):
        pages = MERGED_PAGES
        # Whoever waits for the lock gets it now.
        await asyncio.sleep(PAUSE_SECONDS)


def _merge(index: str, pages: int, session: Session) -> bool:
    """Merge so many pages and tell whether there are more."""
    connection = session.connection()
    before = connection.exec_driver_sql("SELECT total_changes()").scalar_one()
    connection.exec_driver_sql(f"INSERT INTO {index}({index}, rank) VALUES ('merge', ?)", (pages,))  # noqa: S608 - our own names
    # As SQLite says: what changes nothing counts as one change.
    return bool(connection.exec_driver_sql("SELECT total_changes()").scalar_one() - before >= 2)
