"""The dearest writes, bad inputs and documents: those that fail as often as they can, and those that are hard to validate."""

import json
from typing import Any

from graphql import get_introspection_query

from tests.dearest.cases import ERROR, LEAVES, Case, by_many_parents, query, repeated
from tests.dearest.databases import LETTERS, visit


def mutations() -> list[Case]:
    def update(notes: str, times: int = 5) -> tuple[str, dict[str, Any]]:
        fields = " ".join(
            f"a{n}: updateHomeVisit(input: $i{n}) {{ ... on UpdateHomeVisitSuccess {{ homeVisit {{ notes }} }} {ERROR} }}"
            for n in range(times)
        )
        declared = ", ".join(f"$i{n}: UpdateHomeVisitInput!" for n in range(times))
        return f"mutation U({declared}) {{ {fields} }}", {f"i{n}": {"id": visit(4 * n), "notes": notes} for n in range(times)}

    def book(notes: str, times: int = 5) -> tuple[str, dict[str, Any]]:
        fields = " ".join(
            f"a{n}: bookHomeVisit(input: $i{n}) {{ ... on BookHomeVisitSuccess {{ homeVisit {{ {LEAVES} }} }} {ERROR} }}"
            for n in range(times)
        )
        declared = ", ".join(f"$i{n}: BookHomeVisitInput!" for n in range(times))
        input = {
            "careEnquiry": f"3{0:023x}",
            "dateTime": "2030-01-01T10:00:00Z",
            "host": "NURSE",
            "visitType": "VIRTUAL",
            "notes": notes,
        }
        return f"mutation B({declared}) {{ {fields} }}", {
            f"i{n}": input | {"idempotencyKey": f"{n}" + "k" * 254} for n in range(times)
        }

    texts = {
        "ligatures": "\ufdfa" * (30_000 // 18),
        "too many ligatures": "\ufdfa" * LETTERS,
        "marks": ("e" + "\u0301\u0323" * 15) * (LETTERS // 31),
        "marks in a row": "e" + "\u0301\u0323" * (LETTERS // 2 - 1),
        "marks by other names": "e" + "\uff9e\u0f73" * (LETTERS // 2 - 1),
        "primes": "\u2057" * (30_000 // 4),
        "jamo": "\u1100" + "\u1161\u11a8" * (LETTERS // 2 - 1),
        "letters": "abcdefghij" * (LETTERS // 10),
        "40,000 ligatures": "\ufdfa" * 12_000,
    }
    return [
        case
        for name, notes in texts.items()
        for case in (Case(f"5 updates, {name}", *update(notes)), Case(f"5 bookings, {name}", *book(notes)))
    ]


def bad_inputs() -> list[Case]:
    failing = "homeVisits(first: 101) { nodes { id } }"
    both = "homeVisits(first: 1, last: 1) { nodes { id } }"
    variables = {f"v{n}": "x" for n in range(400)}
    declared = ", ".join(f"$v{n}: Int" for n in range(400))
    wrong = (
        "query W(" + declared + ") { " + " ".join(f"a{n}: homeVisits(first: $v{n}) {{ __typename }}" for n in range(20)) + " }"
    )
    unknown = " ".join(f"x{n}" for n in range(399))
    literals = "homeVisits(filter: {ids: [" + "{} " * 900 + "]}) { nodes { id } }"
    return [
        Case("29 bad windows of 100 parents", *query(by_many_parents(failing))),
        Case("9 bad windows of 100 parents", *query(by_many_parents(failing, 9))),
        Case("29 windows from both ends of 100 parents", *query(by_many_parents(both))),
        Case("20 bad windows at the root", *query(repeated(20, failing))),
        Case("399 unknown fields", f"{{ viewer {{ {unknown} }} }}"),
        Case("400 variables of the wrong type", wrong, variables),
        Case("10,000 unknown variables", "{ viewer { subject } }", {f"v{n}": n for n in range(15_000)}),
        Case("900 objects for IDs", *query(literals)),
        Case(
            "filter of 5,000 unknown fields",
            *query("homeVisits(filter: $f) { nodes { id } }", f={f"x{n}": n for n in range(12_000)}),
        ),
        Case("250 bad IDs", *query("homeVisits(filter: {ids: $ids}) { nodes { id } }", ids=["x" * 900] * 250)),
        Case("60,000 IDs", *query("homeVisits(filter: {ids: $ids}) { nodes { id } }", ids=["x"] * 60_000)),
        Case(
            "250 objects for IDs in a variable",
            *query("homeVisits(filter: {ids: $ids}) { nodes { id } }", ids=[{"a": ["b"] * 80}] * 250),
        ),
        Case("an ID of 200,000 letters", *query("node(id: $id) { id }", id="a" * 200_000)),
        Case("a number of 4,000 digits", *query("homeVisits(first: $n) { nodes { id } }", n=10**4_000)),
        Case("200 keys that are none", *query("homeVisits(orderBy: $o) { nodes { id } }", o=[{"field": "x" * 1000}] * 200)),
        Case("lists in lists", *query("homeVisits(filter: {ids: $ids}) { nodes { id } }", ids=json.loads("[" * 200 + "]" * 200))),
    ]


def documents() -> list[Case]:
    many = " ".join(["location { id }"] * 99)
    fields = " ".join(["notes"] * 13)
    ten = " ".join(f"query Q{n} {{ homeVisits {{ nodes {{ ...A }} }} }}" for n in range(10))
    fragments = f"fragment A on HomeVisit {{ {' '.join(f'...F{m}' for m in range(95))} }} "
    fragments += " ".join(f"fragment F{m} on HomeVisit {{ location {{ id }} }}" for m in range(95))
    product = " ".join(f"fragment G{n} on HomeVisit {{ {' '.join(f'...H{m}' for m in range(14))} }}" for n in range(13))
    product += " " + " ".join(f"fragment H{m} on HomeVisit {{ location {{ id name }} assignedTo {{ id }} }}" for m in range(14))
    of_type = "args { name type { name } } type { name ofType { name } }"
    aliased = " ".join(f"a{n}: homeVisit(id: $id) {{ {fields} {LEAVES} }}" for n in range(13))
    return [
        Case(
            "two unused fragments of two of 99",
            "{ viewer { subject } } fragment A on HomeVisit { ...C ...D } fragment B on HomeVisit { ...C ...D } "
            f"fragment C on HomeVisit {{ {many} }} fragment D on HomeVisit {{ {many} }}",
        ),
        Case(
            "two used fragments of two of 99",
            "{ homeVisits { nodes { ...A ...B } } } fragment A on HomeVisit { ...C ...D } fragment B on HomeVisit { ...C ...D } "
            f"fragment C on HomeVisit {{ {many} }} fragment D on HomeVisit {{ {many} }}",
        ),
        Case("13 fragments that spread 14, unused", f"{{ viewer {{ subject }} }} {product}"),
        Case(
            "13 fragments that spread 14",
            f"{{ homeVisits {{ nodes {{ {' '.join(f'...G{n}' for n in range(13))} }} }} }} {product}",
        ),
        Case("10 operations that spread 95 fragments", f"{ten} {fragments}", {}),
        Case("400 times the same field", f"{{ homeVisits {{ nodes {{ {'notes ' * 398} }} }} }}"),
        Case("199 times the same object", f"{{ homeVisits {{ nodes {{ {'location { id } ' * 199} }} }} }}"),
        Case(
            "99 times the same objects in objects",
            f"{{ homeVisits {{ nodes {{ {'careEnquiry { location { id } } ' * 132} }} }} }}",
        ),
        Case(
            "130 windows with the same arguments",
            "{ homeVisits(first: 1) { nodes { location { "
            + 'homeVisits(first: 1, filter: {keyword: "zebra"}) { nodes { id } } ' * 100
            + "} } } }",
        ),
        Case("13 x 27 fields", *query(aliased, id=visit(0))),
        Case(
            "20 directives with variables",
            "query D($b: Boolean!) { viewer { " + "subject @skip(if: $b) " * 20 + "} }",
            {"b": False},
        ),
        Case("introspection", get_introspection_query(descriptions=True)),
        Case("introspection with all there is", get_introspection_query(True, True, True, True, True)),
        Case(
            "20 types",
            "{ "
            + " ".join(f't{n}: __type(name: "HomeVisit") {{ name fields {{ name description {of_type} }} }}' for n in range(20))
            + " }",
        ),
        Case("398 __typename", "{ viewer { " + "__typename " * 398 + "} }"),
        Case("199 root fields in fragments", "{ ...F } fragment F on Query { " + "viewer { subject roles } " * 20 + " }"),
    ]
