"""Which visits are asked for: conditions, as SQL whose text depends on their shape and not on their values."""

import json
import operator
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypedDict
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression

from storage.errors import InvalidPage
from storage.identifiers import identifiers, is_identifier
from storage.instants import stored
from storage.models import HomeVisit, HomeVisitStatus, folded, is_storable
from storage.sqlite.keywords import SHORTEST, may_hold, trigrams

LIST_LENGTH = 250
KEYWORD_LENGTH = 100
SCOPES = 1024
ONE = (("ids", "one"),)

VISITS: sa.Table = HomeVisit.__table__  # type: ignore[attr-defined]  # every table model has one


class HomeVisitFilter(TypedDict, total=False):
    """All conditions given must hold; None is no condition, an empty list matches nothing."""

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
    end_date: date | None
    time_zone: str
    modified_after: datetime | None
    modified_before: datetime | None
    keyword: str | None


class Condition(NamedTuple):
    """`form` is the part that shapes the SQL, `value` the one that does not."""

    name: str
    form: str
    value: Any = None


class Conditions(NamedTuple):
    """`shape` tells which SQL it is: its names and forms; `values` are its parameters."""

    shape: tuple[tuple[str, str], ...]
    values: dict[str, Any]


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
LISTS = {**IDS, "host": VISITS.c.host, "visit_type": VISITS.c.visit_type}
FLAGS = {"anonymized": VISITS.c.anonymized, "cancelled": VISITS.c.cancelled, "completed": VISITS.c.completed}
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
}


TEXTS: dict[str, Callable[[sa.BindParameter[Any]], sa.ColumnElement[bool]]] = {
    "keyword": lambda value: sa.func.instr(VISITS.c.notes_folded, value) > sa.literal_column("0"),
    "trigrams": lambda value: VISITS.c.number.in_(may_hold(value)),
}
PLUS = operators.custom_op[Any]("+")


def conditions(filter: HomeVisitFilter, locations: Iterable[str] | None) -> Conditions:
    """Say what a filter asks for, within the caller's locations; raise InvalidPage where it asks too much."""
    found = [one for name in filter if (one := _condition(name, filter)) is not None]
    found += [Condition("trigrams", "", trigrams(text)) for name, _, text in found if name == "keyword" and len(text) >= SHORTEST]
    if locations is not None:
        found.append(_scope(frozenset(locations)))
    return Conditions(tuple((name, form) for name, form, _ in found), {name: value for name, _, value in found})


def by_id(id: str, locations: Iterable[str] | None) -> Conditions | None:
    """Ask for one visit, the most usual question, as `conditions` would; None where the ID can be nobody's."""
    if not is_identifier(id):
        return None
    if locations is None:
        return Conditions(ONE, {"ids": id})
    name, form, value = _scope(frozenset(locations))
    return Conditions((*ONE, (name, form)), {"ids": id, name: value})


def clause(name: str, form: str, *, in_order: bool = False, along: str | None = None) -> sa.ColumnElement[bool]:
    """Return the SQL of one part of a shape.

    `in_order`: the visits are to be found in the order of the list; `along`: by the index that begins with this column.
    """
    value = sa.bindparam(name, type_=sa.String())
    if name in LISTS:
        if form == "one":
            return LISTS[name] == value
        return (_unindexed(LISTS[name]) if in_order and name in BROAD else LISTS[name]).in_(json_list(value))
    if name in BOUNDS:
        column, compare = BOUNDS[name]
        return compare(column if along in (None, column.name) else _unindexed(column), value)
    if name == "status":
        return sa.or_(sa.false(), *(STATUSES[HomeVisitStatus(status)] for status in form.split()))
    if name in FLAGS:
        return FLAGS[name].is_not(None) if form == "set" else FLAGS[name].is_(None)
    return TEXTS[name](value)


def _unindexed(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    # SQLite takes an index for the plain column, and then has to sort all that it finds.
    return UnaryExpression(column, operator=PLUS)


def json_list(value: sa.BindParameter[Any]) -> sa.Select[Any]:
    """Read a list out of one parameter, so that its length does not change the SQL."""
    return sa.select(sa.func.json_each(value).table_valued("value").c.value)


def _condition(name: str, filter: HomeVisitFilter) -> Condition | None:
    value: Any = filter.get(name)
    if value is None or name == "time_zone":
        return None
    if name in FLAGS:
        return Condition(name, "set" if value else "unset")
    if name in ("start_date", "end_date"):
        return _day(name, value, ZoneInfo(filter.get("time_zone", "UTC")))
    return _asked(name, value) if name in LISTS else _single(name, value)


def _single(name: str, value: Any) -> Condition | None:
    if name == "status":
        return None if len(set(value)) == len(HomeVisitStatus) else Condition(name, " ".join(sorted(set(value))))
    return _keyword(value) if name == "keyword" else Condition(name, "", stored(value))


def _asked(name: str, values: list[str]) -> Condition:
    if len(values) > LIST_LENGTH:
        raise InvalidPage(f"A list may have at most {LIST_LENGTH} values: one of these has {len(values)}. Split it.")
    return _one_of(name, values)


def _one_of(name: str, values: Iterable[str]) -> Condition:
    # What is no ID matches nothing, and some of it (NUL, half a character) the database would not take.
    known = list(dict.fromkeys(identifiers(values) if name in IDS else values))
    # A single value is by far the most usual, and lets an index give the order as well.
    if len(known) == 1:
        return Condition(name, "one", known[0])
    return Condition(name, "few" if name in BROAD and len(known) <= FEW else "any", json.dumps(known))


@lru_cache(SCOPES)
def _scope(locations: frozenset[str]) -> Condition:
    """Limit to the caller's locations, which are the same at each request."""
    return _one_of("scope", locations)


def _day(name: str, day: date, zone: ZoneInfo) -> Condition | None:
    """Turn a day into the instant at which it starts or is over, where the calendar has one."""
    try:
        if name == "start_date":
            return Condition("start", "", stored(datetime.combine(day, time(), zone)))
        return Condition("end", "", stored(datetime.combine(day + timedelta(days=1), time(), zone)))
    except OverflowError:  # the first or the last day there is: no visit lies beyond it
        return None


def _keyword(text: str) -> Condition | None:
    sought = text.strip()
    if len(sought) > KEYWORD_LENGTH:
        raise InvalidPage(f"`keyword` may have at most {KEYWORD_LENGTH} characters: this one has {len(sought)}.")
    if not is_storable(sought):
        raise InvalidPage("`keyword` holds NUL or half a character (a lone surrogate), which no notes do. Remove it.")
    return Condition("keyword", "", folded(sought)) if sought else None
