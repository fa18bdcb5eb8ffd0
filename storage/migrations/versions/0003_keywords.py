"""The index by which a keyword is found in notes; and the index of contacts without the many visits that have none."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

KNOWN = sa.text("service_user_contact IS NOT NULL")

INDEX = (
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


def upgrade() -> None:
    for statement in INDEX:
        op.execute(sa.text(statement))
    op.drop_index("home_visits_of_contact", "home_visits", if_exists=True)
    op.create_index(
        "home_visits_of_contact",
        "home_visits",
        ["service_user_contact", "date_time", "id"],
        sqlite_where=KNOWN,
        postgresql_where=KNOWN,
    )
