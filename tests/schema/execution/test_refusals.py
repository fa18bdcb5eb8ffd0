"""What storage refuses is an error where it happened, as the standard executor has it, and no statement is run for it again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from schema.execution.engine import Served
from storage.database import Database
from storage.errors import DatabaseBusy, DatabaseUnusable
from storage.postgresql.connecting import SETTINGS
from storage.queries.paging import Order, Page
from storage.sqlite.database import SQLiteDatabase
from tests import databases, world
from tests.asking import Ask, engine
from tests.databases import copied, database_at
from tests.inspection import inspect
from tests.schema.execution.oracle import LOST, SPOILT
from tests.world import BEECHES, PENDING, VISIT_IDS, WILLOWS

BUSY = "The database did not answer in time. Nothing was changed: try again in a moment."
NOBODY = replace(world.EVERYBODY, roles=frozenset())


def never_answers(path: Path, table: str) -> None:
    """Put in the place of a table one whose rows have no end: whoever reads it is busy until the time for it is over."""
    columns = inspect(path).columns(table)
    rows = "WITH RECURSIVE rows(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM rows)"
    endless = {
        "sqlite": f"{rows} SELECT {', '.join(f'n AS {column}' for column in columns)} FROM rows",  # noqa: S608 - the test's own names
        "postgresql": "SELECT elsewhere.* FROM elsewhere, pg_sleep(60)",
    }
    inspect(path).execute(f"ALTER TABLE {table} RENAME TO elsewhere; CREATE VIEW {table} AS {endless[databases.KIND]}")


def spoilt(path: Path, how: str) -> None:
    inspect(path).execute(SPOILT[how])


# PostgreSQL's server does not know whether a newer version took it away.
GONE = {"sqlite": "INTERNAL_SERVER_ERROR", "postgresql": "STORAGE_UNAVAILABLE"}


class Refused(NamedTuple):
    """`database` is the table that never answers, or how the database is spoilt; `errors` are paths and codes."""

    database: str
    document: str
    data: Any
    errors: list[tuple[list[str | int] | None, str]]
    statements: int
    caller: world.Caller = world.EVERYBODY


LOCATION = f'location(id: "{WILLOWS}")'
CASES = {
    "a list is busy": Refused("home_visits", "{ homeVisits { nodes { id } } }", None, [(["homeVisits"], "OVERLOADED")], 1),
    "an object is busy": Refused(
        "home_visits",
        f'{{ visit: homeVisit(id: "{PENDING}") {{ id status }} }}',
        {"visit": None},
        [(["visit"], "OVERLOADED")],
        1,
    ),
    "one of three root fields is busy": Refused(
        "home_visits",
        f'{{ viewer {{ subject }} homeVisit(id: "{PENDING}") {{ id }} {LOCATION} {{ name }} }}',
        {"viewer": {"subject": "everybody"}, "homeVisit": None, "location": {"name": "The Willows"}},
        [(["homeVisit"], "OVERLOADED")],
        2,
    ),
    "references are busy": Refused(
        "users",
        "{ homeVisits(first: 2) { nodes { id assignedTo { firstName } location { name } } } }",
        {"homeVisits": {"nodes": [{"id": id, "assignedTo": None, "location": {"name": "The Willows"}} for id in VISIT_IDS[:2]]}},
        [(["homeVisits", "nodes", n, "assignedTo"], "OVERLOADED") for n in range(2)],
        3,
    ),
    "references of references are busy": Refused(
        "users",
        f'{{ homeVisit(id: "{PENDING}") {{ careEnquiry {{ assignedTo {{ firstName }} location {{ name }} }} }} }}',
        {"homeVisit": {"careEnquiry": {"assignedTo": None, "location": {"name": "The Willows"}}}},
        [(["homeVisit", "careEnquiry", "assignedTo"], "OVERLOADED")],
        4,
    ),
    "a list below an object is busy": Refused(
        "home_visits",
        f"{{ {LOCATION} {{ name homeVisits {{ totalCount nodes {{ id }} }} }} }}",
        {"location": None},
        [(["location", "homeVisits"], "OVERLOADED")],
        2,
    ),
    "a page is too large": Refused(
        "whole", "{ homeVisits(first: 101) { nodes { id } } }", None, [(["homeVisits"], "BAD_USER_INPUT")], 0
    ),
    "a cursor is not of this list": Refused(
        "whole", '{ homeVisits(after: "nonsense") { nodes { id } } }', None, [(["homeVisits"], "BAD_USER_INPUT")], 0
    ),
    "a page below an object is too large": Refused(
        "whole", f"{{ {LOCATION} {{ homeVisits(last: 101) {{ totalCount }} }} }}", {"location": None},
        [(["location", "homeVisits"], "BAD_USER_INPUT")], 1,
    ),
    "the caller has no role": Refused(
        "whole", f'{{ homeVisit(id: "{PENDING}") {{ id }} }}', {"homeVisit": None}, [(["homeVisit"], "FORBIDDEN")], 0, NOBODY
    ),
    "a table is gone": Refused(
        "without visits", "{ homeVisits { nodes { id } } }", None, [(["homeVisits"], GONE[databases.KIND])], 1
    ),
    "a value is of a later version": Refused(
        "of a later version",
        "{ homeVisits(first: 9) { nodes { id host } } }",
        None,
        [(["homeVisits", "nodes", 3, "host"], "INTERNAL_SERVER_ERROR")],
        1,
    ),
    "a record is lost": Refused(
        "with lost references",
        f'{{ a: homeVisit(id: "{VISIT_IDS[5]}") {{ location {{ name }} }} b: homeVisit(id: "{PENDING}") {{ status }} }}',
        {"a": None, "b": {"status": "PENDING"}},
        [(["a", "location"], "INTERNAL_SERVER_ERROR")],
        3,
    ),
}  # fmt: skip


@asynccontextmanager
async def opened(world_file: Path, path: Path, how: str) -> AsyncIterator[Database]:
    copied(world_file, path)
    if how in SPOILT:
        spoilt(path, how)
    else:
        never_answers(path, how)
    # As long as what is not endless may take on a busy machine.
    database = SQLiteDatabase(path, statement_seconds=0.5) if databases.is_sqlite() else database_at(path)
    with patch.dict(SETTINGS, statement_timeout="500"):
        yield await database.open()
        await database.close()


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "standard"])
@pytest.mark.parametrize("name", CASES)
async def test_a_refusal_is_an_error_at_its_place_and_costs_no_statement_more(
    world_file: Path, tmp_path: Path, name: str, planned: bool
) -> None:
    how, document, data, errors, statements, caller = CASES[name]

    async with opened(world_file, tmp_path / "refusing.db", how) as database:
        response = await Ask(database, engine(planned=planned))(document, caller=caller)

    assert response.data == data
    assert [(error["path"], error["extensions"]["code"]) for error in response.errors] == errors
    assert response.statements == statements
    assert {error["message"] for error in response.errors if error["extensions"]["code"] == "OVERLOADED"} <= {BUSY}


async def test_a_refusal_is_where_it_stands_in_the_document(world_file: Path, tmp_path: Path) -> None:
    document = "{\n  viewer { subject }\n  homeVisits { nodes { id } }\n}"

    async with opened(world_file, tmp_path / "refusing.db", "home_visits") as database:
        planned, standard = [(await Ask(database, engine(planned=planned))(document)) for planned in (True, False)]

    assert [error["locations"] for error in planned.errors] == [[{"line": 3, "column": 3}]]
    assert (planned.data, planned.errors) == (standard.data, standard.errors)


async def test_what_a_compiled_field_cannot_complete_the_executor_completes_from_the_same_source(
    world_file: Path, tmp_path: Path
) -> None:
    document = f'{{ homeVisit(id: "{VISIT_IDS[3]}") {{ id host status dateTime allowedOperations location {{ id }} }} }}'

    async with opened(world_file, tmp_path / "later.db", "of a later version") as database:
        planned, standard = [(await Ask(database, engine(planned=planned))(document)) for planned in (True, False)]

    assert (planned.data, planned.errors, planned.statements) == (standard.data, standard.errors, 1)
    assert planned.served is Served.EXECUTOR


async def test_a_count_that_fails_is_not_counted_again() -> None:
    counts: list[int] = []

    async def count() -> int:
        counts.append(1)
        raise DatabaseBusy

    page = Page([], Order([], ["id"]), has_previous_page=False, has_next_page=False, count=count)

    for _ in range(2):
        with pytest.raises(DatabaseUnusable):
            await page.total_count()

    assert len(counts) == 1


def test_what_was_lost_is_nothing_that_the_world_has() -> None:
    assert LOST not in (BEECHES, WILLOWS)
