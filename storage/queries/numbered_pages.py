"""Pages by their numbers as SQL: the row before a page is found by passing over all others; then it is a page like any."""

from functools import lru_cache

from storage.queries.conditions import BOUNDS, TEXTS
from storage.queries.dialect import Access, AccessPath, ConditionShape, Dialect, OrderShape
from storage.queries.listing import SHAPES, Listing, Shape, listing_of, names_of, rows_along
from storage.queries.paging import only_row_at
from storage.queries.statements import Statement, compiled, with_fallbacks

# Rows that are passed over on the way to a page by its number: more where all that a walk passes is in the list, as nothing is
# sorted then. Walks to them are so many times as long as those that fill a page.
FURTHEST_ROW, FURTHEST_IN_ORDER = 10_000, 100_000
DEEPER, DEEPER_IN_ORDER = 6, 80


@lru_cache(SHAPES)
def row_at(dialect: Dialect, shape: Shape) -> Listing:
    """Select of one row what cursors have: that at the parameter `position`, counted from 0, of the first `reach` rows."""
    names = names_of(frozenset(), shape.order)
    times = DEEPER_IN_ORDER if _leads_along(shape.conditions, shape.order) else DEEPER
    paths = [_deeper(path, times) for path in dialect.page_paths(shape.conditions, shape.order)]

    def along(path: AccessPath) -> Statement:
        return compiled(dialect, only_row_at(rows_along(dialect, path, shape, names)))

    return listing_of(with_fallbacks(paths, along), shape, names)


def furthest_row(conditions: ConditionShape, order: OrderShape) -> int:
    """Return up to which row pages of a list are numbered."""
    return FURTHEST_IN_ORDER if _leads_along(conditions, order) else FURTHEST_ROW


def _leads_along(conditions: ConditionShape, order: OrderShape) -> bool:
    """Tell whether rows in this order lie side by side, or all that a walk passes meet the conditions."""
    along = order[0][0]
    if along == "id":
        # A text is sought in all notes that are passed.
        return not any(name in TEXTS for name, _ in conditions)
    return all(name in BOUNDS and BOUNDS[name][0].name == along for name, _ in conditions)


def _deeper(path: AccessPath, times: int) -> AccessPath:
    """Return a walk that goes on for longer: to sort all rows would take more than to pass over the first of them."""
    if path.access not in (Access.IN_ORDER, Access.WALK):
        return path
    return path._replace(max_steps=path.max_steps and times * path.max_steps, rows=path.rows and times * path.rows)
