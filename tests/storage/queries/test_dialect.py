"""Queries know no database: another dialect compiles every one of them, and nothing of SQLite's is in what comes out."""

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

from storage.carehq import exporting
from storage.carehq.documents import KINDS
from storage.models import HomeVisit, HomeVisitEvent, HomeVisitStatus, IdempotencyKey
from storage.outbox import overview
from storage.outbox.claims import NEXT_DUE, any_due
from storage.outbox.messages import OutboxMessage
from storage.queries import inserts, listing, lookups, references
from storage.queries.conditions import HomeVisitFilter, conditions
from storage.queries.counts import count
from storage.queries.statements import Statement
from storage.sqlite.dialect import DIALECT
from tests.storage.homes import ALICE, BOB, REID, ROWAN, WILLOW
from tests.storage.queries.another_dialect import AnotherDialect

ROOT = Path(__file__).parents[3]
ANOTHER = AnotherDialect()
NOW = datetime(2024, 11, 3, tzinfo=UTC)
FILTERS: list[HomeVisitFilter] = [
    {},
    {"ids": [REID, ALICE], "care_enquiry": [REID], "host": ["NURSE", "OTHER"], "visit_type": ["VIRTUAL"]},
    {"location": [WILLOW, ROWAN], "status": [HomeVisitStatus.PENDING], "keyword": "wheelchair"},
    {"assigned_to": [ALICE, BOB], "start_date": date(2024, 11, 1), "end_date": date(2024, 11, 30), "cancelled": False},
    {"modified_after": NOW, "modified_before": NOW, "service_user_contact": [ALICE], "anonymized": True, "completed": True},
]
ORDERS = [(), (("date_time", True),), (("created", False), ("modified", True))]
# Backward, after a cursor, before a cursor.
WINDOWS = [(False, False, False), (False, True, True), (True, False, True)]
OF_SQLITE = re.compile(r"json_each|instr\(|\?|\+|NOT INDEXED|MATCH")


def lists() -> Iterator[Statement]:
    for filter, locations, keys, (backward, after, before), parent in itertools.product(
        FILTERS, (None, [WILLOW], [WILLOW, ROWAN]), ORDERS, WINDOWS, (None, "location")
    ):
        where = conditions(filter, locations, ANOTHER)
        shape = listing.Shape(where.shape, listing.order_of(keys).keys, backward, after, before, parent)
        yield listing.page(ANOTHER, shape).statement
        yield listing.one(ANOTHER, where.shape, None).statement
        yield count(ANOTHER, listing.Shape(where.shape, parent=parent))
        if after or before:
            yield listing.beyond_cursors(ANOTHER, shape)


def others() -> Iterator[Statement]:
    for limited in (False, True):
        yield from (references.by_id(ANOTHER, kind, limited) for kind in references.TABLES)
        yield from (lookups._referenced(ANOTHER, limited, enquiry_limited) for enquiry_limited in {limited, False})
        yield lookups._idempotent_booking(ANOTHER, limited)
    yield from (exporting._page(ANOTHER, kind) for kind in KINDS.values())
    yield from (overview._waiting(ANOTHER), overview._given_up(ANOTHER), overview._figures(ANOTHER), any_due(ANOTHER))


def texts(statements: Iterator[Statement]) -> set[str]:
    found = set()
    for statement in statements:
        chain: Statement | None = statement
        while chain is not None:
            found.add(chain.text)
            chain = chain.fallback
    return found


@pytest.mark.parametrize(("statements", "number"), [(lists, 681), (others, 22)])
def test_nothing_of_sqlite_is_in_what_another_dialect_compiles(statements: Any, number: int) -> None:
    compiled = texts(statements())

    assert {text for text in compiled if OF_SQLITE.search(text)} == set()
    assert len(compiled) == number


@pytest.mark.parametrize("model", [HomeVisit, HomeVisitEvent, IdempotencyKey, OutboxMessage])
def test_a_row_is_inserted_without_the_number_that_the_database_gives_it(model: type[SQLModel]) -> None:
    table: Any = model.__table__  # type: ignore[attr-defined]
    numbered = {HomeVisit: {"number"}, HomeVisitEvent: {"number"}}.get(model, set())

    compiled = inserts._compiled(ANOTHER, table)

    assert {name for name, _ in compiled.columns} == set(table.c.keys()) - numbered
    assert compiled.text.startswith(f"INSERT INTO {table.name} (")
    assert re.search(r"\) VALUES \(\$1[^)]*\)$", compiled.text)


def test_what_decides_a_write_is_locked_where_the_database_locks_rows() -> None:
    enquiry = lookups._referenced(ANOTHER, True, True).text
    message = str(NEXT_DUE.compile(dialect=ANOTHER.sqlalchemy))

    assert "\nWHERE care_enquiries.id = $1::VARCHAR AND care_enquiries.location = any($2::VARCHAR[]) FOR SHARE) AS" in enquiry
    assert message.endswith("FOR UPDATE OF outbox_messages SKIP LOCKED")
    assert " FOR " not in lookups._referenced(DIALECT, True, True).text + str(NEXT_DUE.compile(dialect=DIALECT.sqlalchemy))


def test_a_value_is_compared_as_what_its_column_is() -> None:
    where = conditions({"start_date": date(2024, 11, 1)}, None, ANOTHER)
    shape = listing.Shape(where.shape, listing.order_of((("date_time", False),)).keys, after=True)

    text = listing.page(ANOTHER, shape).statement.text

    assert "home_visits.date_time >= $1::TIMESTAMP WITH TIME ZONE" in text
    assert "(home_visits.date_time, home_visits.id) > ($2::TIMESTAMP WITH TIME ZONE, $3::VARCHAR)" in text


def test_paths_are_tried_in_the_order_of_the_dialect() -> None:
    where = conditions({"keyword": "wheelchair"}, [WILLOW, ROWAN], ANOTHER)

    walk = listing.page(ANOTHER, listing.Shape(where.shape, (("date_time", False), ("id", False)))).statement

    assert walk.fallback is not None
    assert walk.fallback.fallback is not None
    merged, scan = walk.fallback, walk.fallback.fallback
    assert (walk.max_steps, merged.max_steps, scan.fallback) == (1, 2, None)
    assert ["unnest" in one.text for one in (walk, merged, scan)] == [False, True, False]
    assert ["LIKE" in one.text for one in (walk, merged, scan)] == [False, False, True]


def test_no_database_is_chosen_and_nothing_compiled_by_an_import() -> None:
    program = (
        "import sys\n"
        "from sqlalchemy.sql.compiler import SQLCompiler\n"
        "compile = SQLCompiler.__init__\n"
        "compiled = []\n"
        "def __init__(self, *arguments, **options):\n"
        "    compiled.append(arguments)\n"
        "    compile(self, *arguments, **options)\n"
        "SQLCompiler.__init__ = __init__\n"
        "import app, storage.demo, storage.carehq.importing, storage.carehq.exporting, storage.outbox.courier\n"
        "print(len(compiled), [name for name in sys.modules if name.startswith(('storage.sqlite', 'aiosqlite'))])\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert (ended.stdout, ended.stderr) == ("0 []\n", "")
