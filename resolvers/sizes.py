"""How many objects lists without pages count as in the price of an answer: what the context and their arguments say."""

from collections.abc import Mapping
from datetime import date, datetime
from math import prod
from typing import Any, Final

from schema.context import Context
from schema.enums import HomeVisitStatus, VisitHost, VisitType
from schema.execution.cost import SizeOfList
from storage.counting import LARGEST_COUNT, MOST_GROUPINGS
from storage.queries.conflicts import MOST_CONFLICTS

# Where the filter names none, as a list without a page size counts as a page of the default size.
LOCATIONS, USERS, DAYS = 50, 50, 366


def _locations_of_viewer(context: Context, _arguments: Mapping[str, Any]) -> int:
    """Return how many locations `viewer` shows: none where the caller may see all."""
    return len(context.caller.locations or ())


def _conflicts(_context: Context, _arguments: Mapping[str, Any]) -> int:
    return MOST_CONFLICTS


def _groups(context: Context, arguments: Mapping[str, Any]) -> int:
    """Return how many groups the arguments leave room for, whether they have been coerced or not."""
    filter, group_by = arguments.get("filter"), arguments.get("groupBy")
    filter = filter if isinstance(filter, dict) else {}
    listed = group_by if isinstance(group_by, list) else [group_by]
    names = list(dict.fromkeys(name for name in listed if isinstance(name, str)))
    sizes = {
        "STATUS": len(HomeVisitStatus),
        "HOST": len(VisitHost),
        "VISIT_TYPE": len(VisitType),
        "DAY": _days(filter),
        "LOCATION": _length(filter.get("location"), len(context.caller.locations or ()) or LOCATIONS),
        "ASSIGNED_TO": _length(filter.get("assignedTo"), USERS),
    }
    # What names more is refused.
    return min(LARGEST_COUNT, prod(sizes.get(name, 1) for name in names[:MOST_GROUPINGS]))


def _length(values: Any, otherwise: int) -> int:
    if values is None:
        return otherwise
    return len(values) if isinstance(values, list) else 1


def _days(filter: Mapping[str, Any]) -> int:
    first = _day(filter.get("startDate")) or _day(filter.get("dateTimeFrom"))
    last = _day(filter.get("endDate")) or _day(filter.get("dateTimeBefore"))
    # An instant may be of the day beside the one that it shows.
    return max(0, (last - first).days) + 2 if first and last else DAYS


def _day(value: Any) -> date | None:
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    try:
        return date.fromisoformat(value.strip()[:10])
    except (AttributeError, ValueError):
        return None


SIZES_OF_LISTS: Final[dict[str, SizeOfList]] = {
    "Viewer.locations": _locations_of_viewer,
    "Query.homeVisitCounts": _groups,
    "Query.homeVisitConflicts": _conflicts,
    "BookHomeVisitSuccess.conflicts": _conflicts,
    "UpdateHomeVisitSuccess.conflicts": _conflicts,
}
