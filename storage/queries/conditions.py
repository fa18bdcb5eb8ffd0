"""The conditions of a list of visits, as SQL whose text depends on their shape and not on their values."""

import operator
from collections.abc import Callable, Container, Iterable
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypedDict
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from storage.errors import InvalidPage
from storage.identifiers import identifiers, is_identifier
from storage.instants import stored
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitStatus, table_of
from storage.queries.attendees import ATTENDEE, INDEXED_ATTENDEE, attendee_clause, attendee_conditions
from storage.queries.dialect import Access, ConditionShape, Dialect
from storage.queries.search import INDEXED_KEYWORD, KEYWORD, KEYWORD_BEFORE, keyword_clause, keyword_conditions

LIST_LENGTH = 250
SCOPES = 512
ONE = (("ids", "one"),)

VISITS = table_of(HomeVisit)


class HomeVisitFilter(TypedDict, total=False):
    """All conditions must hold; None is no condition, an empty list matches nothing."""

    ids: list[str] | None
    care_enquiry: list[str] | None
    location: list[str] | None
    assigned_to: list[str] | None
    service_user_contact: list[str] | None
    status: list[HomeVisitStatus] | None
    host: list[str] | None
    visit_type: list[str] | None
    anonymized: bool | None
    cancelled: bool | None
    completed: bool | None
    start_date: date | None
    date_time_from: datetime | None
    end_date: date | None
    date_time_before: datetime | None
    time_zone: str
    modified_after: datetime | None
    modified_before: datetime | None
    keyword: str | None
    attendee: str | None
    created_after: datetime | None
    created_before: datetime | None
    assigned: bool | None
    confirmation: list[ConfirmationStatus] | None


class Condition(NamedTuple):
    """`form` is the part that shapes the SQL, `value` the one that does not."""

    name: str
    form: str
    value: Any = None


class Conditions(NamedTuple):
    """`shape` determines the SQL: names and forms; `values` are its parameters."""

    shape: ConditionShape
    values: dict[str, Any]

    def without(self, names: Container[str]) -> "Conditions":
        """Return the others; names are those of conditions with one value each."""
        shape = tuple(part for part in self.shape if part[0] not in names)
        return Conditions(shape, {name: value for name, value in self.values.items() if name not in names})


IDS = {
    "ids": VISITS.c.id,
    "care_enquiry": VISITS.c.care_enquiry,
    "location": VISITS.c.location,
    "assigned_to": VISITS.c.assigned_to,
    "service_user_contact": VISITS.c.service_user_contact,
    "scope": VISITS.c.location,
}
# Of these there may be so many visits that it matters in which order they are found.
BROAD = frozenset({"location", "assigned_to", "scope"})
FEW = 50
# The one status of a confirmation that has an index, which a database uses only for what is written into the SQL.
FAILED = ConfirmationStatus.FAILED.value
LISTS = {**IDS, "host": VISITS.c.host, "visit_type": VISITS.c.visit_type, "confirmation": VISITS.c.confirmation}
FLAGS = {
    "anonymized": VISITS.c.anonymized,
    "cancelled": VISITS.c.cancelled,
    "completed": VISITS.c.completed,
    "assigned": VISITS.c.assigned_to,
}
STATUSES = {
    HomeVisitStatus.PENDING: sa.and_(VISITS.c.cancelled.is_(None), VISITS.c.completed.is_(None)),
    HomeVisitStatus.CANCELLED: VISITS.c.cancelled.is_not(None),
    HomeVisitStatus.COMPLETED: VISITS.c.completed.is_not(None),
}
BOUNDS: dict[str, tuple[sa.Column[Any], Callable[[Any, Any], sa.ColumnElement[bool]]]] = {
    "start": (VISITS.c.date_time, operator.ge),
    "end": (VISITS.c.date_time, operator.lt),
    "modified_after": (VISITS.c.modified, operator.gt),
    "modified_before": (VISITS.c.modified, operator.lt),
    "created_after": (VISITS.c.created, operator.gt),
    "created_before": (VISITS.c.created, operator.lt),
}
# Bounds of the same column as a day's: so they have its SQL, and of two the closer one holds.
AS_DAYS = {"date_time_from": "start", "date_time_before": "end"}
CLOSER: dict[str, Callable[[str, str], str]] = {"start": max, "end": min}
# Their conditions come from elsewhere: `keyword_conditions`, `attendee_conditions`, and the days that are in the zone.
NO_CONDITION = frozenset({KEYWORD, ATTENDEE, "time_zone"})
# Conditions on an index of texts, for statements that look visits up by it.
INDEXED = frozenset({INDEXED_KEYWORD, INDEXED_ATTENDEE})
# All conditions on a text, looked up or looked for.
TEXTS = INDEXED | {KEYWORD, KEYWORD_BEFORE, ATTENDEE}
POSITIONS = {name: position for position, name in enumerate(HomeVisitFilter.__annotations__)}


def conditions(filter: HomeVisitFilter, locations: Iterable[str] | None, dialect: Dialect) -> Conditions:
    """Return the conditions of a filter within the caller's locations; raise InvalidPage where it asks too much."""
    # One order of names, so that the same conditions have the same SQL.
    names = sorted(filter, key=POSITIONS.__getitem__) if len(filter) > 1 else filter
    parts = [part for name in names if (part := _condition(name, filter, dialect)) is not None]
    if locations is not None:
        parts.append(_scope(frozenset(locations), dialect))
    if "date_time_from" in filter or "date_time_before" in filter:
        parts = _with_closer_bounds(parts)
    shape, values = tuple((name, form) for name, form, _ in parts), {name: value for name, _, value in parts}
    if attendee := filter.get("attendee"):
        forms, texts = attendee_conditions(attendee, dialect)
        shape, values = (*forms, *shape), values | texts
    if keyword := filter.get("keyword"):
        forms, texts = keyword_conditions(keyword, dialect)
        return Conditions((*forms, *shape), values | texts)
    return Conditions(shape, values)


def by_id(id: str, locations: Iterable[str] | None, dialect: Dialect) -> Conditions | None:
    """Return the conditions of one visit, the most usual read, as `conditions` would; None where the ID can be nobody's."""
    if not is_identifier(id):
        return None
    if locations is None:
        return Conditions(ONE, {"ids": id})
    name, form, value = _scope(frozenset(locations), dialect)
    return Conditions((*ONE, (name, form)), {"ids": id, name: value})


def clause(dialect: Dialect, name: str, form: str, access: Access, along: str | None = None) -> sa.ColumnElement[bool]:
    """Return the SQL of one part of a shape, for rows that are found so; `along`: by the index that begins with this column."""
    if name in LISTS:
        column = LISTS[name]
        if form in ("one", FAILED):
            return column == (sa.literal_column(f"'{FAILED}'") if form == FAILED else sa.bindparam(name, type_=column.type))
        in_order = access is Access.IN_ORDER and name in BROAD
        return dialect.is_member(dialect.without_index(column) if in_order else column, name)
    if name in BOUNDS:
        column, compare = BOUNDS[name]
        value = sa.bindparam(name, type_=column.type)
        return compare(column if along in (None, column.name) else dialect.without_index(column), value)
    if name == "status":
        return sa.or_(sa.false(), *(STATUSES[HomeVisitStatus(status)] for status in form.split()))
    if name in FLAGS:
        return FLAGS[name].is_not(None) if form == "set" else FLAGS[name].is_(None)
    is_attendee = name in (ATTENDEE, INDEXED_ATTENDEE)
    scanned = access is Access.SCAN_ALL
    return attendee_clause(name, form, dialect, scanned=scanned) if is_attendee else keyword_clause(name, form, dialect)


def _condition(name: str, filter: HomeVisitFilter, dialect: Dialect) -> Condition | None:
    value: Any = filter.get(name)
    if value is None or name in NO_CONDITION:
        return None
    if name in LISTS:
        return _list(name, value, dialect)
    if name == "status":
        return _status(value)
    if name in FLAGS:
        return Condition(name, "set" if value else "unset")
    if name in ("start_date", "end_date"):
        return _day(name, value, ZoneInfo(filter.get("time_zone", "UTC")))
    return Condition(AS_DAYS.get(name, name), "", stored(value))


def _with_closer_bounds(parts: list[Condition]) -> list[Condition]:
    bounds: dict[str, Condition] = {}
    for part in parts:
        other = bounds.get(part.name)
        bounds[part.name] = part._replace(value=CLOSER[part.name](other.value, part.value)) if other else part
    return list(bounds.values())


def _status(statuses: list[HomeVisitStatus]) -> Condition | None:
    if len(statuses) == 1:
        return Condition("status", statuses[0])
    distinct = sorted(set(statuses))
    return None if len(distinct) == len(HomeVisitStatus) else Condition("status", " ".join(distinct))


def _list(name: str, values: list[str], dialect: Dialect) -> Condition:
    if len(values) > LIST_LENGTH:
        raise InvalidPage(f"A list may have at most {LIST_LENGTH} values: one of these has {len(values)}. Split it.")
    return _any_of(name, values, dialect)


def _any_of(name: str, values: Iterable[str], dialect: Dialect) -> Condition:
    # What is no ID matches nothing, and some of it (NUL, half a character) the database would not take.
    distinct = list(dict.fromkeys(identifiers(values) if name in IDS else values))
    # A single value is by far the most usual, and lets an index give the order as well.
    if len(distinct) == 1:
        return Condition(name, FAILED if name == "confirmation" and distinct == [FAILED] else "one", distinct[0])
    return Condition(name, "few" if name in BROAD and len(distinct) <= FEW else "any", dialect.list_value(distinct))


def _scope(locations: frozenset[str], dialect: Dialect) -> Condition:
    """Limit to the caller's locations, which are the same at each request."""
    return _cached_scope(locations, dialect) if len(locations) <= FEW else _any_of("scope", locations, dialect)


@lru_cache(SCOPES)
def _cached_scope(locations: frozenset[str], dialect: Dialect) -> Condition:
    return _any_of("scope", locations, dialect)


def _day(name: str, day: date, zone: ZoneInfo) -> Condition | None:
    """Turn a day into the instant at which it starts or is over, where the calendar has one."""
    try:
        if name == "start_date":
            return Condition("start", "", stored(datetime.combine(day, time(), zone)))
        return Condition("end", "", stored(datetime.combine(day + timedelta(days=1), time(), zone)))
    except OverflowError:  # the first or the last day there is: no visit lies beyond it
        return None
