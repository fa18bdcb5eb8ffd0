"""What else a benchmark reads besides lists of visits: counts by groups, conflicts, and the feed of events."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.benchmarks.families import identifier
from tests.benchmarks.questions import HOMES, MONTH

COUNTS = (
    "query Counts($groupBy: [HomeVisitGrouping!]!, $filter: HomeVisitFilter) "
    "{ counted: homeVisitCounts(groupBy: $groupBy, filter: $filter) { count status day location { id } } }"
)
CONFLICTS = (
    "query Conflicts($location: ID!, $dateTime: DateTime!, $host: VisitHost, $assignedTo: ID) { conflicts: "
    "homeVisitConflicts(location: $location, dateTime: $dateTime, host: $host, assignedTo: $assignedTo) { id dateTime host } }"
)
EVENTS = (
    "query Events($filter: HomeVisitEventFilter, $first: Int, $last: Int, $after: String) { events: homeVisitEvents("
    "filter: $filter, first: $first, last: $last, after: $after) "
    "{ edges { cursor node { id type at actor homeVisit { id status } } } pageInfo { endCursor hasNextPage } } }"
)


class Reading(NamedTuple):
    """`counted`: of a filter, whose visits all groups have together. `size`: how many events a page has, where that is known."""

    name: str
    document: str
    variables: dict[str, Any]
    caller: str = "all"
    counted: bool = False
    size: int | None = None


def counts() -> Iterator[Reading]:
    pending = {"status": ["PENDING"]}
    for name, filter, callers in (
        ("in a month", MONTH, ("all", "of 10")),
        ("in a month, pending", MONTH | pending, ("all", "of 10")),
        ("of a home", {"location": [HOMES[3]]}, ("all",)),
        ("of all time", {}, ("of 2", "of 10", "all")),
    ):
        for caller in callers:
            for groups in (["STATUS"], ["DAY"], ["LOCATION"], ["LOCATION", "STATUS"]):
                variables = {"groupBy": groups, "filter": filter}
                yield Reading(f"counts by {' and '.join(groups)} {name}, {caller}", COUNTS, variables, caller, counted=True)


def conflicts() -> Iterator[Reading]:
    for number, home in ((3, HOMES[3]), (7, HOMES[7])):
        variables = {"location": home, "dateTime": "2021-03-10T10:00:00Z"}
        yield Reading(f"conflicts of a host, home {number}", CONFLICTS, variables | {"host": "NURSE"})
        yield Reading(f"conflicts of a user, home {number}", CONFLICTS, variables | {"assignedTo": identifier("a", number)})


def feed(middle: str) -> Iterator[Reading]:
    """Read the feed at its ends and after the cursor `middle`, all of it and by filters."""
    home, imported = {"location": [HOMES[3]]}, {"type": ["IMPORTED"]}
    for caller in ("all", "of 2", "of 10", "of 50"):
        yield Reading(f"the newest events, {caller}", EVENTS, {"last": 20}, caller, size=20)
        yield Reading(f"the oldest events, {caller}", EVENTS, {"first": 20}, caller, size=20)
        yield Reading(f"events from a cursor, {caller}", EVENTS, {"first": 100, "after": middle}, caller, size=100)
    for name, filter, size in (
        ("of a home", home, 20),
        ("of a type", imported, 20),
        ("of a type that never was", {"type": ["CANCELLED"]}, 0),
        ("of an actor", {"actor": ["import"]}, 20),
        ("of an actor who never was", {"actor": ["nobody"]}, 0),
        ("of a home and a type", home | imported, 20),
        ("of a visit", {"homeVisit": [identifier("6", 4711)]}, 1),
        ("since long ago", {"atFrom": "2020-01-01T00:00:00Z"}, 20),
        ("since a day to come", {"atFrom": "2090-01-01T00:00:00Z"}, 0),
    ):
        yield Reading(f"events {name}, newest", EVENTS, {"filter": filter, "last": 20}, size=size)
        yield Reading(f"events {name}, from a cursor", EVENTS, {"filter": filter, "first": 20, "after": middle})
