"""What the dearest requests are made of."""

from typing import Any, NamedTuple

from tests.dearest.databases import home

HOME = home(0)
TIMES = "dateTime created modified cancelled completed anonymized"
LEAVES = f"id status {TIMES} visitType host notes version confirmation allowedOperations"
ERROR = "... on UserError { message }"
PERSON = "id firstName lastName email"
PLACE = "id name email phone timeZone"
SEEKER = "careSeeker { firstName lastName email phone }"
ENQUIRY = f"id anonymized {SEEKER} assignedTo {{ {PERSON} }} location {{ {PLACE} }}"
REFERENCES = (
    f"location {{ {PLACE} }} assignedTo {{ {PERSON} }} careEnquiry {{ {ENQUIRY} }} "
    f"serviceUserContact {{ {PERSON} phone careEnquiry {{ {ENQUIRY} }} }}"
)
LOCATIONS = f"locations {{ {PLACE} homeVisits(first: 1) {{ nodes {{ id }} }} }}"
ORDER = [{"field": field, "direction": "DESC"} for field in ("DATE_TIME", "CREATED", "MODIFIED")] * 2 + [{"field": "ID"}] * 2
TYPES = {
    "o": "[HomeVisitOrder!]!",
    "f": "HomeVisitFilter",
    "n": "Int",
    "a": "String",
    "ids": "[ID!]",
    "id": "ID!",
    "k": "String",
    "e": "HomeVisitEventFilter",
}
# Of the keyword's length; the second is not found although all its trigrams are.
KEYWORDS = {
    "two letters": "zq",
    "one letter": "z",
    "frequent": "zebra",
    "almost": ("zebra crossing quilt; " * 5)[:98] + "zq",
    "ligatures": "\ufdfa" * 100,
    "primes": "\u2057" * 100,
    "marks": ("e" + "\u0301\u0323" * 15) * 3,
    "further marks": "e" + "\u0301\u0323" * 49,
    "controls": "\x01" * 100,
    "usual": "wheelchair",
}


class Case(NamedTuple):
    """A request that the limits admit, or that they refuse; either takes a moment of the loop's at a time."""

    name: str
    document: str
    variables: dict[str, Any] = {}  # noqa: RUF012 - it is never changed
    is_variant: bool = False


def query(body: str, **variables: Any) -> tuple[str, dict[str, Any]]:
    declared = ", ".join(f"${name}: {TYPES[name]}" for name in variables)
    return f"query Q{f'({declared})' if declared else ''} {{ {body} }}", variables


def repeated(times: int, field: str, start: int = 0) -> str:
    return " ".join(f"a{number}: {field}" for number in range(start, start + times))


def by_many_parents(field: str, times: int = 29, parents: int = 100) -> str:
    return f"homeVisits(first: {parents}) {{ nodes {{ location {{ {repeated(times, field)} }} }} }}"


def by_one_parent(field: str, times: int = 29) -> str:
    return f'location(id: "{HOME}") {{ {repeated(times, field)} }}'
