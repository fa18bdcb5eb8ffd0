"""Which way to a list is short whatever the number of visits: judged by the shape of what is asked, not by what is kept.

Nobody counts the visits for SQLite: it chooses alike on every database, and the tests see what it chooses.
"""

from typing import Any

from storage.queries.conditions import BROAD

Parts = tuple[tuple[str, Any], ...]

# Conditions that one index holds, so that it can count by itself.
COUNTED = [
    {"location", "scope", "start", "end"},
    {"assigned_to", "start", "end"},
    {"modified_after", "modified_before"},
]


def few(conditions: Parts, order: Parts) -> str | None:
    """Return the name of the condition whose few values have a list each, in the order asked for, of which one can be merged."""
    if not order or order[0][0] != "date_time" or _is_narrow(conditions):
        return None
    return next((name for name, form in conditions if form == "few"), None)


def page_may_take_long(conditions: Parts) -> bool:
    """Tell whether so few may meet the conditions that most visits are looked at before a page is full."""
    return bool(conditions) and (has_keyword(conditions) or not _is_narrow(conditions))


def count_may_take_long(conditions: Parts) -> bool:
    names = {name for name, _ in conditions}
    return page_may_take_long(conditions) and not any(names <= index for index in COUNTED)


def has_keyword(conditions: Parts) -> bool:
    return ("trigrams", "") in conditions


def _is_narrow(conditions: Parts) -> bool:
    """Tell whether a condition leaves only the visits of one location, one user, or fewer."""
    return any(
        name in ("ids", "care_enquiry", "service_user_contact") or (name in BROAD and form == "one") for name, form in conditions
    )
