"""What a benchmark asks of the visits that `families` makes: the screens people have, and anything else that could be asked."""

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.benchmarks.families import HOSTS, LOCATIONS, RARE, USERS, WORDS, identifier

Filter = dict[str, Any]
TIME, LATEST, CHANGES = [{"field": "DATE_TIME"}], [{"field": "DATE_TIME", "direction": "DESC"}], [{"field": "MODIFIED"}]
HOMES = [identifier("b", number) for number in range(LOCATIONS)]
# Who asks: everybody's visits, or those of so many homes.
CALLERS: dict[str, list[str]] = {"all": [], "of 2": HOMES[7:9], "of 10": HOMES[20:30], "of 50": HOMES[100:150]}
MONTH: Filter = {"startDate": "2021-03-01", "endDate": "2021-03-31"}
KEYWORDS = {
    "rare": RARE.upper(), "less rare": "corbelgar", "frequent": "With", "as frequent": "wheelchair", "a part": "ychol",
    "three letters": "phy", "phrase": "the garden", "absent": "absentword", "absent, of frequent parts": "gardenwheel",
}  # fmt: skip
KEYWORD_FILTERS: dict[str, Filter] = {
    "": {}, "at one home": {"location": [HOMES[3]]}, "completed": {"status": ["COMPLETED"]}, "in a month": MONTH,
    "pending in a month": {"status": ["PENDING"], **MONTH},
}  # fmt: skip


class Question(NamedTuple):
    name: str
    filter: Filter
    order: list[dict[str, str]]
    caller: str = "all"
    size: int = 20
    backward: bool = False

    @property
    def variables(self) -> dict[str, Any]:
        return {"filter": self.filter, "orderBy": self.order, "last" if self.backward else "first": self.size}

    def __str__(self) -> str:
        order = " ".join(f"{key['field']}{' DESC' if key.get('direction') == 'DESC' else ''}" for key in self.order)
        filter = json.dumps(
            {name: value if len(str(value)) < 80 else f"{len(value)} values" for name, value in self.filter.items()}
        )
        return (
            f"{self.name} {filter} by {order or 'ID'}, {'last' if self.backward else 'first'} {self.size}, {self.caller}".strip()
        )


def screens() -> Iterator[Question]:
    home, user = {"location": [HOMES[3]]}, {"assignedTo": [identifier("a", 3)]}
    for caller in CALLERS:
        yield Question("all by time", {}, TIME, caller)
        yield Question("the latest", {}, LATEST, caller)
        yield Question("pending by time", {"status": ["PENDING"]}, TIME, caller)
        yield Question("completed, in a month", {"status": ["COMPLETED"], **MONTH}, TIME, caller)
        yield Question("changes", {"modifiedAfter": "2024-06-01T00:00:00Z"}, CHANGES, caller)
        yield Question("a user's", user, TIME, caller)
        yield Question("a page of 100", {}, TIME, caller, 100)
    for status in ("PENDING", "CANCELLED", "COMPLETED"):
        yield Question("a home's", {**home, "status": [status]}, TIME)
        yield Question("a home's, in a month", {**home, "status": [status], **MONTH}, LATEST)
        yield Question("a user's", {**user, "status": [status], **MONTH}, TIME)
    yield Question("an enquiry's", {"careEnquiry": [identifier("c", 4711)]}, TIME)
    yield Question("a contact's", {"serviceUserContact": [identifier("d", 4712)]}, TIME)


def searches() -> Iterator[Question]:
    for kind, keyword in KEYWORDS.items():
        for order in (TIME, LATEST):
            for where, filter in KEYWORD_FILTERS.items():
                yield Question(f"keyword {kind} {where}".strip(), {"keyword": keyword, **filter}, order)
            for caller in ("of 2", "of 10", "of 50"):
                yield Question(f"keyword {kind}", {"keyword": keyword}, order, caller)
                yield Question(
                    f"keyword {kind} pending in a month", {"keyword": keyword, "status": ["PENDING"], **MONTH}, order, caller
                )


def unindexed() -> Iterator[Question]:
    """Ask for keywords that no index finds: of two letters, of signs, and those that stand nowhere."""
    for keyword in ("an", "zq", "!?", "--"):
        for caller in CALLERS:
            yield Question(f"keyword {keyword}", {"keyword": keyword}, TIME, caller)
        yield Question(f"keyword {keyword} at a home", {"keyword": keyword, "location": [HOMES[3]]}, LATEST)
        yield Question(f"keyword {keyword} of a host", {"keyword": keyword, "host": ["NURSE"]}, TIME)


def draws(count: int) -> Iterator[Question]:
    """Draw any combination of conditions, orders, callers and directions, the same ones every time."""
    pick = random.Random(3)  # noqa: S311 - the same ones every time

    def some(values: list[str], most: int) -> list[str]:
        return pick.sample(values, pick.randint(1, min(most, len(values))))

    def instant() -> str:
        return f"{pick.randint(2016, 2026)}-{pick.randint(1, 12):02}-{pick.randint(1, 28):02}"

    conditions = {
        "ids": lambda: some([identifier("6", pick.randrange(10_000)) for _ in range(250)], 250),
        "careEnquiry": lambda: some([identifier("c", pick.randrange(10_000)) for _ in range(250)], 250),
        "location": lambda: some(HOMES, pick.choice([1, 5, 50, 250])),
        "assignedTo": lambda: some([identifier("a", number) for number in range(USERS)], pick.choice([1, 5, 50])),
        "serviceUserContact": lambda: some([identifier("d", 2 * pick.randrange(5_000)) for _ in range(250)], 250),
        "status": lambda: some(["PENDING", "CANCELLED", "COMPLETED"], 2),
        "host": lambda: some([host.upper() for host in HOSTS], 3),
        "visitType": lambda: some(["IN_PERSON", "VIRTUAL"], 1),
        **dict.fromkeys(["anonymized", "cancelled", "completed"], lambda: pick.random() < 0.5),
        **dict.fromkeys(["startDate", "endDate"], instant),
        **dict.fromkeys(["modifiedAfter", "modifiedBefore"], lambda: f"{instant()}T00:00:00Z"),
        "keyword": lambda: pick.choice([*WORDS, *KEYWORDS.values(), "an", "e", "care fees"]),
    }
    fields = ["ID", "DATE_TIME", "CREATED", "MODIFIED"]
    for number in range(count):
        # Those that leave few visits in any case say little.
        names = [
            name
            for name in pick.sample(list(conditions), pick.randint(1, 5))
            if name not in ("ids", "careEnquiry") or number % 9 == 0
        ]
        order = [{"field": field, "direction": pick.choice(["ASC", "DESC"])} for field in some(fields, 3)]
        caller, size = pick.choice(["all", "all", *CALLERS]), pick.choice([10, 20, 100])
        yield Question("", {name: conditions[name]() for name in names}, order, caller, size, pick.random() < 0.3)


# The same in plain SQL, to check answers by.
COLUMNS = {
    "ids": "id", "careEnquiry": "care_enquiry", "location": "location", "assignedTo": "assigned_to",
    "serviceUserContact": "service_user_contact", "host": "host", "visitType": "visit_type",
}  # fmt: skip
ENDED = {
    "PENDING": "coalesce(cancelled, completed) IS NULL",
    "CANCELLED": "cancelled IS NOT NULL",
    "COMPLETED": "completed IS NOT NULL",
}
COMPARED = {
    "startDate": "date_time >= ? || 'T00:00:00'",
    "endDate": "date_time < date(?, '+1 day') || 'T00:00:00'",
    "modifiedAfter": "modified > rtrim(?, 'Z')",
    "modifiedBefore": "modified < rtrim(?, 'Z')",
    "keyword": "instr(notes_folded, lower(?)) > 0",
}


def met(question: Question) -> tuple[str, list[Any]]:
    """Return what a visit must be, as SQL with its parameters."""
    parts, values = ["true"], []
    scope = {"location": CALLERS[question.caller]} if CALLERS[question.caller] else {}
    for name, value in [*question.filter.items(), *scope.items()]:
        if name in COLUMNS:
            parts.append(f"{COLUMNS[name]} IN (SELECT value FROM json_each(?))")  # noqa: S608 - its own names
            values.append(json.dumps(value))
        elif name == "status":
            parts.append(f"({' OR '.join(ENDED[status] for status in value)})")
        elif name in COMPARED:
            parts.append(COMPARED[name])
            values.append(value)
        else:
            parts.append(f"{name} IS {'NOT ' if value else ''}NULL")
    return " AND ".join(parts), values


def expected(question: Question, skipped: int = 0) -> tuple[str, list[Any]]:
    """Return the SQL that selects the IDs of a page, and one more."""
    where, values = met(question)
    keys = [(key["field"].lower(), key.get("direction") == "DESC") for key in question.order] + [("id", False)]
    order = ", ".join(f"{name}{' DESC' if falling != question.backward else ''}" for name, falling in keys)
    return (
        f"SELECT id FROM home_visits NOT INDEXED WHERE {where} ORDER BY {order} LIMIT {question.size + 1} OFFSET {skipped}",  # noqa: S608 - its own names
        values,
    )
