"""Which path to a page is short whatever the number of visits.

PostgreSQL's planner takes columns for independent of each other. They are not: who was booked first comes first. So it would walk
along an index through a million rows to fill a page that it expects to fill at once. A walk is bounded here, in rows.
"""

from storage.queries.conditions import FAILED
from storage.queries.dialect import Access, AccessPath, ConditionShape, OrderShape
from storage.queries.search import INDEXED_KEYWORD
from storage.queries.selectivity import conditions_of_one_index, covered_conditions, has_indexed_text, is_selective, mergeable

# Some five milliseconds, each row at another place of the table.
WALK = AccessPath(Access.WALK, rows=5_000)
SORTED, IN_ORDER = AccessPath(Access.SORTED), AccessPath(Access.IN_ORDER)
# Of a keyword: the trigrams of a frequent one are longer looked up than this takes.
LONGER_WALK = AccessPath(Access.WALK, rows=25_000, is_longer=True)
# Of a few lists in the first rows of all there are too few: most of the walk goes along each of them.
SHORT_WALK = AccessPath(Access.WALK, rows=1_000)
MERGED_WALKS = [AccessPath(Access.MERGED, rows=4_000), AccessPath(Access.MERGED, rows=20_000, is_longer=True)]
# Conditions on the column of an order, and on what comes before it in an index: a walk sees only rows that meet them.
BOUNDS = {
    "date_time": {"start", "end"},
    "modified": {"modified_after", "modified_before"},
    "created": {"created_after", "created_before"},
}
# The one value that has an index of its own, in the order of time.
UNCONFIRMED = ("confirmation", FAILED)
OWNERS = frozenset({"location", "scope", "assigned_to", "care_enquiry", "service_user_contact"})


def page_paths(conditions: ConditionShape, order: OrderShape) -> list[AccessPath]:
    along = order[0][0] if order else "id"
    condition = mergeable(conditions, order)
    if has_indexed_text(conditions):
        return _text_paths(conditions, order, condition)
    if condition:
        return [AccessPath(Access.MERGED, mergeable=condition)]
    if all(is_walked(name, form, along) for name, form in conditions):
        return [IN_ORDER]
    if not is_selective(conditions):
        return [WALK, SORTED]
    if along != "date_time":
        return [SORTED]
    # Where the user is seldom at these locations.
    return [SHORT_WALK, AccessPath(Access.COVERED)] if covered_conditions(conditions, order) else [IN_ORDER]


def _text_paths(conditions: ConditionShape, order: OrderShape, condition: str | None) -> list[AccessPath]:
    has_keyword = any(name == INDEXED_KEYWORD for name, _ in conditions)
    last = AccessPath(Access.NARROWED) if has_keyword and conditions_of_one_index(conditions) else SORTED
    walks, merged = ([WALK, LONGER_WALK], MERGED_WALKS) if has_keyword else ([WALK], MERGED_WALKS[:1])
    if condition:
        return [SHORT_WALK, *(walk._replace(mergeable=condition) for walk in merged), last]
    is_sorted = is_selective(conditions) and (not order or order[0][0] != "date_time")
    return [last] if is_sorted else [*walks, last]


def event_paths(leads: ConditionShape) -> list[AccessPath]:
    """Walk along the index that has all that is looked at: a million of its entries are walked in time."""
    if not leads:
        return [IN_ORDER]
    (name, form), *_ = leads
    merged = AccessPath(Access.MERGED, mergeable=name)
    # Of so many values, or of times, the next events often are.
    return [WALK, merged] if form in ("any", "") else [merged]


def is_walked(name: str, form: str, along: str) -> bool:
    """Tell whether a walk in the order of this column sees only rows that meet the condition."""
    if along == "date_time" and ((name in OWNERS and form == "one") or (name, form) == UNCONFIRMED):
        return True
    return name in BOUNDS.get(along, ())
