"""How many visits a list has, as SQL: counted only when it is selected; compiled once for each dialect and shape."""

from functools import lru_cache

import sqlalchemy as sa

from storage.queries import listing, numbered_pages, people
from storage.queries.conditions import VISITS
from storage.queries.dialect import SCANS, Access, AccessPath, Dialect
from storage.queries.listing import SHAPES, Shape, clauses, matches_of_parents, parents_of
from storage.queries.statements import Statement, compiled, with_fallbacks


@lru_cache(SHAPES)
def count(dialect: Dialect, shape: Shape) -> Statement:
    """Select how many visits there are; with a parent: for each value of the list `parents`, that value and how many."""
    if shape.parent is None:
        paths = dialect.count_paths(shape.conditions)
        return with_fallbacks(paths, lambda path: _along(dialect, path, shape))
    return with_fallbacks(dialect.nested_paths(shape.conditions), lambda path: _of_parents_along(dialect, path, shape))


def cached_shapes() -> int:
    """Return how many forms of lists are kept compiled."""
    of_visits = (listing.page, numbered_pages.row_at, listing.beyond_cursors, listing.one, count)
    of_people = (people.page, people.row_at, people.beyond_cursors, people.count)
    return sum(compiler.cache_info().currsize for compiler in (*of_visits, *of_people))


def _along(dialect: Dialect, path: AccessPath, shape: Shape) -> Statement:
    query = _number().where(*clauses(dialect, shape, path.access))
    return compiled(dialect, dialect.scanning(query, VISITS) if path.access in SCANS else query)


def _of_parents_along(dialect: Dialect, path: AccessPath, shape: Shape) -> Statement:
    parents = parents_of(dialect)
    parent = VISITS.c[shape.parent or ""]
    if path.access is Access.SCAN:
        number = sa.func.count().label("number")
        counts = matches_of_parents(dialect, shape, [parent.label("parent"), number]).group_by(parent).subquery("counts")
        joined = parents.outerjoin(counts, counts.c.parent == parents.c.value)
        return compiled(
            dialect, sa.select(parents.c.value, sa.func.coalesce(counts.c.number, sa.literal_column("0"))).select_from(joined)
        )
    visits = _number().where(*clauses(dialect, shape, path.access), parent == parents.c.value)
    return compiled(dialect, sa.select(parents.c.value, visits.correlate(parents).scalar_subquery()).select_from(parents))


def _number() -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(VISITS)
