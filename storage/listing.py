"""Lists of visits as SQL: a page, one page for each of many parents, a count; compiled once for each shape."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.conditions import VISITS, clause
from storage.database import Statement, compiled
from storage.models import DERIVED_FROM, HomeVisit
from storage.paging import Order
from storage.records import HomeVisitRecord, record_of

COLUMNS: tuple[str, ...] = HomeVisitRecord.columns  # type: ignore[attr-defined]  # the class tells its columns
SHAPES = 1024


class Shape(NamedTuple):
    """All that the SQL of a list depends on.

    `parent` is the column by which each of many parents has a list of its own. `wanted` are the attributes that will be read
    of the records, None where any may be: they have no others, because ten values cost as much as finding their row.
    """

    conditions: tuple[tuple[str, str], ...]
    order: tuple[tuple[str, bool], ...] = ()
    backward: bool = False
    after: bool = False
    before: bool = False
    parent: str | None = None
    wanted: frozenset[str] | None = None


class Listing(NamedTuple):
    """How a list is read: what each row begins with, of the given width, makes a record; what follows is about the whole list."""

    statement: Statement
    record: Callable[[Iterable[Any]], HomeVisit]
    width: int
    order: Order


@lru_cache(SHAPES)
def order_of(keys: tuple[tuple[str, bool], ...]) -> Order:
    return Order(keys, COLUMNS)


@lru_cache(SHAPES)
def page(shape: Shape) -> Listing:
    """Select a page and one row more; where cursors bound it, also whether there are rows beyond them.

    With a parent: for each value of the list `parents`, that value and then the same, or nulls where its page is empty.
    """
    names = _names(shape.wanted, shape.order)
    if shape.parent is None:
        own = [VISITS.c[name] for name in names]
        return _listing(_limited(shape, sa.select(*own, *_beyond_cursors(shape))), shape, names)
    parents = _parents()
    numbers = _limited(shape, sa.select(VISITS.c.number).where(VISITS.c[shape.parent] == parents.c.value)).correlate(parents)
    found = VISITS.alias("found")
    columns: list[sa.ColumnElement[Any]] = [parents.c.value, *(found.c[name] for name in names)]
    joined = parents.outerjoin(found, found.c.number.in_(numbers))
    order = order_of(shape.order).sorting(found, backward=shape.backward)
    beyond = _beyond_cursors(shape, parents)
    return _listing(sa.select(*columns, *beyond).select_from(joined).order_by(parents.c.key, *order), shape, names)


@lru_cache(SHAPES)
def beyond_cursors(shape: Shape) -> Statement:
    """Select what `page` tells besides its rows, for when it has none."""
    return compiled(sa.select(*_beyond_cursors(shape)))


@lru_cache(SHAPES)
def count(shape: Shape) -> Statement:
    """Select how many visits there are; with a parent: for each value of the list `parents`, that value and how many."""
    number = sa.select(sa.func.count()).select_from(VISITS).where(*_clauses(shape))
    if shape.parent is None:
        return compiled(number)
    parents = _parents()
    own = number.where(VISITS.c[shape.parent] == parents.c.value).correlate(parents).scalar_subquery()
    return compiled(sa.select(parents.c.value, own).select_from(parents))


@lru_cache(SHAPES)
def one(conditions: tuple[tuple[str, str], ...], wanted: frozenset[str] | None) -> Listing:
    names = _names(wanted, ())
    return _listing(sa.select(*(VISITS.c[name] for name in names)).where(*_clauses(Shape(conditions))), Shape(conditions), names)


@lru_cache(SHAPES)
def record(names: tuple[str, ...]) -> Callable[[Iterable[Any]], HomeVisit]:
    return HomeVisitRecord if names == COLUMNS else record_of(HomeVisit, names)


def _parents() -> sa.TableValuedAlias:
    return sa.func.json_each(sa.bindparam("parents", type_=sa.String())).table_valued("key", "value").alias("parents")


def _names(wanted: frozenset[str] | None, order: Iterable[tuple[str, bool]]) -> tuple[str, ...]:
    if wanted is None:
        return COLUMNS
    needed = {"id", *(name for name, _ in order), *(part for name in wanted for part in DERIVED_FROM.get(name, (name,)))}
    return tuple(name for name in COLUMNS if name in needed)


def _listing(query: sa.Select[Any], shape: Shape, names: tuple[str, ...]) -> Listing:
    return Listing(compiled(query), record(names), len(names), Order(shape.order, names))


def _clauses(shape: Shape) -> list[sa.ColumnElement[bool]]:
    return [clause(name, form) for name, form in shape.conditions]


def _limited(shape: Shape, query: sa.Select[Any]) -> sa.Select[Any]:
    order = order_of(shape.order)
    query = query.where(*_clauses(shape))
    if shape.after:
        query = query.where(order.beyond(VISITS, "after", backward=False))
    if shape.before:
        query = query.where(order.beyond(VISITS, "before", backward=True))
    return _first(query.order_by(*order.sorting(VISITS, backward=shape.backward)), sa.bindparam("limit", type_=sa.Integer()))


def _first(query: sa.Select[Any], number: sa.ColumnElement[int]) -> sa.Select[Any]:
    # Without an offset of our own SQLAlchemy adds one as a parameter.
    return query.limit(number).offset(sa.literal_column("0"))


def _beyond_cursors(shape: Shape, parents: sa.TableValuedAlias | None = None) -> list[sa.ColumnElement[bool]]:
    """Tell whether rows stand before the page that `after` begins, and behind the one that `before` ends."""
    order = order_of(shape.order)
    told: list[sa.ColumnElement[bool]] = []
    for argument, given, backward in (("after", shape.after, True), ("before", shape.before, False)):
        if not given:
            continue
        query: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(VISITS).where(*_clauses(shape))
        query = query.where(order.beyond(VISITS, argument, backward=backward, inclusive=True))
        if parents is not None and shape.parent is not None:
            query = query.where(VISITS.c[shape.parent] == parents.c.value).correlate(parents)
        # In this order the row of the cursor itself, which is there as a rule, is the first to be looked at.
        nearest = _first(query.order_by(*order.sorting(VISITS, backward=backward)), sa.literal_column("1"))
        told.append(nearest.exists().label(f"beyond_{argument}"))
    return told
