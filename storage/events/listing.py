"""Lists of events as SQL: a page of all, and one for each of many visits; compiled once for each dialect and shape."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.events.appending import EVENTS
from storage.events.conditions import LISTS, NARROW, SCOPE, clause, leading, lists_of
from storage.events.numbering import any_unnumbered
from storage.queries.dialect import Access, AccessPath, ConditionShape, Dialect
from storage.queries.statements import Statement, compiled, with_fallbacks
from storage.records import HomeVisitEventRecord

COLUMNS: tuple[str, ...] = HomeVisitEventRecord.columns  # type: ignore[attr-defined]  # the class has its columns
SHAPES = 256
# Of SQLite's machine: some ten thousand events.
LONG_WALK = 100_000
# What follows an event in each row, about the whole list.
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
    """Select a page and one event more, each followed by `FLAGS`; where there is none, nulls and the flags."""
    lead = leading(shape.conditions)
    path = AccessPath(Access.MERGED if lead and lead[1] == "few" else Access.IN_ORDER, LONG_WALK)
    # Along an index of its own all that is looked at is in the list, unless it must meet something else besides.
    others = [name for name, _ in shape.conditions if not lead or name != lead[0]]
    paths = [path, AccessPath(Access.SCAN)] if others else [path._replace(max_steps=None)]
    return with_fallbacks(paths, lambda path: compiled(dialect, _page(dialect, path.access, shape)))


@lru_cache(SHAPES)
def histories(dialect: Dialect, shape: Shape) -> Statement:
    """Select for each visit of the list `parents` its ID, then the same as `page`."""
    parents = dialect.numbered("parents", "parents")
    is_of_parent = EVENTS.c.home_visit == parents.c.value
    numbers = _first(_ordered(_bounded(dialect, shape, sa.select(EVENTS.c.number)).where(is_of_parent), shape.backward))
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


def _page(dialect: Dialect, access: Access, shape: Shape) -> sa.Select[Any]:
    if access is Access.MERGED:
        events = _merged(dialect, shape).subquery("page")
    else:
        query = _first(_ordered(_bounded(dialect, shape, sa.select(*_columns(EVENTS))), shape.backward))
        events = (dialect.scanning(query, EVENTS) if access is Access.SCAN else query).subquery("page")
    once = sa.select(_ONE.label("one")).subquery("once")
    query = sa.select(*_columns(events), *_flags(dialect, shape)).select_from(once.outerjoin(events, sa.true()))
    return query.order_by(events.c.sequence)


def _merged(dialect: Dialect, shape: Shape) -> sa.Select[Any]:
    """Take the first of each of a few lists, along an index that has their order, and of these the first."""
    name, _ = leading(shape.conditions) or ("", "")
    lists = lists_of(dialect, name)
    column = EVENTS.c.home_visit if name == "care_enquiry" else LISTS[name]
    others = shape._replace(conditions=tuple(part for part in shape.conditions if part[0] != name))
    numbers = _bounded(dialect, others, sa.select(EVENTS.c.number)).where(column == lists.c.value)
    numbers = _first(_ordered(numbers, shape.backward)).correlate(lists)
    join, found = dialect.joined(lists, numbers, EVENTS, outer=False)
    query = sa.select(*_columns(found)).select_from(join)
    return _first(query.order_by(found.c.sequence.desc() if shape.backward else found.c.sequence))


def _columns(table: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    return [table.c[name] for name in COLUMNS]


def _bounded(dialect: Dialect, shape: Shape, query: sa.Select[Any]) -> sa.Select[Any]:
    """Limit to what is numbered, meets the conditions, and lies between the cursors."""
    query = query.where(*(clause(dialect, name, form) for name, form in shape.conditions))
    return query.where(EVENTS.c.sequence > _number("after"), EVENTS.c.sequence < _number("before"))


def _ordered(query: sa.Select[Any], backward: bool) -> sa.Select[Any]:
    return query.order_by(EVENTS.c.sequence.desc() if backward else EVENTS.c.sequence)


def _first(query: sa.Select[Any], number: sa.ColumnElement[int] | None = None) -> sa.Select[Any]:
    # Without an offset of our own SQLAlchemy adds one as a parameter.
    return query.limit(sa.bindparam("limit", type_=sa.Integer()) if number is None else number).offset(_ZERO)


def _flags(
    dialect: Dialect,
    shape: Shape,
    is_of_parent: sa.ColumnElement[bool] | None = None,
    parents: sa.FromClause | None = None,
) -> Iterator[sa.ColumnElement[Any]]:
    """Select the IDs at the cursors, whether there are events beyond them, and whether any waits for its number."""
    for argument, is_bound in (("after", shape.after), ("before", shape.before)):
        at = sa.select(EVENTS.c.id).where(EVENTS.c.sequence == _number(argument)).scalar_subquery()
        yield (at if is_bound else sa.null()).label(f"{argument}_id")
    lead = leading(shape.conditions)
    beyond = (
        (shape.after, EVENTS.c.sequence <= _number("after"), True),
        (shape.before, EVENTS.c.sequence >= _number("before"), False),
    )
    for (is_bound, is_beyond, backward), name in zip(beyond, ("is_earlier", "is_later"), strict=True):
        query = sa.select(_ONE).select_from(EVENTS).where(*(clause(dialect, *part) for part in shape.conditions), is_beyond)
        if is_of_parent is not None and parents is not None:
            query = query.where(is_of_parent).correlate(parents)
        # The event of the cursor itself, which is there as a rule, is the first to be looked at; but that of few visits is not
        # looked for among those of all.
        nearest = query if lead and lead[0] in NARROW else _ordered(query, backward)
        found = _first(nearest, _ONE).scalar_subquery().is_not(None)
        yield (found if is_bound else _ZERO).label(name)
    yield any_unnumbered(dialect).label("is_unnumbered")


def _number(argument: str) -> sa.BindParameter[int]:
    return sa.bindparam(argument, type_=sa.BigInteger())
