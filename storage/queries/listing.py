"""Lists of visits as SQL: a page, one page for each of many parents, a count; compiled once for each shape."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.models import DERIVED_FROM, HomeVisit
from storage.queries.conditions import LISTS, VISITS, clause
from storage.queries.paging import Order
from storage.queries.statements import SOON_STEPS, Statement, compiled
from storage.records import HomeVisitRecord, record_of
from storage.sqlite import access_paths

COLUMNS: tuple[str, ...] = HomeVisitRecord.columns  # type: ignore[attr-defined]  # the class tells its columns
SHAPES = 1024
SHORT_WALK, LONG_WALK = SOON_STEPS // 2, 5 * SOON_STEPS
# Ways to find visits: by the index that finds the fewest, along one that has the order of the list, or by looking at all of them.
FEWEST, IN_ORDER, EVERYTHING = "fewest", "in order", "everything"


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
        return _listing(_one_list(shape, names), shape, names)
    parents = _parents()
    numbers = _limited(shape, sa.select(VISITS.c.number).where(VISITS.c[shape.parent] == parents.c.value)).correlate(parents)
    found = VISITS.alias("found")
    columns: list[sa.ColumnElement[Any]] = [parents.c.value, *(found.c[name] for name in names)]
    joined = parents.outerjoin(found, found.c.number.in_(numbers))
    order = order_of(shape.order).sorting(found, backward=shape.backward)
    beyond = _beyond_cursors(shape, parents)
    query = sa.select(*columns, *beyond).select_from(joined).order_by(parents.c.key, *order)
    return _listing(compiled(query), shape, names)


@lru_cache(SHAPES)
def beyond_cursors(shape: Shape) -> Statement:
    """Select what `page` tells besides its rows, for when it has none."""
    return compiled(sa.select(*_beyond_cursors(shape)))


@lru_cache(SHAPES)
def count(shape: Shape) -> Statement:
    """Select how many visits there are; with a parent: for each value of the list `parents`, that value and how many."""
    number = sa.select(sa.func.count()).select_from(VISITS)
    if shape.parent is None:
        fallback = (
            _looking_at_everything(number.where(*_clauses(shape, EVERYTHING)))
            if access_paths.count_may_take_long(shape.conditions)
            else None
        )
        return compiled(number.where(*_clauses(shape, FEWEST)), fallback)
    number = number.where(*_clauses(shape, IN_ORDER))
    parents = _parents()
    own = number.where(VISITS.c[shape.parent] == parents.c.value).correlate(parents).scalar_subquery()
    return compiled(sa.select(parents.c.value, own).select_from(parents))


@lru_cache(SHAPES)
def one(conditions: tuple[tuple[str, str], ...], wanted: frozenset[str] | None) -> Listing:
    names = _names(wanted, ())
    query = sa.select(*(VISITS.c[name] for name in names)).where(*_clauses(Shape(conditions), FEWEST))
    return _listing(compiled(query), Shape(conditions), names)


@lru_cache(SHAPES)
def record(names: tuple[str, ...]) -> Callable[[Iterable[Any]], HomeVisit]:
    return HomeVisitRecord if names == COLUMNS else record_of(HomeVisit, names)


def kept() -> int:
    """Say how many forms of lists are kept compiled."""
    return sum(compiled_once.cache_info().currsize for compiled_once in (page, beyond_cursors, count, one))


def _parents() -> sa.TableValuedAlias:
    return sa.func.json_each(sa.bindparam("parents", type_=sa.String())).table_valued("key", "value").alias("parents")


def _names(wanted: frozenset[str] | None, order: Iterable[tuple[str, bool]]) -> tuple[str, ...]:
    if wanted is None:
        return COLUMNS
    needed = {"id", *(name for name, _ in order), *(part for name in wanted for part in DERIVED_FROM.get(name, (name,)))}
    return tuple(name for name in COLUMNS if name in needed)


def _listing(statement: Statement, shape: Shape, names: tuple[str, ...]) -> Listing:
    return Listing(statement, record(names), len(names), Order(shape.order, names))


def _clauses(shape: Shape, way: str, along: str | None = None) -> list[sa.ColumnElement[bool]]:
    parts = [part for part in shape.conditions if way is EVERYTHING or part[0] != "trigrams"]
    return [clause(name, form, in_order=way is IN_ORDER, along=along) for name, form in parts]


def _looking_at_everything(query: sa.Select[Any]) -> sa.Select[Any]:
    # To look at all rows one after the other takes a tenth of looking them all up in the order of an index.
    return query.with_hint(VISITS, "NOT INDEXED")


def _limited(shape: Shape, query: sa.Select[Any], way: str = IN_ORDER) -> sa.Select[Any]:
    order = order_of(shape.order)
    query = query.where(*_clauses(shape, way))
    if shape.after:
        query = query.where(order.beyond(VISITS, "after", backward=False))
    if shape.before:
        query = query.where(order.beyond(VISITS, "before", backward=True))
    return _first(query.order_by(*order.sorting(VISITS, backward=shape.backward)), _limit())


def _limit() -> sa.BindParameter[int]:
    return sa.bindparam("limit", type_=sa.Integer())


def _first(query: sa.Select[Any], number: sa.ColumnElement[int]) -> sa.Select[Any]:
    # Without an offset of our own SQLAlchemy adds one as a parameter.
    return query.limit(number).offset(sa.literal_column("0"))


def _beyond_cursors(
    shape: Shape, parents: sa.TableValuedAlias | None = None, way: str = IN_ORDER
) -> list[sa.ColumnElement[bool]]:
    """Tell whether rows stand before the page that `after` begins, and behind the one that `before` ends."""
    order = order_of(shape.order)
    told: list[sa.ColumnElement[bool]] = []
    for argument, given, backward in (("after", shape.after, True), ("before", shape.before, False)):
        if not given:
            continue
        clauses = _clauses(shape, way, along=order.keys[0][0])
        query: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(VISITS).where(*clauses)
        query = query.where(order.beyond(VISITS, argument, backward=backward, inclusive=True))
        if parents is not None and shape.parent is not None:
            query = query.where(VISITS.c[shape.parent] == parents.c.value).correlate(parents)
        if way is EVERYTHING:
            there: sa.ColumnElement[bool] = _looking_at_everything(query).exists()
        else:
            # In this order the row of the cursor itself, which is there as a rule, is the first to be looked at. Where it is
            # only asked whether one exists, SQLite takes no notice of an order.
            nearest = _first(query.order_by(*order.sorting(VISITS, backward=backward)), sa.literal_column("1"))
            there = nearest.scalar_subquery().is_not(None)
        told.append(there.label(f"beyond_{argument}"))
    return told


def _one_list(shape: Shape, names: Sequence[str]) -> Statement:
    few = access_paths.few(shape.conditions, shape.order)
    merged = compiled(_merged(shape, names, few)) if few else None
    if merged and not access_paths.has_keyword(shape.conditions):
        return merged
    own = [VISITS.c[name] for name in names]
    walked = compiled(_limited(shape, sa.select(*own, *_beyond_cursors(shape))))
    if not access_paths.page_may_take_long(shape.conditions):
        return walked
    columns = [*own, *_beyond_cursors(shape, way=EVERYTHING)]
    everything = compiled(_looking_at_everything(_limited(shape, sa.select(*columns), EVERYTHING)))
    if not access_paths.has_keyword(shape.conditions):
        return walked._replace(fallback=everything)
    # A frequent keyword is met at once, a rare one is looked up at once; for those between a longer walk is shorter.
    walk = walked._replace(fallback=everything, max_steps=LONG_WALK)
    if merged:
        walk = merged._replace(fallback=walk, max_steps=LONG_WALK // 2)
    return walked._replace(fallback=everything._replace(fallback=walk), max_steps=SHORT_WALK)


def _merged(shape: Shape, names: Sequence[str], condition: str) -> sa.Select[Any]:
    """Take the first of each of a few lists, of which all have an index in this order, and of these the first."""
    asked, found = sa.bindparam(condition, type_=sa.String()), VISITS.alias("found")
    lists = sa.func.json_each(asked).table_valued("key", "value").alias("lists")
    others = shape._replace(conditions=tuple(part for part in shape.conditions if part[0] != condition))
    numbers = _limited(others, sa.select(VISITS.c.number).where(LISTS[condition] == lists.c.value)).correlate(lists)
    query = sa.select(*(found.c[name] for name in names), *_beyond_cursors(shape))
    query = query.select_from(lists.join(found, found.c.number.in_(numbers)))
    return _first(query.order_by(*order_of(shape.order).sorting(found, backward=shape.backward)), _limit())
