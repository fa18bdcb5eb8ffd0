"""What the conditions of a list leave of it, judged by their shape: the same for every database, whatever is stored."""

from storage.models import HomeVisitStatus
from storage.queries.conditions import BROAD, INDEXED
from storage.queries.dialect import ConditionShape, OrderShape

# Conditions that one index holds, so that what meets them is counted by it alone. Of each location's there is one of the pending.
_TIMES = frozenset({"start", "end"})
_OWNED = frozenset({"location", "scope"})
_INDEXED_TOGETHER = (
    _OWNED | _TIMES,
    _TIMES | {"assigned_to"},
    frozenset({"modified_after", "modified_before"}),
    frozenset({"created_after", "created_before"}),
)
_PENDING = ("status", HomeVisitStatus.PENDING.value)
_NARROW = frozenset({"ids", "care_enquiry", "service_user_contact"})


def is_selective(conditions: ConditionShape) -> bool:
    """Tell whether a condition leaves only the visits of one location, one user, or fewer."""
    return any(name in _NARROW or (name in BROAD and form == "one") for name, form in conditions)


def mergeable(conditions: ConditionShape, order: OrderShape) -> str | None:
    """Return the name of the condition whose few values have a list each in the order of the page, so that they can be merged."""
    if not order or order[0][0] != "date_time" or is_selective(conditions):
        return None
    return next((name for name, form in conditions if form == "few"), None)


def conditions_of_one_index(conditions: ConditionShape) -> ConditionShape:
    """Return those of the conditions that one index holds, as many as any does."""
    indexed = max((tuple(part for part in conditions if part[0] in names) for names in _INDEXED_TOGETHER), key=len)
    is_owned = any(name in _OWNED for name, _ in indexed)
    return (*indexed, _PENDING) if is_owned and _PENDING in conditions else indexed


def conditions_in_index_of(condition: str, conditions: ConditionShape) -> ConditionShape:
    """Return those of the other conditions that the index holds in which each value of this one has its list."""
    names = _TIMES | (_OWNED if condition in _OWNED else set())
    is_pending = condition in _OWNED and _PENDING in conditions
    indexed = tuple(part for part in conditions if part[0] in names and part[0] != condition)
    return (*indexed, _PENDING) if is_pending else indexed


def covered_conditions(conditions: ConditionShape, order: OrderShape) -> ConditionShape:
    """Return the conditions that the index of a user's visits holds, where it has the order and their locations are several."""
    is_one_user = ("assigned_to", "one") in conditions and {name for name, _ in order} <= {"date_time", "id"}
    is_at_several = any(name in _OWNED and form != "one" for name, form in conditions)
    is_covered = is_one_user and is_at_several and order[0][0] == "date_time"
    return tuple(part for part in conditions if part[0] in {"assigned_to", *_OWNED, *_TIMES}) if is_covered else ()


def has_indexed_text(conditions: ConditionShape) -> bool:
    return any(name in INDEXED for name, _ in conditions)
