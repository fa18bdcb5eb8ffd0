"""What single steps of `storage.migrations` do on PostgreSQL alone, as they were when they were released."""

from storage.migrations import Statements

_KEYWORDS = ("CREATE INDEX home_visits_notes ON home_visits USING gin (notes_folded gin_trgm_ops)",)

# What the visits that `of` holds for show where nothing else does: a visit's own enquiry and contact are seen at their location
# anyway, and so is whom the enquiry is assigned to.
_FIND = """
    INSERT INTO sightings (record, location, home_visit)
    SELECT v.care_enquiry, v.location, v.id
    FROM home_visits v JOIN care_enquiries e ON e.id = v.care_enquiry
    WHERE {of} AND v.location IS DISTINCT FROM e.location
    UNION SELECT e.assigned_to, v.location, v.id
    FROM home_visits v JOIN care_enquiries e ON e.id = v.care_enquiry
    WHERE {of} AND v.location IS DISTINCT FROM e.location AND e.assigned_to IS NOT NULL
    UNION SELECT v.assigned_to, v.location, v.id
    FROM home_visits v JOIN care_enquiries e ON e.id = v.care_enquiry
    WHERE {of} AND (v.location IS DISTINCT FROM e.location OR v.assigned_to IS DISTINCT FROM e.assigned_to)
        AND v.assigned_to IS NOT NULL
    UNION SELECT c.id, v.location, v.id
    FROM home_visits v
    JOIN care_enquiries e ON e.id = v.care_enquiry
    JOIN service_user_contacts c ON c.id = v.service_user_contact
    WHERE {of} AND (v.location IS DISTINCT FROM e.location OR c.care_enquiry IS DISTINCT FROM e.id)
    ON CONFLICT DO NOTHING;
"""
_FORGET = "DELETE FROM sightings WHERE home_visit IN (SELECT v.id FROM home_visits v WHERE {of});"
_ANEW = _FORGET + _FIND
_DELETED = "DELETE FROM sightings WHERE home_visit = old.id;"


def _trigger(name: str, event: str, work: str, when: str = "TRUE") -> tuple[str, str]:
    returned = "old" if event.startswith("BEFORE") else "NULL"
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {work} RETURN {returned}; END $$",
        f"CREATE TRIGGER {name} {event} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()",
    )


_CHANGED = " OR ".join(
    f"new.{name} IS DISTINCT FROM old.{name}" for name in ("care_enquiry", "location", "assigned_to", "service_user_contact")
)
_SIGHTINGS = (
    *_trigger("sightings_of_new_visit", "AFTER INSERT ON home_visits", _FIND.format(of="v.number = new.number")),
    *_trigger(
        "sightings_of_changed_visit",
        "AFTER UPDATE OF care_enquiry, location, assigned_to, service_user_contact ON home_visits",
        _ANEW.format(of="v.number = new.number"),
        _CHANGED,
    ),
    *_trigger("sightings_of_deleted_visit", "BEFORE DELETE ON home_visits", _DELETED),
    *_trigger(
        "sightings_of_changed_enquiry",
        "AFTER UPDATE OF location, assigned_to ON care_enquiries",
        _ANEW.format(of="v.care_enquiry = new.id"),
        "new.location IS DISTINCT FROM old.location OR new.assigned_to IS DISTINCT FROM old.assigned_to",
    ),
    *_trigger(
        "sightings_of_changed_contact",
        "AFTER UPDATE OF care_enquiry ON service_user_contacts",
        _ANEW.format(of="v.service_user_contact = new.id"),
        "new.care_enquiry IS DISTINCT FROM old.care_enquiry",
    ),
    _FIND.format(of="TRUE"),
)

_WHOLE_SECONDS = (
    "UPDATE home_visits SET date_time = date_trunc('second', date_time) WHERE date_time <> date_trunc('second', date_time)",
    """
    UPDATE outbox_messages SET date_time = date_trunc('second', date_time), previous = date_trunc('second', previous)
    WHERE date_time <> date_trunc('second', date_time) OR previous <> date_trunc('second', previous)
    """,
)

# Events that are there already get both as whoever reads them next numbers them: to write all anew would take the table's lock.
# A server of before goes on to insert events without either. Indexes are built beside writers, after this.
_EVENTS = (
    """
    CREATE FUNCTION home_visit_events_identified() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        new.id := lpad(to_hex(floor(extract(epoch FROM new.at))::bigint), 8, '0')
            || left(replace(gen_random_uuid()::text, '-', ''), 16);
        RETURN new;
    END $$
    """,
    """
    CREATE TRIGGER home_visit_events_identified BEFORE INSERT ON home_visit_events
    FOR EACH ROW WHEN (new.id IS NULL) EXECUTE FUNCTION home_visit_events_identified()
    """,
)

STATEMENTS: Statements = {"0003": _KEYWORDS, "0004": _SIGHTINGS, "0006": _WHOLE_SECONDS, "0007": _EVENTS}
