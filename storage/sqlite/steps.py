"""What single steps of `storage.migrations` do on SQLite alone, as they were when they were released."""

from storage.migrations import Statements

_KEYWORDS = (
    """
    CREATE VIRTUAL TABLE home_visits_notes USING fts5(
        notes_folded, content='home_visits', content_rowid='number',
        tokenize='trigram case_sensitive 1', detail=none, columnsize=0
    )
    """,
    "INSERT INTO home_visits_notes(home_visits_notes) VALUES ('rebuild')",
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

# The text of an instant has 19 characters up to its seconds.
_WHOLE_SECONDS = (
    "UPDATE home_visits SET date_time = substr(date_time, 1, 19) WHERE length(date_time) > 19",
    """
    UPDATE outbox_messages SET date_time = substr(date_time, 1, 19), previous = substr(previous, 1, 19)
    WHERE length(date_time) > 19 OR length(previous) > 19
    """,
)

STATEMENTS: Statements = {"0003": _KEYWORDS, "0006": _WHOLE_SECONDS}
