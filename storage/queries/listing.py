"""Lists of visits as SQL: a page, and one page for each of many parents; compiled once for each dialect and shape."""

import operator
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql.visitors import replacement_traverse

from storage.models import DERIVED_FROM, HomeVisit
from storage.queries.conditions import BOUNDS, INDEXED, LISTS, VISITS, clause
from storage.queries.dialect import SCANS, Access, AccessPath, ConditionShape, Dialect, OrderShape
from storage.queries.narrowing import is_narrow
from storage.queries.paging import Order, canonical, cursors_of, limited, page_limit
from storage.queries.search import INDEXED_KEYWORD, PHRASE
from storage.queries.selectivity import conditions_in_index_of, conditions_of_one_index, covered_conditions
from storage.queries.statements import Statement, compiled, with_fallbacks
from storage.records import HomeVisitRecord, record_of

COLUMNS: tuple[str, ...] = HomeVisitRecord.columns  # type: ignore[attr-defined]  # the class has its columns
# The dearest is kept in some 50 KB.
SHAPES = 512

_ZERO: sa.ColumnElement[int] = sa.literal_column("0")
_ONE: sa.ColumnElement[int] = sa.literal_column("1")


class Shape(NamedTuple):
    """All that the SQL of a list depends on.

    `parent` is the column by which each of many parents has a list of its own. `columns` are the attributes that will be read
    of the records, None where any may be: they have no others, because ten values cost as much as finding their row.
    """

    conditions: ConditionShape
    order: OrderShape = ()
    backward: bool = False
    after: bool = False
    before: bool = False
    parent: str | None = None
    columns: frozenset[str] | None = None


class Listing(NamedTuple):
    """How a list is read: what each row begins with, of this width, makes a record; what follows is about the whole list."""

    statement: Statement
    record: Callable[[Iterable[Any]], HomeVisit]
    width: int
    order: Order


def order_of(keys: Sequence[tuple[str, bool]]) -> Order:
    """Return the order of full rows; raise InvalidPage for more keys than a list can be ordered by."""
    # One key, the most usual by far, is short and distinct as it is.
    return _order_by_one(keys[0]) if len(keys) == 1 else _canonical_order(canonical(keys))


@lru_cache(SHAPES)
def _order_by_one(key: tuple[str, bool]) -> Order:
    return _canonical_order(canonical((key,)))


@lru_cache(SHAPES)
def _canonical_order(keys: OrderShape) -> Order:
    return Order(keys, COLUMNS)


@lru_cache(SHAPES)
def page(dialect: Dialect, shape: Shape) -> Listing:
    """Select a page and one row more; where cursors bound it, also whether there are rows beyond them.

    With a parent: for each value of the list `parents`, that value and then the same, or nulls where its page is empty.
    """
    names = names_of(shape.columns, shape.order)
    if shape.parent is None:
        paths = dialect.page_paths(shape.conditions, shape.order)
        return listing_of(with_fallbacks(paths, lambda path: _along(dialect, path, shape, names)), shape, names)
    paths = dialect.nested_paths(shape.conditions)
    return listing_of(with_fallbacks(paths, lambda path: _of_parents_along(dialect, path, shape, names)), shape, names)


@lru_cache(SHAPES)
def beyond_cursors(dialect: Dialect, shape: Shape) -> Statement:
    """Select what `page` has besides its rows, for when it has none."""
    return compiled(dialect, sa.select(*_beyond_cursors(dialect, shape)))


@lru_cache(SHAPES)
def one(dialect: Dialect, conditions: ConditionShape, columns: frozenset[str] | None) -> Listing:
    names, shape = names_of(columns, ()), Shape(conditions)
    query = sa.select(*(VISITS.c[name] for name in names)).where(*clauses(dialect, shape, Access.FEWEST))
    return listing_of(compiled(dialect, query), shape, names)


@lru_cache(SHAPES)
def record(names: tuple[str, ...]) -> Callable[[Iterable[Any]], HomeVisit]:
    return HomeVisitRecord if names == COLUMNS else record_of(HomeVisit, names)


def clauses(
    dialect: Dialect, shape: Shape, access: Access, along: str | None = None, wider: Container[str] = ()
) -> list[sa.ColumnElement[bool]]:
    """Return the SQL of all conditions of a shape, as `clause` does of each; by those that are `wider`, no index is sought."""
    by_text = access in (Access.SCAN, Access.SORTED)
    parts = [part for part in shape.conditions if by_text or part[0] not in INDEXED]
    return [clause(dialect, name, form, access, "" if name in wider else along) for name, form in parts]


def implied_by_cursor(order: OrderShape, *, backward: bool) -> frozenset[str]:
    """Return the bounds that all rows beyond a cursor meet, where its own row meets them."""
    column, descending = order[0]
    sides = (operator.lt, operator.le) if descending != backward else (operator.gt, operator.ge)
    return frozenset(name for name, (bound, side) in BOUNDS.items() if bound.name == column and side in sides)


def of_table(found: sa.FromClause, condition: sa.ColumnElement[bool], table: sa.Table = VISITS) -> sa.ColumnElement[bool]:
    """Return a condition on a table for a query of its rows."""

    def replacement(element: Any, **_: Any) -> Any:
        if element is table:  # to which a subquery is correlated
            return found
        return found.c[element.name] if isinstance(element, sa.Column) and element.table is table else None

    return replacement_traverse(condition, {}, replacement)


def parents_of(dialect: Dialect) -> sa.FromClause:
    return dialect.numbered("parents", "parents")


def matches_of_parents(dialect: Dialect, shape: Shape, columns: Iterable[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    """Select from all visits of the parents that meet the conditions, as the index of keywords finds them."""
    is_of_parent = dialect.is_member(VISITS.c[shape.parent or ""], "parents")
    return dialect.scanning(sa.select(*columns).where(*clauses(dialect, shape, Access.SCAN), is_of_parent), VISITS)


def names_of(columns: frozenset[str] | None, order: OrderShape) -> tuple[str, ...]:
    if columns is None:
        return COLUMNS
    needed = {"id", *(name for name, _ in order), *(part for name in columns for part in DERIVED_FROM.get(name, (name,)))}
    return tuple(name for name in COLUMNS if name in needed)


def listing_of(statement: Statement, shape: Shape, names: tuple[str, ...]) -> Listing:
    return Listing(statement, record(names), len(names), Order(shape.order, names))


def _along(dialect: Dialect, path: AccessPath, shape: Shape, names: Sequence[str]) -> Statement:
    return compiled(dialect, rows_along(dialect, path, shape, names))


def rows_along(dialect: Dialect, path: AccessPath, shape: Shape, names: Sequence[str]) -> sa.Select[Any]:
    if path.mergeable is not None:
        return _merged(dialect, shape, names, path)
    if path.access in (Access.SORTED, Access.NARROWED):
        return _sorted(dialect, shape, names, path.access)
    if path.access is Access.COVERED:
        return _covered(dialect, shape, names)
    if path.rows is not None:
        return _walked(dialect, shape, names, path.rows)
    columns = [*(VISITS.c[name] for name in names), *_beyond_cursors(dialect, shape, access=path.access)]
    query = _limited(dialect, shape, sa.select(*columns), path.access)
    return dialect.scanning(query, VISITS) if path.access in SCANS else query


def _sorted(dialect: Dialect, shape: Shape, names: Sequence[str], access: Access) -> sa.Select[Any]:
    """Find all that meet the conditions before they are sorted, in a query of its own: its planner knows of no order."""
    order = order_of(shape.order)

    def matches(access: Access) -> sa.Select[Any]:
        columns = sa.select(*(VISITS.c[name] for name in names))
        return columns.where(*clauses(dialect, shape, access), *_bounds(shape, order, VISITS)).offset(_ZERO)

    if access is Access.NARROWED:
        indexed = shape._replace(conditions=conditions_of_one_index(shape.conditions))
        phrase = (INDEXED_KEYWORD, PHRASE) in shape.conditions
        narrow = is_narrow(dialect, clauses(dialect, indexed, Access.FEWEST), phrase=phrase)
        # Of these only the one whose condition holds is begun.
        parts = [(matches(Access.FEWEST), narrow), (matches(Access.SORTED), ~narrow)]
        found: sa.FromClause = sa.union_all(*(sa.select(part.subquery()).where(holds) for part, holds in parts)).subquery("found")
    else:
        found = matches(Access.SORTED).subquery("found")
    query = sa.select(*found.c, *_beyond_cursors(dialect, shape))
    return limited(query.order_by(*order.sorting(found, backward=shape.backward)), page_limit())


def _walked(dialect: Dialect, shape: Shape, names: Sequence[str], rows: int) -> sa.Select[Any]:
    """Look at so many rows in the order of the page, and take of them those that meet all conditions."""
    order = order_of(shape.order)
    parts = [part for part in shape.conditions if part[0] not in INDEXED]
    bounds = [part for part in parts if dialect.is_walked(*part, order.keys)]
    others = shape._replace(conditions=tuple(part for part in parts if part not in bounds))
    walk = sa.select(*VISITS.c).where(*clauses(dialect, shape._replace(conditions=tuple(bounds)), Access.WALK))
    walk = walk.where(*_bounds(shape, order, VISITS)).order_by(*order.sorting(VISITS, backward=shape.backward))
    found = limited(walk, sa.literal_column(str(rows))).subquery("found")
    conditions = [of_table(found, condition) for condition in clauses(dialect, others, Access.WALK)]
    query = sa.select(*(found.c[name] for name in names), *_beyond_cursors(dialect, shape)).where(*conditions)
    return limited(query.order_by(*order.sorting(found, backward=shape.backward)), page_limit())


def _covered(dialect: Dialect, shape: Shape, names: Sequence[str]) -> sa.Select[Any]:
    """Walk along an index that also holds other conditions, and look up only what meets these."""
    order, found = order_of(shape.order), VISITS.alias("found")
    indexed = covered_conditions(shape.conditions, shape.order)
    others = tuple(part for part in shape.conditions if part not in indexed)
    walk = sa.select(VISITS.c.id, VISITS.c.date_time).where(*_clauses_of(dialect, shape, indexed), *_bounds(shape, order, VISITS))
    walked = walk.order_by(*order.sorting(VISITS, backward=shape.backward)).offset(_ZERO).subquery("walked")
    conditions = [of_table(found, condition) for condition in _clauses_of(dialect, shape, others)]
    query = sa.select(*(found.c[name] for name in names), *_beyond_cursors(dialect, shape))
    query = query.select_from(walked.join(found, found.c.id == walked.c.id)).where(*conditions)
    return limited(query.order_by(*order.sorting(walked, backward=shape.backward)), page_limit())


def _clauses_of(dialect: Dialect, shape: Shape, conditions: ConditionShape) -> list[sa.ColumnElement[bool]]:
    return clauses(dialect, shape._replace(conditions=conditions), Access.FEWEST)


def _merged(dialect: Dialect, shape: Shape, names: Sequence[str], path: AccessPath) -> sa.Select[Any]:
    """Take the first of each of a few lists, of which all have an index in this order, and of these the first."""
    condition = path.mergeable or ""
    lists = dialect.numbered(condition, "lists")
    others = shape._replace(conditions=tuple(part for part in shape.conditions if part[0] != condition))
    numbers = sa.select(VISITS.c.number).where(LISTS[condition] == lists.c.value)
    if path.rows is not None:
        numbers = numbers.where(_among_first(dialect, others, condition, path.rows))
    numbers = _limited(dialect, others, numbers, Access.IN_ORDER).correlate(lists)
    join, found = dialect.joined(lists, numbers, VISITS, outer=False)
    query = sa.select(*(found.c[name] for name in names), *_beyond_cursors(dialect, shape)).select_from(join)
    return limited(query.order_by(*order_of(shape.order).sorting(found, backward=shape.backward)), page_limit())


def _among_first(dialect: Dialect, shape: Shape, condition: str, rows: int) -> sa.ColumnElement[bool]:
    """Hold for what comes no later than the earliest instant at which one of the lists has had its share of so many rows.

    Up to there all lists are walked alike, so that of what they have in common the first are the first of all.
    """
    order, lists, walked = order_of(shape.order), dialect.numbered(condition, "shares"), VISITS.alias("walked")
    column, descends = order.keys[0][0], order.keys[0][1] != shape.backward
    indexed = shape._replace(conditions=conditions_in_index_of(condition, shape.conditions))
    number = sa.select(sa.func.count()).select_from(dialect.numbered(condition, "counted")).scalar_subquery()
    conditions = [*clauses(dialect, indexed, Access.FEWEST), *_bounds(shape, order, VISITS), LISTS[condition] == lists.c.value]
    last = sa.select(walked.c[column]).where(*(of_table(walked, part) for part in conditions))
    last = last.order_by(*order.sorting(walked, backward=shape.backward)).correlate(lists)
    last = last.limit(_ONE).offset(sa.literal_column(str(rows), sa.Integer()) // number)
    nearest, farthest = (sa.func.max, sa.func.min) if descends else (sa.func.min, sa.func.max)
    edge = sa.select(nearest(last.scalar_subquery())).select_from(lists).scalar_subquery()
    end = sa.func.coalesce(edge, sa.select(farthest(walked.c[column])).scalar_subquery())
    return VISITS.c[column] >= end if descends else VISITS.c[column] <= end


def _of_parents_along(dialect: Dialect, path: AccessPath, shape: Shape, names: Sequence[str]) -> Statement:
    select = _of_parents_by_keyword if path.access is Access.SCAN else _of_parents
    return compiled(dialect, select(dialect, shape, names))


def _of_parents(dialect: Dialect, shape: Shape, names: Sequence[str]) -> sa.Select[Any]:
    parents = parents_of(dialect)
    numbers = sa.select(VISITS.c.number).where(VISITS.c[shape.parent or ""] == parents.c.value)
    numbers = _limited(dialect, shape, numbers, Access.IN_ORDER).correlate(parents)
    join, found = dialect.joined(parents, numbers, VISITS, outer=True)
    columns = [parents.c.value, *(found.c[name] for name in names), *_beyond_cursors(dialect, shape, parents)]
    query = sa.select(*columns).select_from(join)
    return query.order_by(parents.c.key, *order_of(shape.order).sorting(found, backward=shape.backward))


def _of_parents_by_keyword(dialect: Dialect, shape: Shape, names: Sequence[str]) -> sa.Select[Any]:
    """Rank what the index of keywords finds within each parent: one look at each, however many parents there are."""
    parents, found, order = parents_of(dialect), VISITS.alias("found"), order_of(shape.order)
    parent = VISITS.c[shape.parent or ""].label("parent")
    keys = [VISITS.c[name] for name, _ in order.keys]
    matches = matches_of_parents(dialect, shape, [VISITS.c.number, parent, *keys]).cte("matches")
    sorting = order.sorting(matches, backward=shape.backward)
    position = sa.func.row_number().over(partition_by=matches.c.parent, order_by=sorting).label("position")
    ranked = sa.select(matches.c.number, matches.c.parent, position).where(*_bounds(shape, order, matches)).subquery("ranked")
    first = sa.select(ranked.c.number, ranked.c.parent).where(ranked.c.position <= page_limit()).subquery("first")
    joined = parents.outerjoin(first, first.c.parent == parents.c.value).outerjoin(found, found.c.number == first.c.number)
    columns: list[sa.ColumnElement[Any]] = [parents.c.value, *(found.c[name] for name in names)]
    if shape.after or shape.before:
        beyond = sa.select(matches.c.parent, *_any_beyond(shape, order, matches)).group_by(matches.c.parent).subquery("beyond")
        joined = joined.outerjoin(beyond, beyond.c.parent == parents.c.value)
        columns += [
            sa.func.coalesce(beyond.c[f"beyond_{argument}"], _ZERO) for argument, _ in cursors_of(shape.after, shape.before)
        ]
    query = sa.select(*columns).select_from(joined)
    return query.order_by(parents.c.key, *order.sorting(found, backward=shape.backward))


def _limited(dialect: Dialect, shape: Shape, query: sa.Select[Any], access: Access) -> sa.Select[Any]:
    order = order_of(shape.order)
    query = query.where(*clauses(dialect, shape, access), *_bounds(shape, order, VISITS))
    return limited(query.order_by(*order.sorting(VISITS, backward=shape.backward)), page_limit())


def _bounds(shape: Shape, order: Order, table: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    return [order.beyond(table, argument, backward=not backward) for argument, backward in cursors_of(shape.after, shape.before)]


def _any_beyond(shape: Shape, order: Order, table: sa.FromClause) -> Iterator[sa.ColumnElement[int]]:
    for argument, backward in cursors_of(shape.after, shape.before):
        is_beyond = order.beyond(table, argument, backward=backward, inclusive=True)
        yield sa.func.max(sa.case((is_beyond, _ONE), else_=_ZERO)).label(f"beyond_{argument}")


def _beyond_cursors(
    dialect: Dialect, shape: Shape, parents: sa.FromClause | None = None, access: Access = Access.IN_ORDER
) -> list[sa.ColumnElement[bool]]:
    """Select whether rows stand before the page that `after` begins, and behind the one that `before` ends."""
    order = order_of(shape.order)
    columns: list[sa.ColumnElement[bool]] = []
    for argument, backward in cursors_of(shape.after, shape.before):
        wider = implied_by_cursor(order.keys, backward=backward)
        conditions = clauses(dialect, shape, access, along=order.keys[0][0], wider=wider)
        query: sa.Select[Any] = sa.select(_ONE).select_from(VISITS).where(*conditions)
        query = query.where(order.beyond(VISITS, argument, backward=backward, inclusive=True))
        if parents is not None and shape.parent is not None:
            query = query.where(VISITS.c[shape.parent] == parents.c.value).correlate(parents)
        if access in SCANS:
            exists: sa.ColumnElement[bool] = dialect.scanning(query, VISITS).exists()
        else:
            # In this order the row of the cursor itself, which is there as a rule, is the first to be looked at. A planner that
            # is only asked whether one exists takes no notice of an order.
            nearest = limited(query.order_by(*order.sorting(VISITS, backward=backward)), _ONE)
            exists = nearest.scalar_subquery().is_not(None)
        columns.append(exists.label(f"beyond_{argument}"))
    return columns
