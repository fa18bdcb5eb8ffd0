"""Triggers that keep the table of sightings: a change of a visit, an enquiry or a contact finds those that it touches anew."""

import sqlalchemy as sa

from storage.models import Sighting, table_of

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

TRIGGERS = (
    _NEW_VISIT.format(find=_FIND.format(of="v.number = new.number")),
    _CHANGED_VISIT.format(find=_ANEW.format(of="v.number = new.number")),
    _DELETED_VISIT,
    _CHANGED_ENQUIRY.format(find=_ANEW.format(of="v.care_enquiry = new.id")),
    _CHANGED_CONTACT.format(find=_ANEW.format(of="v.service_user_contact = new.id")),
)

for _statement in TRIGGERS:
    _ddl = sa.DDL(_statement).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    sa.event.listen(table_of(Sighting), "after_create", _ddl)
