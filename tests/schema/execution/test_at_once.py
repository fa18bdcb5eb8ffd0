"""What is answered at once is what would be answered otherwise; nothing is left running, and what has to wait is remembered."""

import asyncio
from typing import Any

import pytest

from resolvers.auth import allowed_operations
from schema.context import Context
from schema.execution.at_once import DEFERRED
from schema.execution.engine import Engine, Request, Result, Served
from storage.caller import Caller
from storage.database import Database, NotAtOnce
from tests import world
from tests.asking import Ask, engine
from tests.schema.execution.test_served import CHANGE, PAGE, USUAL, VISIT
from tests.world import PENDING, WILLOWS

# All others have several root fields, are not compiled whole, count for all parents together, introspect or change something.
AT_ONCE = {
    "a page with filters",
    "a page with a keyword",
    "a page with edges",
    "a page and its count",
    "a count alone",
    "a page with the people",
    "a page with IDs of what it refers to",
    "a visit by its ID",
    "a visit with the people",
    "an enquiry and its visits",
    "visits, and the visits of their homes",
    "an attendee on the phone",
    "where visits come from",
}


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine anything may take long."""
    monkeypatch.setattr("storage.sqlite.readers.INLINE_SECONDS", 60)
    monkeypatch.setattr("storage.sqlite.readers.TURN_SECONDS", 60)
    monkeypatch.setattr("schema.execution.at_once.SLICE", 60)


def context_of(database: Database, caller: Caller) -> Context:
    return Context(database, caller, lambda: world.NOW, "Europe/London", allowed_operations)


def at_once(engine: Engine, database: Database, request: Request, caller: Caller = world.EVERYBODY) -> Result | None:
    reading = database.at_once()
    assert reading is not None
    return engine.at_once(request, lambda: context_of(reading, caller))


async def a_turn() -> None:
    """Let the turn of the loop end in which something was compiled."""
    for _ in range(2):
        await asyncio.sleep(0)


@pytest.mark.sqlite  # every read on PostgreSQL has to wait
async def test_a_usual_document_is_answered_at_once_with_the_answer_that_it_has_otherwise(database: Database) -> None:
    found = set[str]()

    for name, usual in USUAL.items():
        ask, request = Ask(database, engine(planned=True)), Request(usual.document, None, usual.variables)
        assert at_once(ask.engine, database, request) is None, "it is not compiled yet"
        expected = await ask(usual.document, usual.variables)
        await a_turn()
        others, reads = asyncio.all_tasks(), database.statement_count
        result = at_once(ask.engine, database, request)
        if result is not None:
            found.add(name)
            assert (result.data, result.errors, result.served) == (expected.data, [], Served.ROOT_FIELDS)
            assert database.statement_count - reads <= expected.statements
        assert asyncio.all_tasks() == others, name
        assert database.transaction_count == 0

    assert found == AT_ONCE


@pytest.mark.sqlite
async def test_what_is_answered_at_once_stays_within_the_scope_and_costs_what_it_costs(database: Database) -> None:
    ask, request = Ask(database, engine(planned=True)), Request(PAGE % "nodes { id location { id } }", None, {"first": 20})
    for caller in (world.EVERYBODY, world.limited_to(WILLOWS)):
        expected = await ask.engine.execute(request, ask.context(caller))
        await a_turn()
        result = at_once(ask.engine, database, request, caller)

        assert result is not None
        assert (result.data, result.cost) == (expected.data, expected.cost)


REFUSED = {
    "a refusal of the caller": (VISIT % "id", {"id": PENDING}, Caller("nobody", frozenset())),
    "a cursor that is none": (PAGE % "nodes { id }", {"after": "none"}, world.EVERYBODY),
    "a page too large": (PAGE % "nodes { id }", {"first": 101}, world.EVERYBODY),
}


@pytest.mark.sqlite
@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_is_left_as_it_came(database: Database, name: str) -> None:
    document, variables, caller = REFUSED[name]
    ask = Ask(database, engine(planned=True))
    await ask(document, {"id": PENDING} if "id" in variables else {})

    assert at_once(ask.engine, database, Request(document, None, variables), caller) is None


@pytest.mark.sqlite
async def test_a_change_is_never_made_at_once(database: Database) -> None:
    ask, request = Ask(database, engine(planned=True)), Request(CHANGE % "", None, {"id": PENDING})
    await ask(CHANGE % "", {"id": world.UNKNOWN})

    assert at_once(ask.engine, database, request) is None
    assert (await ask(VISIT % "status", {"id": PENDING})).data == {"homeVisit": {"status": "PENDING"}}
    with pytest.raises(NotAtOnce):
        await (database.at_once() or database).write(lambda _session: None)


@pytest.mark.sqlite
async def test_what_has_to_wait_is_not_tried_again_for_a_while(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, request, tried = Ask(database, engine(planned=True)), Request(VISIT % "id", None, {"id": PENDING}), list[bool]()
    await ask(request.document, request.variables)

    def no_rows(_text: str, _values: Any) -> None:
        tried.append(True)

    with monkeypatch.context() as patched:
        patched.setattr("storage.sqlite.readers.InlineReader.fetch", lambda _self, text, values: no_rows(text, values))
        results = [at_once(ask.engine, database, request) for _ in range(DEFERRED + 2)]
        assert (results, tried) == ([None] * (DEFERRED + 2), [True] * 2)
    result = at_once(ask.engine, database, request)

    assert result is not None
    assert result.data == {"homeVisit": {"id": PENDING}}


@pytest.mark.sqlite
async def test_what_waits_for_something_else_than_a_read_ends_where_it_waits(database: Database) -> None:
    ask, request = Ask(database, engine(planned=True)), Request(VISIT % "id", None, {"id": PENDING})
    await ask(request.document, request.variables)
    ended = list[str]()

    class Waiting(Context):
        def __getattribute__(self, name: str) -> Any:
            if name == "visits":
                return Visits()
            return super().__getattribute__(name)

    class Visits:
        async def get(self, *_: object) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("get")

    reading = database.at_once() or database

    def make_context() -> Context:
        return Waiting(reading, world.EVERYBODY, lambda: world.NOW, "UTC", allowed_operations)

    assert [ask.engine.at_once(request, make_context) for _ in range(3)] == [None] * 3
    assert ended == ["get"] * 2


@pytest.mark.postgresql
async def test_nothing_is_answered_at_once_where_every_read_waits(database: Database) -> None:
    assert database.at_once() is None
