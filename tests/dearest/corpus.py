"""The dearest requests at each limit: documents, variables, keywords, notes and cursors, as many and as long as are admitted."""

import base64
import itertools
from typing import Any

from tests.dearest import forms, odd
from tests.dearest.cases import (
    KEYWORDS,
    LEAVES,
    LOCATIONS,
    ORDER,
    REFERENCES,
    Case,
    by_many_parents,
    by_one_parent,
    query,
    repeated,
)
from tests.dearest.databases import home, visit
from tests.schema.execution import hostile

USUAL_KEYWORDS = ("two letters", "almost", "ligatures")


def _pages() -> list[Case]:
    full = f"{{ nodes {{ {LEAVES} {REFERENCES} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }}"
    notes = " ".join(f"a{number}: notes" for number in range(28))
    operations = " ".join(f"a{number}: allowedOperations" for number in range(28))
    cursors = "edges { cursor node { id } " + " ".join(f"a{number}: cursor" for number in range(28)) + " }"
    nested = "homeVisits(first: 96) { nodes { location { homeVisits(first: 24) { nodes { notes } } } } }"
    deep = "homeVisits(first: 9) { nodes { location { " * 4 + "id" + " } } }" * 4
    return [
        Case("page of 100 with all there is", *query(f"homeVisits(first: 100) {full}")),
        Case("20 pages of 100", *query("  ".join(f"a{n}: homeVisits(first: 99) {{ nodes {{ {LEAVES} }} }}" for n in range(20)))),
        Case(
            "20 pages of 83 with edges",
            *query(
                " ".join(
                    f"a{n}: homeVisits(first: 83) {{ edges {{ cursor node {{ id }} }} totalCount pageInfo {{ endCursor }} }}"
                    for n in range(20)
                )
            ),
        ),
        Case("notes by 28 aliases", *query(f"homeVisits(first: 100) {{ nodes {{ {notes} }} }}")),
        Case("28 notes of 24 of 96", *query(nested)),
        Case(
            "28 notes of 24 of 96 by aliases",
            *query(f"homeVisits(first: 96) {{ nodes {{ location {{ homeVisits(first: 24) {{ nodes {{ {notes} }} }} }} }} }}"),
        ),
        Case(
            "notes of 99 pages of 99",
            *query("homeVisits(first: 99) { nodes { location { homeVisits(first: 99) { nodes { notes } } } } }"),
        ),
        Case(
            "what is allowed by 28 aliases",
            *query(
                f"homeVisits(first: 95) {{ nodes {{ location {{ homeVisits(first: 100) {{ nodes {{ {operations} }} }} }} }} }}"
            ),
        ),
        Case("what is allowed of 100", *query(f"homeVisits(first: 100) {{ nodes {{ {operations} }} }}")),
        Case("cursors by 28 aliases", *query(f"homeVisits(first: 100) {{ {cursors} }}")),
        Case(
            "cursors of 45 of 100",
            *query(f"homeVisits(first: 45) {{ nodes {{ location {{ homeVisits(first: 100) {{ {cursors} }} }} }} }}"),
        ),
        Case("pages in pages in pages", *query(deep)),
        Case("last page of 100", *query(f"homeVisits(last: 100) {full}")),
        Case("page of 100 in a descending order of eight keys", *query(f"homeVisits(first: 100, orderBy: $o) {full}", o=ORDER)),
    ]


def _windows() -> list[Case]:
    one = "homeVisits(first: 1) { pageInfo { hasNextPage } }"
    ordered = "homeVisits(first: 1, orderBy: $o) { pageInfo { hasNextPage endCursor } nodes { id } }"
    found = "homeVisits(first: 1, filter: $f) { nodes { id } }"
    total = "homeVisits(filter: $f) { totalCount }"
    every: dict[str, Any] = {
        "ids": [visit(n) for n in range(250)],
        "location": [home(n) for n in range(250)],
        "host": ["NURSE", "MANAGER"] * 125,
        "visitType": ["VIRTUAL", "IN_PERSON"] * 125,
        "startDate": "2000-01-01",
        "endDate": "2099-12-31",
    }
    return [
        Case("29 windows of 100 parents", *query(by_many_parents(one))),
        Case("29 windows of 100 parents in an order of eight keys", *query(by_many_parents(ordered), o=ORDER)),
        Case("12 windows of 50 parents in an order of eight keys", *query(by_many_parents(ordered, 12, 50), o=ORDER)),
        Case("29 windows of 100 parents in an order of 190 keys", *query(by_many_parents(ordered), o=[{"field": "ID"}] * 190)),
        Case(
            "window in an order of 15,000 keys", *query("homeVisits(orderBy: $o) { nodes { id } }", o=[{"field": "ID"}] * 9_000)
        ),
        Case("29 windows of 100 parents with lists of 250", *query(by_many_parents(found), f=every)),
        Case("12 windows of 50 parents with lists of 250", *query(by_many_parents(found, 12, 50), f=every)),
        Case("windows of 50 parents by 20,000 hosts", *query(by_many_parents(found, 1, 50), f={"host": ["NURSE"] * 20_000})),
        Case(
            "20 pages with lists of 250",
            *query(
                " ".join(f"a{n}: homeVisits(first: 99, filter: $f, orderBy: $o) {{ nodes {{ id }} }}" for n in range(20)),
                f=every,
                o=ORDER,
            ),
        ),
        Case(
            "20 counts with lists of 250",
            *query(" ".join(f"a{n}: homeVisits(filter: $f) {{ totalCount }}" for n in range(20)), f=every),
        ),
        Case("20 counts of all", *query(repeated(20, "homeVisits { totalCount }"))),
        Case("20 counts of one status", *query(repeated(20, "homeVisits(filter: {status: [PENDING]}) { totalCount }"))),
        Case("29 counts of 100 parents", *query(by_many_parents(total), f={"status": ["PENDING"]})),
        Case("29 counts of one parent", *query(by_one_parent(total), f={"status": ["PENDING"], "host": ["NURSE"]})),
        Case(
            "20 x 250 visits by ID",
            *query(
                " ".join(f"a{n}: homeVisits(first: 99, filter: {{ids: $ids}}) {{ nodes {{ {LEAVES} }} }}" for n in range(20)),
                ids=every["ids"],
            ),
        ),
        Case(
            "20 nodes by ID",
            *query(
                " ".join(f'a{n}: node(id: "{visit(n)}") {{ ... on HomeVisit {{ {LEAVES} {REFERENCES} }} }}' for n in range(4))
            ),
        ),
        Case("the viewer's locations", *query(f"viewer {{ {repeated(29, LOCATIONS)} }}")),
    ]


def _shapes() -> list[Case]:
    """Lists of as many forms as a document can have, whose SQL was never compiled before."""
    conditions: list[dict[str, Any]] = [
        {"location": [home(0), home(1)]},
        {"assignedTo": [f"2{0:023x}", f"2{1:023x}"]},
        {"host": ["NURSE"]},
        {"visitType": ["VIRTUAL"]},
        {"status": ["PENDING"]},
        {"startDate": "2000-01-01"},
        {"endDate": "2099-12-31"},
        {"modifiedAfter": "2000-01-01T00:00:00Z"},
        {"modifiedBefore": "2099-01-01T00:00:00Z"},
        {"anonymized": False},
    ]
    fields = [f"{{field: {name}, direction: {way}}}" for name in ("DATE_TIME", "CREATED", "MODIFIED") for way in ("ASC", "DESC")]
    orders = list(itertools.permutations(fields, 3))

    def windows(times: int, start: int, rest: str) -> tuple[str, dict[str, Any]]:
        filters = {
            f"f{n}": {name: value for m, part in enumerate(conditions) if n >> m & 1 for name, value in part.items()}
            | {"keyword": "zebra crossing"}
            for n in range(start, start + times)
        }
        body = " ".join(
            f"a{n}: homeVisits(first: 1, filter: $f{n}, orderBy: [{', '.join(orders[n % len(orders)])}]) {{ {rest} }}"
            for n in range(start, start + times)
        )
        return body, filters

    def case(name: str, body: str, filters: dict[str, Any]) -> Case:
        declared = ", ".join(f"${name}: HomeVisitFilter" for name in filters)
        return Case(name, f"query S({declared}) {{ {body} }}", filters)

    rest = "totalCount nodes { id notes }"
    nested, filters = windows(29, 500, rest)
    return [
        case("20 lists of 20 forms", *windows(20, 200, rest)),
        case("29 nested lists of 29 forms", f"homeVisits(first: 4) {{ nodes {{ location {{ {nested} }} }} }}", filters),
    ]


def _keywords() -> list[Case]:
    cases = []
    for name, keyword in KEYWORDS.items():
        windows = "homeVisits(filter: $f, first: 20) { totalCount nodes { id } }"
        cases += [
            Case(f"{of}, {name}", *query(body, f={"keyword": keyword}), is_variant=name not in USUAL_KEYWORDS)
            for of, body in (
                ("keyword", "homeVisits(filter: $f) { nodes { id } }"),
                ("20 pages and counts by keyword", repeated(20, windows)),
                ("pages and counts of 100 parents by keyword", by_many_parents(windows, 1)),
                ("20 windows of one parent by keyword", by_one_parent(windows, 20)),
            )
        ]
    long = "\ufdfa" * 60_000
    return [
        *cases,
        Case("keyword of 60,000 ligatures", *query("homeVisits(filter: $f) { nodes { id } }", f={"keyword": long})),
        Case(
            "20 x keyword of 4,000 marks",
            *query(repeated(20, "homeVisits(filter: $f) { nodes { id } }"), f={"keyword": "e" + "\u0301\u0323" * 20_000}),
        ),
    ]


def _cursors() -> list[Case]:
    long = base64.b64encode(b"d" * 100_000).decode()
    parts = base64.b64encode(b"di|" + b"|" * 100_000).decode()
    near = base64.b64encode(f"di|2020-01-01T00:00:00|{visit(0)}".encode()).decode()
    paged = "homeVisits(first: 1, after: $a) { pageInfo { hasPreviousPage } nodes { id } }"
    return [
        Case("cursor of 130,000 letters", *query("homeVisits(after: $a) { nodes { id } }", a=long)),
        Case("cursor of 100,000 parts", *query("homeVisits(after: $a) { nodes { id } }", a=parts)),
        Case("29 bad cursors of 100 parents", *query(by_many_parents(paged), a="nonsense")),
        Case("12 long bad cursors of 50 parents", *query(by_many_parents(paged, 12, 50), a=long)),
        Case("29 cursors of 100 parents", *query(by_many_parents(paged), a=near)),
        Case("12 cursors of 50 parents", *query(by_many_parents(paged, 12, 50), a=near)),
        Case("29 cursors of one parent", *query(by_one_parent(paged), a=near)),
    ]


def corpus() -> list[Case]:
    """Return the cases; those that write come last."""
    documents = [
        Case(f"hostile: {each.name}", each.document, is_variant=True) for each in hostile.CORPUS if "surrogate" not in each.name
    ]
    return [
        *_pages(),
        *_windows(),
        *_shapes(),
        *_keywords(),
        *_cursors(),
        *forms.cases(),
        *odd.bad_inputs(),
        *odd.documents(),
        *documents,
        *odd.mutations(),
    ]
