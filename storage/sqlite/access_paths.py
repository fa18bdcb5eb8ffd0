"""Which path to a list is short whatever the number of visits: judged by the shape of its conditions, not by what is stored.

Nobody counts the visits for SQLite: it plans alike on every database, and the tests see what it plans.
"""

from storage.queries.dialect import Access, AccessPath, ConditionShape, OrderShape
from storage.queries.search import INDEXED_KEYWORD
from storage.queries.selectivity import is_selective, mergeable

# Instructions of SQLite's machine: some 2,500 rows found by an index, each at another place of the file, in five milliseconds.
SHORT_STEPS = 20_000
SHORT_WALK, LONG_WALK = SHORT_STEPS // 2, 5 * SHORT_STEPS

# Conditions that one index holds, so that it can count by itself.
COUNTED = [
    {"location", "scope", "start", "end"},
    {"assigned_to", "start", "end"},
    {"modified_after", "modified_before"},
]

# A frequent keyword is met at once, a rare one is looked up at once; for those between a longer walk is shorter.
WALK_OR_LOOK_UP = [AccessPath(Access.IN_ORDER, SHORT_WALK), AccessPath(Access.SCAN, SHORT_STEPS)]
LONGER_WALK_OR_LOOK_UP = [AccessPath(Access.IN_ORDER, LONG_WALK), AccessPath(Access.SCAN)]


def page_paths(conditions: ConditionShape, order: OrderShape) -> list[AccessPath]:
    condition = mergeable(conditions, order)
    merged = [AccessPath(Access.MERGED, LONG_WALK // 2, condition)] if condition else []
    if _has_indexed_keyword(conditions):
        return [*WALK_OR_LOOK_UP, *merged, *LONGER_WALK_OR_LOOK_UP]
    if merged:
        return merged
    if _page_may_take_long(conditions):
        return [AccessPath(Access.IN_ORDER, SHORT_STEPS), AccessPath(Access.SCAN)]
    return [AccessPath(Access.IN_ORDER)]


def nested_paths(conditions: ConditionShape) -> list[AccessPath]:
    if _has_indexed_keyword(conditions):
        return [*WALK_OR_LOOK_UP, *LONGER_WALK_OR_LOOK_UP]
    return [AccessPath(Access.IN_ORDER)]


def count_paths(conditions: ConditionShape) -> list[AccessPath]:
    names = {name for name, _ in conditions}
    if not _page_may_take_long(conditions) or any(names <= index for index in COUNTED):
        return [AccessPath(Access.FEWEST)]
    return [AccessPath(Access.FEWEST, SHORT_STEPS), AccessPath(Access.SCAN)]


def _page_may_take_long(conditions: ConditionShape) -> bool:
    """Tell whether so few may meet the conditions that most visits are looked at before a page is full."""
    return bool(conditions) and (_has_indexed_keyword(conditions) or not is_selective(conditions))


def _has_indexed_keyword(conditions: ConditionShape) -> bool:
    return (INDEXED_KEYWORD, "") in conditions
