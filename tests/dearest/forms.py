"""The dearest requests of a booking form, a dashboard and a feed: people by their names, counts by groups, conflicts, events."""

from itertools import permutations
from typing import Any

from tests.dearest.cases import ENQUIRY, LEAVES, PERSON, PLACE, REFERENCES, Case, query, repeated
from tests.dearest.databases import home, visit

EVENT = "cursor node { id sequence at actor type version changes { field before after } }"
ENQUIRIES = [f"3{n:023x}" for n in range(250)]
HOMES = [home(n) for n in range(250)]
SEARCHES = {
    "one letter": "e",
    "two letters": "zq",
    "three letters": "see",
    "a name that stands nowhere": "seeker zqx",
    "digits": "0770090012",
    "signs": "@.",
    "ligatures": "\ufdfa" * 100,
    "marks": ("e" + "\u0301\u0323" * 15) * 3,
}
GROUPINGS = ("DAY", "LOCATION", "ASSIGNED_TO")


def cases() -> list[Case]:
    return [*_people(), *_counts(), *_conflicts(), *_events()]


def _people() -> list[Case]:
    contacts = f"serviceUserContacts(first: 100) {{ totalCount nodes {{ {PERSON} phone }} }}"
    names = "orderBy: [{field: NAME}]"
    everybody = f"careEnquiries(first: 99, {names}) {{ totalCount nodes {{ {ENQUIRY} }} }}"
    cases = [
        Case("7 pages of 99 people by name", *query(repeated(7, everybody))),
        Case("contacts of 95 enquiries", *query(f"careEnquiries(first: 95) {{ nodes {{ {contacts} }} }}")),
        Case("20 lists of locations", *query(repeated(20, f"locations(first: 99) {{ totalCount nodes {{ {PLACE} }} }}"))),
        Case(
            "people with lists of 250",
            *query(
                repeated(20, f"careEnquiries(first: 99, {names}, filter: {{ids: $ids, location: $ids}}) {{ nodes {{ id }} }}"),
                ids=ENQUIRIES,
            ),
        ),
    ]
    for name, search in SEARCHES.items():
        filter = "filter: {search: $k}"
        found = [
            f"{root}(first: 99, {order}{filter}) {{ totalCount nodes {{ id }} }}"
            for root, order in (("careEnquiries", ""), ("careEnquiries", f"{names}, "), ("users", ""), ("locations", ""))
        ]
        body = " ".join(repeated(5, field, 5 * number) for number, field in enumerate(found))
        cases.append(Case(f"20 searches for people: {name}", *query(body, k=search), is_variant=name != "three letters"))
        attended = repeated(20, "homeVisits(first: 99, filter: {attendee: $k}) { totalCount nodes { id } }")
        cases.append(Case(f"20 pages by attendee: {name}", *query(attended, k=search), is_variant=name != "two letters"))
    return cases


def _counts() -> list[Case]:
    counts = "{ count status day location { name } host assignedTo { lastName } visitType }"
    centuries = " ".join(
        f'a{n}: homeVisitCounts(groupBy: [DAY], filter: {{startDate: "18{10 + n}-01-02"}}) {counts}' for n in range(9)
    )
    alike = repeated(20, f"homeVisitCounts(groupBy: [STATUS, HOST]) {counts}")
    return [
        Case("9 counts by day over centuries", *query(centuries)),
        *(
            Case(f"count by {one} and {other}", *query(f"homeVisitCounts(groupBy: [{one}, {other}]) {{ count }}"))
            for one, other in permutations(GROUPINGS, 2)
        ),
        Case("20 counts by status and host", *query(alike)),
    ]


def _conflicts() -> list[Case]:
    beside = f'homeVisitConflicts(location: "{HOMES[0]}", dateTime: "2024-06-03T10:00:00Z", host: NURSE) {{ {LEAVES} }}'
    return [Case("20 times what stands beside a time", *query(repeated(20, beside)))]


def _events() -> list[Case]:
    every: dict[str, Any] = {
        "homeVisit": [visit(n) for n in range(250)],
        "careEnquiry": ENQUIRIES,
        "location": HOMES,
        "type": ["BOOKED", "UPDATED", "CANCELLED", "COMPLETED", "IMPORTED"],
        "actor": ["developer", *(f"actor {n}" for n in range(249))],
        "atFrom": "2000-01-01T00:00:00Z",
    }
    page = f"homeVisitEvents(last: 99, filter: $e) {{ edges {{ {EVENT} }} pageInfo {{ hasPreviousPage startCursor }} }}"
    full = f"homeVisitEvents(first: 100) {{ edges {{ {EVENT[:-1]} homeVisit {{ {LEAVES} {REFERENCES} }} }} }} }}"
    history = "history(last: 99) { edges { cursor node { id changes { field before after } } } pageInfo { hasPreviousPage } }"
    filters = {
        "lists of 250": every,
        "enquiries": {"careEnquiry": ENQUIRIES},
        "homes": {"location": HOMES, "atFrom": "2000-01-01T00:00:00Z"},
        "an actor who did nothing": {"actor": ["nobody"]},
        "a type and a time": {"type": ["COMPLETED"], "atFrom": "2999-01-01T00:00:00Z"},
    }
    return [
        Case("page of 100 events with all there is", *query(full)),
        Case("histories of 8", *query(f"homeVisits(first: 8) {{ nodes {{ {history} }} }}")),
        Case("8 histories of one", *query(f"homeVisits(first: 1) {{ nodes {{ {repeated(8, history)} }} }}")),
        *(
            Case(f"8 pages of events by {name}", *query(repeated(8, page), e=filter), is_variant=name != "lists of 250")
            for name, filter in filters.items()
        ),
    ]
