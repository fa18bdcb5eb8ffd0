"""The conditions of a list of events, as SQL and in Python: on what never changes, so that both agree at any time."""

import operator
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypedDict

import sqlalchemy as sa

from storage.errors import InvalidPage
from storage.events.appending import EVENTS, VISITS
from storage.identifiers import identifiers
from storage.instants import stored
from storage.models import HomeVisitEvent, is_storable
from storage.queries.conditions import FEW, LIST_LENGTH, Condition, Conditions
from storage.queries.dialect import ConditionShape, Dialect


class HomeVisitEventFilter(TypedDict, total=False):
    """All conditions must hold; None is no condition, an empty list matches nothing."""

    home_visit: list[str] | None
    care_enquiry: list[str] | None
    location: list[str] | None
    type: list[str] | None
    actor: list[str] | None
    at_from: datetime | None
    at_before: datetime | None


SCOPE = "scope"
LISTS: dict[str, sa.Column[Any]] = {
    "home_visit": EVENTS.c.home_visit,
    "care_enquiry": EVENTS.c.care_enquiry,
    "location": EVENTS.c.location,
    SCOPE: EVENTS.c.location,
    "type": EVENTS.c.type,
    "actor": EVENTS.c.actor,
}
TEXTS = frozenset({"type", "actor"})
BOUNDS: dict[str, Callable[[Any, Any], Any]] = {"at_from": operator.ge, "at_before": operator.lt}
# What bounds leave, which have no order of events.
TIME = "time"
# Along an index of these events are found in their order. Of a visit there are few; the index of each of the others has all that
# those behind it look at.
NARROW = ("home_visit", "care_enquiry")
LEADING = ("location", SCOPE, "actor", "type")


def event_conditions(filter: HomeVisitEventFilter, locations: Iterable[str] | None, dialect: Dialect) -> Conditions:
    """Return the conditions of a filter within the caller's locations; raise InvalidPage for a list that is too long."""
    lists = {name: filter[name] for name in LISTS if filter.get(name) is not None}  # type: ignore[literal-required]  # its names
    parts = [_list(name, values, dialect) for name, values in lists.items() if name != "location"]
    if locations is not None or "location" in lists:
        parts.append(_locations(lists.get("location"), locations, dialect))
    bounds = {"at_from": filter.get("at_from"), "at_before": filter.get("at_before")}
    parts += [Condition(name, "", stored(bound)) for name, bound in bounds.items() if bound is not None]
    return Conditions(tuple((name, form) for name, form, _ in parts), {name: value for name, _, value in parts})


def _locations(values: list[str] | None, scope: Iterable[str] | None, dialect: Dialect) -> Condition:
    """Return one condition for both: of two lists of locations an index would be asked for each pair."""
    if values is None:
        return _any_of(SCOPE, identifiers(scope or ()), dialect)
    _require_short(values)
    allowed = None if scope is None else frozenset(identifiers(scope))
    return _any_of("location", [id for id in identifiers(values) if allowed is None or id in allowed], dialect)


def _list(name: str, values: list[str], dialect: Dialect) -> Condition:
    _require_short(values)
    # What is no ID, or no text that is stored, matches nothing.
    return _any_of(name, filter(is_storable, values) if name in TEXTS else identifiers(values), dialect)


def _require_short(values: list[str]) -> None:
    if len(values) > LIST_LENGTH:
        raise InvalidPage(f"A list may have at most {LIST_LENGTH} values: one of these has {len(values)}. Split it.")


def _any_of(name: str, values: Iterable[str], dialect: Dialect) -> Condition:
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1 and name != "care_enquiry":
        return Condition(name, "one", distinct[0])
    return Condition(name, "few" if name in NARROW or len(distinct) <= FEW else "any", dialect.list_value(distinct))


def clause(dialect: Dialect, name: str, form: str, *, leads: bool = True) -> sa.ColumnElement[bool]:
    """Return the SQL of a condition; where it does not lead, so that no index is chosen for it."""
    column = _column(name) if leads else dialect.without_index(_column(name))
    if name in BOUNDS:
        bounded: sa.ColumnElement[bool] = BOUNDS[name](column, sa.bindparam(name, type_=EVENTS.c.at.type))
        return bounded
    if form == "one":
        return column == sa.bindparam(name, type_=sa.String())
    return dialect.is_member(column, name)


def _column(name: str) -> sa.ColumnElement[Any]:
    return EVENTS.c.at if name in BOUNDS else LISTS[name]


def leads(conditions: ConditionShape) -> tuple[tuple[str, str], ...]:
    """Return by which conditions events can be found, each with its form: those of few events, or of which the first covers all.

    None: they are looked at in their order.
    """
    forms = dict(conditions)
    found = [(name, forms[name]) for name in NARROW if name in forms][:1]
    if not found:
        found = [(name, forms[name]) for name in LEADING if name in forms]
        if any(name in forms for name in BOUNDS):
            found.append((TIME, ""))
    return tuple(found)


def lists_of(dialect: Dialect, name: str) -> sa.FromClause:
    """Return the values of a condition that have a list of events each, as a table with the column `value`."""
    if name != "care_enquiry":
        return dialect.numbered(name, "lists")
    return _visits_for(dialect, name).subquery("lists")


def _visits_for(dialect: Dialect, enquiries: str) -> sa.Select[Any]:
    """Select the visits of care enquiries, by which their events are found: an import moves those along with a visit."""
    return sa.select(VISITS.c.id.label("value")).where(dialect.is_member(VISITS.c.care_enquiry, enquiries))


class EventPredicate:
    """Tells whether an event meets a filter within a caller's locations, as `event_conditions` do in SQL.

    `ids` are those of visits or of locations, of which every event that meets it has one; None among them: any event may.
    """

    __slots__ = ("_bounds", "_lists", "ids")

    def __init__(self, filter: HomeVisitEventFilter, locations: frozenset[str] | None) -> None:
        lists: dict[str, frozenset[str]] = {}
        for name in LISTS:
            values: Iterable[str] | None = locations if name == SCOPE else filter.get(name)  # type: ignore[assignment]  # lists
            if values is not None:
                lists[name] = frozenset(values if name in TEXTS else identifiers(values))
        self._lists = [(_reader(name), values) for name, values in lists.items()]
        bounds = ((name, filter.get(name)) for name in BOUNDS)
        self._bounds = [(BOUNDS[name], bound) for name, bound in bounds if bound is not None]
        places = [lists[name] for name in ("location", SCOPE) if name in lists]
        self.ids: frozenset[str | None] = frozenset.intersection(*places) if places else _ANYTHING
        if "home_visit" in lists:
            self.ids = lists["home_visit"]

    def __call__(self, event: HomeVisitEvent) -> bool:
        for read, values in self._lists:
            if read(event) not in values:
                return False
        return not self._bounds or all(compare(event.at, bound) for compare, bound in self._bounds)


_ANYTHING: frozenset[str | None] = frozenset((None,))


def _reader(name: str) -> Callable[[HomeVisitEvent], str]:
    return operator.attrgetter("location" if name == SCOPE else name)
