"""Lists of events as SQL: a page of all, and one for each of many visits; compiled once for each dialect and shape."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.events.appending import EVENTS
from storage.events.conditions import BOUNDS, LISTS, NARROW, SCOPE, TIME, clause, leads, lists_of
from storage.events.numbering import any_unnumbered
from storage.queries.dialect import AccessPath, ConditionShape, Dialect
from storage.queries.listing import of_table
from storage.queries.statements import Statement, compiled, with_fallbacks
from storage.records import HomeVisitEventRecord

COLUMNS: tuple[str, ...] = HomeVisitEventRecord.columns  # type: ignore[attr-defined]  # the class has its columns
SHAPES = 256
# What follows an event in each row of a history, about the whole list.
FLAGS = ("after_id", "before_id", "is_earlier", "is_later", "is_unnumbered")

_ZERO: sa.ColumnElement[int] = sa.literal_column("0")
_ONE: sa.ColumnElement[int] = sa.literal_column("1")


class Shape(NamedTuple):
    """All that the SQL of a list depends on. `after` and `before`: a cursor bounds it there."""

    conditions: ConditionShape
    backward: bool = False
    after: bool = False
    before: bool = False


@lru_cache(SHAPES)
def page(dialect: Dialect, shape: Shape) -> Statement:
    """Select a page and one event more, each followed by `ends`.

    Where there is none: no row, or, of a database that numbers events after their commit, nulls and the ends. Read later, those
    might not tell any more that an event waited for its number when the page was read.
    """
    paths = dialect.event_paths(leads(shape.conditions))
    return with_fallbacks(paths, lambda path: compiled(dialect, _page(dialect, path, shape)))


@lru_cache(SHAPES)
def ends(dialect: Dialect, shape: Shape) -> Statement:
    """Select of each cursor the ID of its event, and whether that meets the conditions; then whether any waits for its number."""
    return compiled(dialect, sa.select(*_ends(dialect, shape)))


@lru_cache(SHAPES)
def histories(dialect: Dialect, shape: Shape) -> Statement:
    """Select for each visit of the list `parents` its ID, then the same as `page`."""
    parents = dialect.numbered("parents", "parents")
    is_of_parent = EVENTS.c.home_visit == parents.c.value
    numbers = sa.select(EVENTS.c.number).where(is_of_parent, *_conditions(dialect, shape))
    numbers = _first(_ordered(_bounded(numbers, EVENTS), shape.backward))
    flags = _flags(dialect, shape, is_of_parent, parents)
    join, found = dialect.joined(parents, numbers.correlate(parents), EVENTS, outer=True)
    query = sa.select(parents.c.value, *_columns(found), *flags).select_from(join)
    return compiled(dialect, query.order_by(parents.c.key, found.c.sequence))


@lru_cache(SHAPES)
def one(dialect: Dialect, limited: bool) -> Statement:
    """Select the event with an ID, where it stands in the locations of the list `scope` if `limited`."""
    query = sa.select(*_columns(EVENTS)).where(
        EVENTS.c.id == sa.bindparam("id", type_=sa.String()), EVENTS.c.sequence.is_not(None)
    )
    return compiled(dialect, query.where(dialect.is_member(EVENTS.c.location, SCOPE)) if limited else query)


def _page(dialect: Dialect, path: AccessPath, shape: Shape) -> sa.Select[Any]:
    if path.mergeable is None and path.rows is None:
        conditions = [clause(dialect, *part, leads=False) for part in shape.conditions]
        events = _first(_ordered(_bounded(sa.select(*_columns(EVENTS)).where(*conditions), EVENTS), shape.backward))
    else:
        found = _found(dialect, path, shape).subquery("found")
        events = sa.select(*_columns(EVENTS)).join(found, found.c.sequence == EVENTS.c.sequence)
        events = _ordered(events, shape.backward)
    if not dialect.numbers_after_commit or path.rows is not None:
        return events.add_columns(*_ends(dialect, shape))
    listed = events.subquery("page")
    once = sa.select(_ONE.label("one")).subquery("once")
    query = sa.select(*_columns(listed), *_ends(dialect, shape)).select_from(once.outerjoin(listed, sa.true()))
    return query.order_by(listed.c.sequence.desc() if shape.backward else listed.c.sequence)


def _found(dialect: Dialect, path: AccessPath, shape: Shape) -> sa.Select[Any]:
    """Select the numbers of the events of a page: an index that has all that is looked at is walked by itself."""
    if path.rows is not None:
        return _walked(dialect, shape, path.rows)
    if path.mergeable == TIME:
        return _sorted(dialect, shape)
    return _along(dialect, shape, path.mergeable or "")


def _along(dialect: Dialect, shape: Shape, lead: str) -> sa.Select[Any]:
    """Take the first along an index that has the order of each value of a condition, and of these the first."""
    form = dict(shape.conditions)[lead]
    lists = None if form == "one" else lists_of(dialect, lead)
    value = sa.bindparam(lead, type_=sa.String()) if lists is None else lists.c.value
    others = [clause(dialect, *part, leads=False) for part in shape.conditions if part[0] != lead]
    numbers = sa.select(EVENTS.c.sequence).where(*others)
    bounds = (_number("after"), _number("before"))
    column = EVENTS.c.home_visit if lead == "care_enquiry" else LISTS[lead]
    if lead in NARROW:
        numbers = _first(_ordered(_bounded(numbers.where(column == value), EVENTS), shape.backward))
    else:
        numbers = _first(dialect.along(numbers, column, value, EVENTS.c.sequence, bounds, backward=shape.backward))
    if lists is None:
        return numbers
    join, found = dialect.joined(lists, numbers.correlate(lists), EVENTS, outer=False, key="sequence")
    return _first(_ordered(sa.select(found.c.sequence).select_from(join), shape.backward, found))


def _sorted(dialect: Dialect, shape: Shape) -> sa.Select[Any]:
    """Find all events of a time before they are sorted, in a query of its own: its planner knows of no order."""
    bounds = dialect.without_index(EVENTS.c.sequence)
    conditions = [clause(dialect, *part, leads=part[0] in BOUNDS) for part in shape.conditions]
    matches = sa.select(EVENTS.c.sequence).where(*conditions, bounds > _number("after"), bounds < _number("before"))
    found = _first(matches, sa.literal_column(str(2**63 - 1))).subquery("matches")
    return _first(_ordered(sa.select(found.c.sequence), shape.backward, found))


def _walked(dialect: Dialect, shape: Shape, rows: int) -> sa.Select[Any]:
    """Look at so many events in their order, and take of them those that meet all conditions."""
    walk = _first(_ordered(_bounded(sa.select(*EVENTS.c), EVENTS), shape.backward), sa.literal_column(str(rows)))
    found = walk.subquery("walked")
    conditions = [of_table(found, clause(dialect, *part), EVENTS) for part in shape.conditions]
    return _first(_ordered(sa.select(found.c.sequence).where(*conditions), shape.backward, found))


def _conditions(dialect: Dialect, shape: Shape) -> list[sa.ColumnElement[bool]]:
    return [clause(dialect, *part) for part in shape.conditions]


def _ends(dialect: Dialect, shape: Shape) -> Iterator[sa.ColumnElement[Any]]:
    for argument, is_bound in (("after", shape.after), ("before", shape.before)):
        if is_bound:
            at = sa.select(EVENTS.c.id).where(EVENTS.c.sequence == _number(argument))
            yield at.scalar_subquery().label(f"{argument}_id")
            yield at.where(*_conditions(dialect, shape)).scalar_subquery().is_not(None).label(f"{argument}_is_listed")
    yield any_unnumbered(dialect).label("is_unnumbered")


def _columns(table: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    return [table.c[name] for name in COLUMNS]


def _bounded(query: sa.Select[Any], table: sa.FromClause) -> sa.Select[Any]:
    """Limit to what is numbered, and lies between the cursors."""
    return query.where(table.c.sequence > _number("after"), table.c.sequence < _number("before"))


def _ordered(query: sa.Select[Any], backward: bool, table: sa.FromClause = EVENTS) -> sa.Select[Any]:
    return query.order_by(table.c.sequence.desc() if backward else table.c.sequence)


def _first(query: sa.Select[Any], number: sa.ColumnElement[int] | None = None) -> sa.Select[Any]:
    # Without an offset of our own SQLAlchemy adds one as a parameter.
    return query.limit(sa.bindparam("limit", type_=sa.Integer()) if number is None else number).offset(_ZERO)


def _flags(
    dialect: Dialect, shape: Shape, is_of_parent: sa.ColumnElement[bool], parents: sa.FromClause
) -> Iterator[sa.ColumnElement[Any]]:
    """Select the IDs at the cursors, whether the visit has events beyond them, and whether any event waits for its number."""
    for argument, is_bound in (("after", shape.after), ("before", shape.before)):
        at = sa.select(EVENTS.c.id).where(EVENTS.c.sequence == _number(argument)).scalar_subquery()
        yield (at if is_bound else sa.null()).label(f"{argument}_id")
    beyond = ((shape.after, EVENTS.c.sequence <= _number("after")), (shape.before, EVENTS.c.sequence >= _number("before")))
    for (is_bound, is_beyond), name in zip(beyond, ("is_earlier", "is_later"), strict=True):
        query = sa.select(_ONE).select_from(EVENTS).where(*_conditions(dialect, shape), is_beyond, is_of_parent)
        found = _first(query.correlate(parents), _ONE).scalar_subquery().is_not(None)
        yield (found if is_bound else _ZERO).label(name)
    yield any_unnumbered(dialect).label("is_unnumbered")


def _number(argument: str) -> sa.BindParameter[int]:
    return sa.bindparam(argument, type_=sa.BigInteger())
