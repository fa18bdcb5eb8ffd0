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

# What the visits that `of` holds for show where nothing else does: a visit's own enquiry and contact are seen at their location
# anyway, and so is whom the enquiry is assigned to.
_FIND = """
    INSERT INTO sightings (record, location, home_visit)
    SELECT v.care_enquiry, v.location, v.id
    FROM home_visits v JOIN care_enquiries e ON e.id = v.care_enquiry
    WHERE {of} AND v.location IS NOT e.location
    UNION SELECT e.assigned_to, v.location, v.id
    FROM home_visits v JOIN care_enquiries e ON e.id = v.care_enquiry
    WHERE {of} AND v.location IS NOT e.location AND e.assigned_to IS NOT NULL
    UNION SELECT v.assigned_to, v.location, v.id
    FROM home_visits v JOIN care_enquiries e ON e.id = v.care_enquiry
    WHERE {of} AND (v.location IS NOT e.location OR v.assigned_to IS NOT e.assigned_to) AND v.assigned_to IS NOT NULL
    UNION SELECT c.id, v.location, v.id
    FROM home_visits v
    JOIN care_enquiries e ON e.id = v.care_enquiry
    JOIN service_user_contacts c ON c.id = v.service_user_contact
    WHERE {of} AND (v.location IS NOT e.location OR c.care_enquiry IS NOT e.id);
"""
_FORGET = "DELETE FROM sightings WHERE home_visit IN (SELECT v.id FROM home_visits v WHERE {of});"

_NEW_VISIT = """
    CREATE TRIGGER sightings_of_new_visit AFTER INSERT ON home_visits WHEN NOT EXISTS (
        SELECT 1 FROM care_enquiries e LEFT JOIN service_user_contacts c ON c.id = new.service_user_contact
        WHERE e.id = new.care_enquiry AND new.location IS e.location AND new.assigned_to IS e.assigned_to
            AND (c.id IS NULL OR c.care_enquiry IS e.id)
    )
    BEGIN {find} END
"""
_CHANGED_VISIT = """
    CREATE TRIGGER sightings_of_changed_visit
    AFTER UPDATE OF care_enquiry, location, assigned_to, service_user_contact ON home_visits
    WHEN new.care_enquiry IS NOT old.care_enquiry OR new.location IS NOT old.location
        OR new.assigned_to IS NOT old.assigned_to OR new.service_user_contact IS NOT old.service_user_contact
    BEGIN {find} END
"""
_DELETED_VISIT = """
    CREATE TRIGGER sightings_of_deleted_visit BEFORE DELETE ON home_visits
    BEGIN DELETE FROM sightings WHERE home_visit = old.id; END
"""
_CHANGED_ENQUIRY = """
    CREATE TRIGGER sightings_of_changed_enquiry AFTER UPDATE OF location, assigned_to ON care_enquiries
    WHEN new.location IS NOT old.location OR new.assigned_to IS NOT old.assigned_to
    BEGIN {find} END
"""
_CHANGED_CONTACT = """
    CREATE TRIGGER sightings_of_changed_contact AFTER UPDATE OF care_enquiry ON service_user_contacts
    WHEN new.care_enquiry IS NOT old.care_enquiry
    BEGIN {find} END
"""
_ANEW = _FORGET + _FIND

_SIGHTINGS = (
    _NEW_VISIT.format(find=_FIND.format(of="v.number = new.number")),
    _CHANGED_VISIT.format(find=_ANEW.format(of="v.number = new.number")),
    _DELETED_VISIT,
    _CHANGED_ENQUIRY.format(find=_ANEW.format(of="v.care_enquiry = new.id")),
    _CHANGED_CONTACT.format(find=_ANEW.format(of="v.service_user_contact = new.id")),
    _FIND.format(of="TRUE"),
)

# The text of an instant has 19 characters up to its seconds.
_WHOLE_SECONDS = (
    "UPDATE home_visits SET date_time = substr(date_time, 1, 19) WHERE length(date_time) > 19",
    """
    UPDATE outbox_messages SET date_time = substr(date_time, 1, 19), previous = substr(previous, 1, 19)
    WHERE length(date_time) > 19 OR length(previous) > 19
    """,
)

# A server of before goes on to insert events without either.
_NUMBERED = """
    CREATE TRIGGER home_visit_events_numbered AFTER INSERT ON home_visit_events WHEN new.id IS NULL OR new.sequence IS NULL
    BEGIN
        UPDATE home_visit_events SET
            id = coalesce(id, printf('%08x', strftime('%s', at)) || lower(hex(randomblob(8)))),
            sequence = coalesce(sequence, (SELECT coalesce(max(sequence), 0) + 1 FROM home_visit_events))
        WHERE number = new.number;
    END
"""
_EVENTS = (
    """
    UPDATE home_visit_events SET
        id = printf('%08x', strftime('%s', at)) || lower(hex(randomblob(8))),
        sequence = number
    """,
    "CREATE UNIQUE INDEX home_visit_events_by_id ON home_visit_events (id)",
    "CREATE UNIQUE INDEX home_visit_events_by_sequence ON home_visit_events (sequence)",
    "CREATE INDEX home_visit_events_unnumbered ON home_visit_events (number) WHERE sequence IS NULL",
    "CREATE INDEX home_visit_events_of_visit ON home_visit_events (home_visit, sequence)",
    "CREATE INDEX home_visit_events_of_location ON home_visit_events (location, sequence)",
    _NUMBERED,
)

_SOURCES = {
    "users": ("first_name", "last_name", "email"),
    "locations": ("name", "email", "phone"),
    "care_enquiries": ("first_name", "last_name", "email", "phone", "anonymized"),
    "service_user_contacts": ("first_name", "last_name", "email", "phone"),
}
_OUTDATED = """
    CREATE TRIGGER {table}_outdated AFTER UPDATE OF {names} ON {table}
    WHEN ({changed}) AND {unchanged}
    BEGIN UPDATE {table} SET {forgotten} WHERE id = new.id; END
"""
_PEOPLE_INDEX = (
    "CREATE TABLE {table}_numbers (number INTEGER PRIMARY KEY, record TEXT NOT NULL UNIQUE)",
    """
    CREATE VIRTUAL TABLE {table}_search USING fts5(
        search_folded, content='', tokenize='trigram case_sensitive 1', detail=none, columnsize=0
    )
    """,
    """
    CREATE TRIGGER {table}_search_inserted AFTER INSERT ON {table}
    WHEN new.search_folded <> '' AND NOT EXISTS (SELECT 1 FROM {table}_numbers WHERE record = new.id)
    BEGIN
        INSERT INTO {table}_numbers(record) VALUES (new.id);
        INSERT INTO {table}_search(rowid, search_folded) VALUES (last_insert_rowid(), new.search_folded);
    END
    """,
    """
    CREATE TRIGGER {table}_search_updated AFTER UPDATE OF search_folded ON {table}
    WHEN coalesce(new.search_folded, '') <> coalesce(old.search_folded, '')
        AND (old.search_folded <> '' OR NOT EXISTS (SELECT 1 FROM {table}_numbers WHERE record = new.id))
    BEGIN
        INSERT INTO {table}_search({table}_search, rowid, search_folded)
        SELECT 'delete', number, old.search_folded FROM {table}_numbers WHERE record = new.id;
        DELETE FROM {table}_numbers WHERE record = new.id AND coalesce(new.search_folded, '') = '';
        INSERT OR IGNORE INTO {table}_numbers(record) SELECT new.id WHERE new.search_folded <> '';
        INSERT INTO {table}_search(rowid, search_folded)
        SELECT number, new.search_folded FROM {table}_numbers WHERE record = new.id;
    END
    """,
    """
    CREATE TRIGGER {table}_search_deleted AFTER DELETE ON {table} WHEN old.search_folded <> ''
    BEGIN
        INSERT INTO {table}_search({table}_search, rowid, search_folded)
        SELECT 'delete', number, old.search_folded FROM {table}_numbers WHERE record = old.id;
        DELETE FROM {table}_numbers WHERE record = old.id;
    END
    """,
)


def _outdated(table: str) -> str:
    has_name = table != "service_user_contacts"
    return _OUTDATED.format(
        table=table,
        names=", ".join(_SOURCES[table]),
        changed=" OR ".join(f"new.{name} IS NOT old.{name}" for name in _SOURCES[table]),
        unchanged=("new.name_folded IS old.name_folded AND " if has_name else "") + "new.search_folded IS old.search_folded",
        forgotten=("name_folded = '1', " if has_name else "") + "search_folded = NULL",
    )


_PEOPLE = (
    *map(_outdated, _SOURCES),
    *(statement.format(table=table) for table in ("care_enquiries", "service_user_contacts") for statement in _PEOPLE_INDEX),
)

# PostgreSQL drops it once the one is built that has more. Of two that begin alike SQLite takes the one that was made last.
_REPLACED = (
    "DROP INDEX IF EXISTS home_visits_of_user",
    "DROP INDEX IF EXISTS home_visits_unassigned",
    (
        "CREATE INDEX home_visits_unassigned ON home_visits (assigned_to, date_time, id) "
        "WHERE cancelled IS NULL AND completed IS NULL AND assigned_to IS NULL"
    ),
)

STATEMENTS: Statements = {
    "0003": _KEYWORDS,
    "0004": _SIGHTINGS,
    "0006": _WHOLE_SECONDS,
    "0007": _EVENTS,
    "0008": _PEOPLE,
    "0014": _REPLACED,
}
