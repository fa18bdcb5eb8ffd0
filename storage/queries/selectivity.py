"""What the conditions of a list leave of it, judged by their shape: the same for every database, whatever is stored."""

from storage.queries.conditions import BROAD, INDEXED
from storage.queries.dialect import ConditionShape, OrderShape

_NARROW = frozenset({"ids", "care_enquiry", "service_user_contact"})


def is_selective(conditions: ConditionShape) -> bool:
    """Tell whether a condition leaves only the visits of one location, one user, or fewer."""
    return any(name in _NARROW or (name in BROAD and form == "one") for name, form in conditions)


def mergeable(conditions: ConditionShape, order: OrderShape) -> str | None:
    """Return the name of the condition whose few values have a list each in the order of the page, so that they can be merged."""
    if not order or order[0][0] != "date_time" or is_selective(conditions):
        return None
    return next((name for name, form in conditions if form == "few"), None)


def has_indexed_text(conditions: ConditionShape) -> bool:
    return any(name in INDEXED for name, _ in conditions)
