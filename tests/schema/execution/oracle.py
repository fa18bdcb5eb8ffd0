"""The oracle: what graphql-core's own executor answers is what plans must answer, on worlds that are whole and on broken ones."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from resolvers.auth import allowed_operations
from schema.context import Context
from schema.execution.engine import Request, Result
from schema.execution.limits import Limits
from storage.caller import Caller
from storage.database import Database
from tests import world
from tests.asking import engine, execute
from tests.databases import copied, database_at
from tests.inspection import inspect
from tests.schema.execution.drawn import Drawn, Values
from tests.world import NOW

# Drawn documents are large, and sometimes to be refused for it.
LOOSE = Limits(
    characters=10**6,
    tokens=10**6,
    depth=100,
    aliases=10**4,
    directives=10**4,
    fields=10**6,
    root_fields=10**3,
    mutation_root_fields=10**3,
    cost=10**12,
)

TIGHT = replace(LOOSE, cost=150)

LOST = "e" * 24
# How a database may be broken that our own code did not write, or that has lost some of what it wrote.
SPOILT = {
    "whole": "",
    "of a later version": "UPDATE home_visits SET host = 'GARDENER' WHERE id LIKE '%3'",
    "with lost references": f"""
        UPDATE home_visits SET care_enquiry = '{LOST}', assigned_to = '{LOST}' WHERE id LIKE '%4';
        UPDATE home_visits SET location = '{LOST}' WHERE id LIKE '%5';
        UPDATE service_user_contacts SET care_enquiry = '{LOST}' WHERE id = '{world.DAUGHTER}';
        UPDATE care_enquiries SET assigned_to = '{LOST}' WHERE id = '{world.FOR_BEECHES}';
    """,  # noqa: S608 - all of it is said here
    "without users": "ALTER TABLE users RENAME TO elsewhere",
    "without visits": "ALTER TABLE home_visits RENAME TO elsewhere",
}

CALLERS = [
    world.EVERYBODY,
    world.limited_to(world.WILLOWS),
    world.limited_to(world.BEECHES, role=world.Role.VIEWER),
    world.limited_to(),
]


def spoil(path: Path, how: str) -> None:
    inspect(path).execute(SPOILT[how])


def _ids(*in_world: str) -> st.SearchStrategy[str]:
    return st.sampled_from([*in_world, world.UNKNOWN])


def values() -> Values:
    """Return strategies that find something in the world as a rule, and now and then nothing, or what is refused."""
    visits, homes, users = _ids(*world.VISIT_IDS), _ids(world.WILLOWS, world.BEECHES), _ids(world.ANNA, world.BEN)
    enquiries = _ids(world.FOR_WILLOWS, world.ALSO_FOR_WILLOWS, world.FOR_BEECHES, world.STUB_ENQUIRY, world.ANONYMIZED_ENQUIRY)
    contacts = _ids(world.DAUGHTER, world.SON, world.STUB_CONTACT)
    cursors = [f"di|2024-11-04T04:30:00.000001|{world.VISIT_IDS[5]}", f"i|{world.VISIT_IDS[9]}", "nonsense"]
    instants = st.sampled_from(["2024-11-04T09:00:00Z", "2024-10-25T11:00:00+02:00", "2024-11-04T09:30:00.5Z"])
    anything = st.one_of(visits, homes, users, enquiries, contacts)
    return {
        "homeVisit.id": visits,
        "location.id": homes | st.just(world.STUB_HOME),
        "user.id": users | st.just(world.STUB_USER),
        "careEnquiry.id": enquiries,
        "id": visits,
        "ids": visits,
        "careEnquiry": enquiries,
        "location": homes,
        "assignedTo": users,
        "serviceUserContact": contacts,
        "idempotencyKey": st.sampled_from(["key", "other key", ""]),
        "expectedVersion": st.integers(1, 3),
        "ID": anything,
        "String": st.sampled_from(["café", "", "Visit 1", *map(_encoded, cursors)]),
        "Int": st.integers(0, 4) | st.sampled_from([-1, 100, 101]),
        "Boolean": st.booleans(),
        "Date": st.sampled_from(["2024-11-04", "2024-11-05"]),
        "DateTime": instants,
        "TimeZone": st.sampled_from(["Europe/London", "Asia/Tokyo"]),
    }


def _encoded(cursor: str) -> str:
    return base64.urlsafe_b64encode(cursor.encode()).decode()


class Failure(NamedTuple):
    """`nulled` is the place that is null for it: its own, or one above."""

    path: tuple[str | int, ...]
    nulled: tuple[str | int, ...]
    error: str


class Outcome(NamedTuple):
    """`data` is text, so that the order of its keys counts."""

    executed: bool
    data: str
    failures: list[Failure]


class Oracle:
    """One world, asked by plans and by the standard executor."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._engines = {
            (planned, limits): engine(planned=planned, limits=limits) for planned in (True, False) for limits in (LOOSE, TIGHT)
        }

    @classmethod
    async def open(cls, world_file: Path, path: Path, how: str = "whole") -> "Oracle":
        copied(world_file, path)
        spoil(path, how)
        return cls(await database_at(path).open())

    async def ask(self, drawn: Drawn, caller: Caller = world.EVERYBODY, *, planned: bool, limits: Limits = LOOSE) -> Outcome:
        context = Context(self.database, caller, lambda: NOW, "Europe/London", allowed_operations)
        request = Request(drawn.document, drawn.name, drawn.variables)
        return outcome(await execute(self._engines[planned, limits], request, context))


def outcome(answer: Result) -> Outcome:
    failures = [
        Failure(
            tuple(error.path or ()),
            _nulled(answer.data, error.path or ()),
            repr((error.message, error.locations, error.extensions)),
        )
        for error in answer.errors
    ]
    return Outcome(answer.executed, json.dumps(answer.data), failures)


def _nulled(data: Any, path: Sequence[str | int]) -> tuple[str | int, ...]:
    for length, step in enumerate(path):
        if data is None:
            return tuple(path[:length])
        data = data[step]
    return tuple(path)


def alike(planned: Outcome, standard: Outcome) -> bool:
    """Tell whether two answers are the same, but for what the standard executor itself leaves to chance.

    Fields that wait for the database fail in the order in which it answers. Where several fail below one null, the first
    cancels the others, which then are told or not.
    """
    if planned[:2] != standard[:2]:
        return False
    if sorted(planned.failures) == sorted(standard.failures):
        return True
    return _nulls(planned) == _nulls(standard) and _certain(planned) == _certain(standard)


def _nulls(one: Outcome) -> set[tuple[str | int, ...]]:
    return {failure.nulled for failure in one.failures}


def _certain(one: Outcome) -> list[Failure]:
    return sorted(failure for failure in one.failures if failure.path == failure.nulled)
