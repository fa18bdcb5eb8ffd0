"""Which path to a list is short whatever the number of visits: judged by the shape of its conditions, not by what is stored.

Nobody counts the visits for SQLite: it plans alike on every database, and the tests see what it plans.
"""

from storage.queries.attendees import INDEXED_ATTENDEE
from storage.queries.dialect import Access, AccessPath, ConditionShape, OrderShape
from storage.queries.search import INDEXED_KEYWORD
from storage.queries.selectivity import has_indexed_text, is_selective, mergeable

# Instructions of SQLite's machine: some 2,500 rows found by an index, each at another place of the file, in five milliseconds.
SHORT_STEPS = 20_000
SHORT_WALK, LONG_WALK = SHORT_STEPS // 2, 5 * SHORT_STEPS
# Some 40,000 rows to be grouped: as many take as long to be looked up as a fifth of a million to be looked at.
GROUPING_STEPS = 50 * SHORT_STEPS

# Some 2,000 people looked up, of whom all but a page are left out again.
SEARCH_STEPS = LONG_WALK // 2

# Conditions that one index holds, so that it can count by itself.
COUNTED = [
    {"location", "scope", "start", "end"},
    {"assigned_to", "start", "end"},
    {"modified_after", "modified_before"},
    {"created_after", "created_before"},
]

# Conditions and groupings that one index holds, in whose order visits are grouped by the first, and counted by it alone.
GROUPED = [{*COUNTED[0], "LOCATION", "DAY"}, {*COUNTED[1], "ASSIGNED_TO", "DAY"}]

# A frequent keyword is met at once, a rare one is looked up at once; for those between a longer walk is shorter.
WALK_OR_LOOK_UP = [AccessPath(Access.IN_ORDER, SHORT_WALK), AccessPath(Access.SCAN, SHORT_STEPS)]
LONGER_WALK_OR_LOOK_UP = [AccessPath(Access.IN_ORDER, LONG_WALK), AccessPath(Access.SCAN)]
# Of half of all people, as who has the name of a mail provider in the address, visits are looked at one after the other sooner.
LOOK_UP_OR_SCAN = [AccessPath(Access.SCAN, 5 * GROUPING_STEPS), AccessPath(Access.SCAN_ALL)]


def page_paths(conditions: ConditionShape, order: OrderShape) -> list[AccessPath]:
    condition = mergeable(conditions, order)
    merged = [AccessPath(Access.MERGED, LONG_WALK // 2, condition)] if condition else []
    if has_indexed_text(conditions):
        return [*WALK_OR_LOOK_UP, *merged, LONGER_WALK_OR_LOOK_UP[0], *_last(conditions)]
    if merged:
        return merged
    if _page_may_take_long(conditions):
        # To look at a million takes twenty times as long.
        return [AccessPath(Access.IN_ORDER, LONG_WALK // 2), AccessPath(Access.SCAN)]
    return [AccessPath(Access.IN_ORDER)]


def search_paths(walk: AccessPath, order: OrderShape) -> list[AccessPath]:
    # Who has the same last name stands together: a walk in the order of names meets none of them for long, or all at once, and
    # finds each row at another place of the file.
    longer = LONG_WALK if order and order[0][0] == "id" else SHORT_STEPS
    walks = [walk._replace(max_steps=steps) for steps in (SHORT_WALK, longer)]
    return [walks[0], AccessPath(Access.SCAN, SEARCH_STEPS), walks[1], AccessPath(Access.SCAN)]


def event_paths(leads: ConditionShape) -> list[AccessPath]:
    """Try each index for a while; the first has all that is looked at, and a million of its entries are walked in time."""
    if not leads:
        return [AccessPath(Access.IN_ORDER)]
    paths = [AccessPath(Access.MERGED, LONG_WALK, name) for name, _ in leads]
    if any(form == "any" for _, form in leads) or leads[0][1] == "":
        # Of so many values, or of times, the next events often are.
        paths.insert(0, AccessPath(Access.IN_ORDER, SHORT_STEPS))
    return [*paths[: -1 if len(leads) == 1 else None], paths[-len(leads)]._replace(max_steps=None)]


def nested_paths(conditions: ConditionShape) -> list[AccessPath]:
    if has_indexed_text(conditions):
        return [*WALK_OR_LOOK_UP, *LONGER_WALK_OR_LOOK_UP]
    return [AccessPath(Access.IN_ORDER)]


def count_paths(conditions: ConditionShape) -> list[AccessPath]:
    names = {name for name, _ in conditions}
    if not _page_may_take_long(conditions) or any(names <= index for index in COUNTED):
        return [AccessPath(Access.FEWEST)]
    return [AccessPath(Access.FEWEST, SHORT_STEPS), *_last(conditions)]


def group_paths(conditions: ConditionShape, groupings: frozenset[str]) -> list[AccessPath]:
    names = {name for name, _ in conditions}
    if any(names | groupings <= index for index in GROUPED):
        return [AccessPath(Access.FEWEST)]
    if has_indexed_text(conditions):
        return [AccessPath(Access.FEWEST, SHORT_STEPS), *_last(conditions)]
    return [AccessPath(Access.FEWEST, GROUPING_STEPS), AccessPath(Access.SCAN)]


def _last(conditions: ConditionShape) -> list[AccessPath]:
    """Return the last paths: notes are longer than names, and never all searched."""
    names = {name for name, _ in conditions}
    return LOOK_UP_OR_SCAN if INDEXED_ATTENDEE in names and INDEXED_KEYWORD not in names else [AccessPath(Access.SCAN)]


def _page_may_take_long(conditions: ConditionShape) -> bool:
    """Tell whether so few may meet the conditions that most visits are looked at before a page is full."""
    return bool(conditions) and (has_indexed_text(conditions) or not is_selective(conditions))
