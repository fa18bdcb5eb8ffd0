"""Lists of care enquiries, locations, users and contacts as SQL: a page, and one for each of many parents."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.models import CareEnquiry, Location, ServiceUserContact, User
from storage.queries.dialect import Access, AccessPath, ConditionShape, Dialect, OrderShape
from storage.queries.paging import Order, cursors_of, limited, only_row_at, page_limit
from storage.queries.people_filters import PARENT, SCOPE, clause, is_own_location, of_location, sighted
from storage.queries.people_search import INDEXED_SEARCH
from storage.queries.references import TABLES, Kind, columns_of
from storage.queries.statements import Statement, compiled, with_fallbacks
from storage.records import record_of, shown_columns

SHAPES = 256

# What cursors of each list begin with, so that none is taken for one of another.
CURSOR_CODES: dict[Kind, str] = {"care_enquiry": "e", "location": "l", "user": "u", "service_user_contact": "s"}
MODELS: dict[Kind, Any] = {
    "care_enquiry": CareEnquiry,
    "location": Location,
    "user": User,
    "service_user_contact": ServiceUserContact,
}

_ONE: sa.ColumnElement[int] = sa.literal_column("1")


class Shape(NamedTuple):
    """All that the SQL of a list depends on. `nested`: each of the list `parents` has a page of its own."""

    kind: Kind
    conditions: ConditionShape
    order: OrderShape = ()
    backward: bool = False
    after: bool = False
    before: bool = False
    nested: bool = False


class Listing(NamedTuple):
    """How a list is read: what each row begins with, of this width, makes a record; what follows is about the whole list."""

    statement: Statement
    record: Callable[[Iterable[Any]], Any]
    width: int
    order: Order


@cache
def record(kind: Kind) -> Callable[[Iterable[Any]], Any]:
    """Return the class of records in a list: with the folded name, which cursors need."""
    names = shown_columns(TABLES[kind])
    return record_of(MODELS[kind], [*names, "name_folded"] if "name_folded" in TABLES[kind].c else names)


@lru_cache(SHAPES)
def order_of(kind: Kind, keys: OrderShape) -> Order:
    """Return the order by canonical keys."""
    columns: Sequence[str] = record(kind).columns  # type: ignore[attr-defined]  # the class has its columns
    return Order(keys, columns, CURSOR_CODES[kind])


@lru_cache(SHAPES)
def page(dialect: Dialect, shape: Shape) -> Listing:
    """Select a page and one row more; where cursors bound it, also whether there are rows beyond them.

    Nested: for each value of the list `parents`, that value and then the same, or nulls where its page is empty.
    """
    record_class, order = record(shape.kind), order_of(shape.kind, shape.order)
    columns: Sequence[str] = record_class.columns  # type: ignore[attr-defined]  # the class has its columns
    if shape.nested:
        statement = compiled(dialect, _nested(dialect, shape))
    else:
        statement = with_fallbacks(_paths(dialect, shape), lambda path: compiled(dialect, _along(dialect, shape, path)))
    return Listing(statement, record_class, len(columns), order)


@lru_cache(SHAPES)
def row_at(dialect: Dialect, shape: Shape) -> Listing:
    """Select one row: that at the parameter `position`, counted from 0, of the first `reach` rows."""
    record_class, order = record(shape.kind), order_of(shape.kind, shape.order)
    columns: Sequence[str] = record_class.columns  # type: ignore[attr-defined]  # the class has its columns

    def along(path: AccessPath) -> Statement:
        return compiled(dialect, only_row_at(_along(dialect, shape, path)))

    return Listing(with_fallbacks(_paths(dialect, shape), along), record_class, len(columns), order)


@lru_cache(SHAPES)
def beyond_cursors(dialect: Dialect, shape: Shape) -> Statement:
    """Select what `page` has besides its rows, for when it has none."""
    return compiled(dialect, sa.select(*_beyond_cursors(dialect, shape)))


@lru_cache(SHAPES)
def count(dialect: Dialect, shape: Shape) -> Statement:
    """Select how many there are; nested: for each value of the list `parents`, that value and how many."""
    if shape.nested:
        parents = dialect.numbered("parents", "parents")
        number = _number(dialect, shape).where(parents.c.value == PARENT).correlate(parents).scalar_subquery()
        return compiled(dialect, sa.select(parents.c.value, number).select_from(parents))
    if _merged_by(shape) != SCOPE or (INDEXED_SEARCH, "") in shape.conditions:
        return compiled(dialect, _number(dialect, shape))
    # Each of the two along an index; together, all enquiries would be looked at.
    others = _without(shape, SCOPE)
    own = _number(dialect, others).where(is_own_location(dialect))
    further = _number(dialect, others).where(sighted(dialect))
    return compiled(dialect, sa.select(own.scalar_subquery() + further.scalar_subquery()))


def _number(dialect: Dialect, shape: Shape) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(TABLES[shape.kind]).where(*_clauses(dialect, shape))


def _paths(dialect: Dialect, shape: Shape) -> Sequence[AccessPath]:
    condition = _merged_by(shape)
    walk = AccessPath(Access.MERGED, mergeable=condition) if condition else AccessPath(Access.IN_ORDER)
    return dialect.search_paths(walk, shape.order) if (INDEXED_SEARCH, "") in shape.conditions else [walk]


def _merged_by(shape: Shape) -> str | None:
    """Return the condition on locations, each of which has its enquiries in any order along an index of its own."""
    names = dict(shape.conditions)
    if shape.kind != "care_enquiry" or "ids" in names or names.get("assigned_to") == "one":
        return None
    return SCOPE if SCOPE in names else "location" if names.get("location") == "any" else None


def _without(shape: Shape, condition: str) -> Shape:
    return shape._replace(conditions=tuple(part for part in shape.conditions if part[0] != condition))


def _clauses(dialect: Dialect, shape: Shape, access: Access = Access.SCAN) -> list[sa.ColumnElement[bool]]:
    parts = [part for part in shape.conditions if access is Access.SCAN or part[0] != INDEXED_SEARCH]
    return [clause(dialect, shape.kind, name, form) for name, form in parts]


def _columns(shape: Shape, found: sa.FromClause | None = None) -> list[sa.ColumnElement[Any]]:
    table = TABLES[shape.kind]
    columns = [*columns_of(shape.kind), *([table.c.name_folded] if "name_folded" in table.c else [])]
    return columns if found is None else [found.c[column.name] for column in columns]


def _along(dialect: Dialect, shape: Shape, path: AccessPath) -> sa.Select[Any]:
    beyond = _beyond_cursors(dialect, shape, path.access)
    query = sa.select(*_columns(shape), *beyond)
    if path.access is not Access.MERGED:
        return _limited(dialect, shape, query, path.access)
    # Of each of a few lists, all in this order along an index, the first; and of these the first.
    table, order = TABLES[shape.kind], order_of(shape.kind, shape.order)
    query = query.where(table.c.id.in_(sa.union_all(*_first_of_each(dialect, shape, path.mergeable or ""))))
    return limited(query.order_by(*order.sorting(table, backward=shape.backward)), page_limit())


def _first_of_each(dialect: Dialect, shape: Shape, condition: str) -> Iterator[sa.Select[Any]]:
    others, lists = _without(shape, condition), dialect.numbered(condition, "lists")
    table = TABLES[shape.kind]
    further = sa.select(table.c.id).where(sighted(dialect))
    ids = _limited(dialect, others, sa.select(table.c.id).where(of_location(lists.c.value))).correlate(lists)
    join, first = dialect.joined(lists, ids, table, outer=False, key="id")
    yield sa.select(first.c.id).select_from(join)
    if condition == SCOPE:
        yield sa.select(_limited(dialect, others, further).subquery("further").c.id)


def _nested(dialect: Dialect, shape: Shape) -> sa.Select[Any]:
    parents, table = dialect.numbered("parents", "parents"), TABLES[shape.kind]
    order = order_of(shape.kind, shape.order)
    ids = _limited(dialect, shape, sa.select(table.c.id).where(parents.c.value == PARENT)).correlate(parents)
    beyond = _beyond_cursors(dialect, shape, parents=parents)
    join, found = dialect.joined(parents, ids, table, outer=True, key="id")
    query = sa.select(parents.c.value, *_columns(shape, found), *beyond).select_from(join)
    return query.order_by(parents.c.key, *order.sorting(found, backward=shape.backward))


def _limited(dialect: Dialect, shape: Shape, query: sa.Select[Any], access: Access = Access.IN_ORDER) -> sa.Select[Any]:
    table, order = TABLES[shape.kind], order_of(shape.kind, shape.order)
    bounds = [
        order.beyond(table, argument, backward=not backward) for argument, backward in cursors_of(shape.after, shape.before)
    ]
    query = query.where(*_clauses(dialect, shape, access), *bounds)
    return limited(query.order_by(*order.sorting(table, backward=shape.backward)), page_limit())


def _beyond_cursors(
    dialect: Dialect, shape: Shape, access: Access = Access.IN_ORDER, parents: sa.FromClause | None = None
) -> list[sa.ColumnElement[bool]]:
    """Select whether there are rows before the page that `after` begins, and behind the one that `before` ends."""
    own, order = TABLES[shape.kind], order_of(shape.kind, shape.order)
    columns: list[sa.ColumnElement[bool]] = []
    for argument, backward in cursors_of(shape.after, shape.before):
        query = sa.select(_ONE).select_from(own).where(*_clauses(dialect, shape, access))
        query = query.where(order.beyond(own, argument, backward=backward, inclusive=True))
        if parents is not None:
            query = query.where(parents.c.value == PARENT).correlate(parents)
        # In this order the row of the cursor itself, which is there as a rule, is the first to be looked at.
        nearest = limited(query.order_by(*order.sorting(own, backward=backward)), _ONE)
        columns.append(nearest.scalar_subquery().is_not(None).label(f"beyond_{argument}"))
    return columns
