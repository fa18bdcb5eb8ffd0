"""Whom a visit is for, as a condition: the care seeker, or the contact who attends, each found as `search` finds them."""

from typing import Any

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


def attendee_clause(name: str, form: str, dialect: Dialect, *, scanned: bool) -> sa.ColumnElement[bool]:
    """Return the SQL of one of these conditions. `scanned`: so many visits are looked at that all who match are found first."""
    contact, enquiry = _VISITS.c.service_user_contact, _VISITS.c.care_enquiry
    if name == INDEXED_ATTENDEE:
        return _VISITS.c.number.in_(sa.union_all(_of(_ENQUIRIES, enquiry, form, dialect), _of(_CONTACTS, contact, form, dialect)))
    attends = _is_one if scanned else _is_matching
    # Care seekers ask after their visits also where somebody comes in their place.
    return sa.or_(attends(_CONTACTS, contact, form, dialect), attends(_ENQUIRIES, enquiry, form, dialect))


def _is_matching(table: sa.Table, id: sa.Column[Any], form: str, dialect: Dialect) -> sa.ColumnElement[bool]:
    is_found = search_clause(table, SEARCH, form, dialect)
    return sa.exists().where(table.c.id == id, is_found).correlate(_VISITS)


def _is_one(table: sa.Table, id: sa.Column[Any], form: str, dialect: Dialect) -> sa.ColumnElement[bool]:
    return id.in_(sa.select(table.c.id).where(search_clause(table, SEARCH, form, dialect)))


def _of(table: sa.Table, id: sa.Column[Any], form: str, dialect: Dialect) -> sa.Select[Any]:
    """Select the numbers of the visits that refer to who matches, along the index of the column that does."""
    conditions = (SEARCH, form), (INDEXED_SEARCH, "")
    matching = sa.select(table.c.id).where(*(search_clause(table, *condition, dialect) for condition in conditions))
    visits = _VISITS.alias(f"of_{id.name}")
    return sa.select(visits.c.number).where(visits.c[id.name].in_(matching))
