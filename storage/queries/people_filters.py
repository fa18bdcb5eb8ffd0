"""The conditions of lists of care enquiries, locations, users and contacts, each within what its caller may see."""

from collections.abc import Iterable
from typing import Any, TypedDict

import sqlalchemy as sa

from storage.errors import InvalidPage
from storage.identifiers import identifiers
from storage.queries.conditions import LIST_LENGTH, Conditions
from storage.queries.dialect import Dialect
from storage.queries.people_search import INDEXED, INDEXED_SEARCH, search_clause, search_conditions
from storage.queries.references import ENQUIRIES, SIGHTINGS, TABLES, Kind, visible

SCOPE = "scope"
CONTACTS, USERS = TABLES["service_user_contact"], TABLES["user"]
# The column by which each of many parents has a list of its own.
PARENT = CONTACTS.c.care_enquiry


class PeopleFilter(TypedDict, total=False):
    """All conditions must hold; None is no condition, an empty list matches nothing. Each kind has those that it can have."""

    ids: list[str] | None
    location: list[str] | None
    assigned_to: list[str] | None
    role: list[str] | None
    anonymized: bool | None
    suspended: bool | None
    search: str | None


_LISTS: dict[tuple[Kind, str], sa.Column[Any]] = {
    **{(kind, "ids"): table.c.id for kind, table in TABLES.items()},
    ("care_enquiry", "location"): ENQUIRIES.c.location,
    ("care_enquiry", "assigned_to"): ENQUIRIES.c.assigned_to,
    ("user", "role"): USERS.c.location_role,
}
_NAMES = tuple(name for name in PeopleFilter.__annotations__ if name != "search")


def people_conditions(kind: Kind, filter: PeopleFilter, locations: Iterable[str] | None, dialect: Dialect) -> Conditions:
    """Return the conditions of a filter within the caller's locations; raise InvalidPage where it asks too much."""
    scope = None if locations is None else set(identifiers(locations))
    shape, values = list[tuple[str, str]](), dict[str, Any]()
    for name in _NAMES:
        value: Any = filter.get(name)
        if value is None:
            continue
        if isinstance(value, bool):
            shape.append((name, "set" if value else "unset"))
            continue
        members = _members(name, value)
        if name == "location" and scope is not None:
            # Nobody learns where else somebody works, or has asked.
            members = [member for member in members if member in scope]
        is_one = len(members) == 1 and (kind, name) in _LISTS
        shape.append((name, "one" if is_one else "any"))
        values[name] = members[0] if is_one else dialect.list_value(members)
    if scope is not None and not (kind == "care_enquiry" and "location" in values):
        shape.append((SCOPE, ""))
        values[SCOPE] = dialect.list_value(sorted(scope))
    if search := filter.get("search"):
        forms, texts = search_conditions(search, dialect)
        shape += [form for form in forms if form[0] != INDEXED_SEARCH or TABLES[kind] in INDEXED]
        values |= texts
    return Conditions(tuple(shape), values)


def _members(name: str, values: list[str]) -> list[str]:
    if len(values) > LIST_LENGTH:
        raise InvalidPage(f"A list may have at most {LIST_LENGTH} values: one of these has {len(values)}. Split it.")
    return list(dict.fromkeys(values if name == "role" else identifiers(values)))


def clause(dialect: Dialect, kind: Kind, name: str, form: str) -> sa.ColumnElement[bool]:
    """Return the SQL of one part of a shape."""
    column = _LISTS.get((kind, name))
    if column is not None:
        return column == sa.bindparam(name, type_=sa.String()) if form == "one" else dialect.is_member(column, name)
    if name == SCOPE:
        return visible(dialect, kind)
    if name == "location":
        return dialect.shares_member(USERS.c.locations, name)
    if name == "anonymized":
        return ENQUIRIES.c.anonymized.is_not(None) if form == "set" else ENQUIRIES.c.anonymized.is_(None)
    if name == "suspended":
        return USERS.c.suspended.is_(sa.true() if form == "set" else sa.false())
    return search_clause(TABLES[kind], name, form, dialect)


def of_location(location: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return ENQUIRIES.c.location == location


def is_own_location(dialect: Dialect) -> sa.ColumnElement[bool]:
    """Hold for enquiries at the caller's locations."""
    return dialect.is_member(ENQUIRIES.c.location, SCOPE)


def sighted(dialect: Dialect) -> sa.ColumnElement[bool]:
    """Hold for enquiries that the caller sees because of a visit alone."""
    there = sa.select(SIGHTINGS.c.record).where(dialect.is_member(SIGHTINGS.c.location, SCOPE))
    is_elsewhere = sa.or_(ENQUIRIES.c.location.is_(None), sa.not_(is_own_location(dialect)))
    return sa.and_(ENQUIRIES.c.id.in_(there), is_elsewhere)
