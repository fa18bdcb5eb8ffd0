"""The ID and the number of an event that was inserted without: by code of before, or by a session."""

import sqlalchemy as sa

from storage.models import HomeVisitEvent, table_of

TRIGGER = """
    CREATE TRIGGER home_visit_events_numbered AFTER INSERT ON home_visit_events WHEN new.id IS NULL OR new.sequence IS NULL
    BEGIN
        UPDATE home_visit_events SET
            id = coalesce(id, printf('%08x', strftime('%s', at)) || lower(hex(randomblob(8)))),
            sequence = coalesce(sequence, (SELECT coalesce(max(sequence), 0) + 1 FROM home_visit_events))
        WHERE number = new.number;
    END
"""

_ddl = sa.DDL(TRIGGER.replace("%", "%%")).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]  # SQLAlchemy's own
sa.event.listen(table_of(HomeVisitEvent), "after_create", _ddl)
