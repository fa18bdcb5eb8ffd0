"""Who attends a visit, as a condition: the contact who was named, else the care seeker, found as `search` finds them."""

import sqlalchemy as sa

from storage.models import CareEnquiry, HomeVisit, ServiceUserContact, table_of
from storage.queries.dialect import Dialect
from storage.queries.people_search import INDEXED_SEARCH, SEARCH, search_clause, search_conditions
from storage.queries.search import KeywordConditions

# The condition itself, and that on the index of folded names, which leaves at least all visits of whom it finds.
ATTENDEE, INDEXED_ATTENDEE = "attendee", "indexed_attendee"

_VISITS, _ENQUIRIES, _CONTACTS = table_of(HomeVisit), table_of(CareEnquiry), table_of(ServiceUserContact)


def attendee_conditions(text: str, dialect: Dialect) -> KeywordConditions:
    """Return the conditions on who attends: none for a blank text; raise InvalidPage for one too long."""
    forms, values = search_conditions(text, dialect, ATTENDEE)
    is_indexed = (INDEXED_SEARCH, "") in forms
    found = [(ATTENDEE, form) for name, form in forms if name == SEARCH]
    return KeywordConditions(found + [(INDEXED_ATTENDEE, form) for _, form in found if is_indexed], values)


def attendee_clause(name: str, form: str, dialect: Dialect) -> sa.ColumnElement[bool]:
    """Return the SQL of one of these conditions."""
    if name == INDEXED_ATTENDEE:
        return _is_found(form, dialect)
    contact, enquiry = _VISITS.c.service_user_contact, _VISITS.c.care_enquiry
    return sa.or_(
        _matches(_CONTACTS, contact, form, dialect), sa.and_(contact.is_(None), _matches(_ENQUIRIES, enquiry, form, dialect))
    )


def _matches(table: sa.Table, id: sa.ColumnElement[str], form: str, dialect: Dialect) -> sa.ColumnElement[bool]:
    return sa.exists().where(table.c.id == id, search_clause(table, SEARCH, form, dialect)).correlate(_VISITS)


def _is_found(form: str, dialect: Dialect) -> sa.ColumnElement[bool]:
    numbers = []
    for table, name in ((_ENQUIRIES, "care_enquiry"), (_CONTACTS, "service_user_contact")):
        both = (SEARCH, form), (INDEXED_SEARCH, "")
        people = sa.select(table.c.id).where(*(search_clause(table, *condition, dialect) for condition in both))
        visits = _VISITS.alias(f"of_{name}")
        numbers.append(sa.select(visits.c.number).where(visits.c[name].in_(people)))
    return _VISITS.c.number.in_(sa.union_all(*numbers))
