"""What an answer that is late, lost or broken says about a write: never that it may be sent again where it may have been done."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
import sqlalchemy as sa

from resolvers.errors import present
from schema.execution.engine import Request
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.operations import Operations, RequestState, Response
from storage import writes
from storage.database import Database
from tests import databases, world
from tests.asking import Ask, shared_engine
from tests.databases import path_of
from tests.inspection import disk_failure, inspect, table_lock
from tests.resolvers.changing import BOOKING, everything
from tests.resolvers.withholding import without_readers, without_writers
from tests.world import PENDING, VISIT_IDS

OTHER = VISIT_IDS[6]
INPUTS: dict[str, dict[str, Any]] = {
    "bookHomeVisit": BOOKING,
    "updateHomeVisit": {"id": PENDING, "notes": "New."},
    "cancelHomeVisit": {"id": PENDING},
    "completeHomeVisit": {"id": PENDING},
}
KEY = "The same idempotency key tells; without one, look for the visit before you book again."
VERSION = "The version of the visit tells: read it before you send this again."
TELLS = {name: KEY if name == "bookHomeVisit" else VERSION for name in INPUTS}
DONE = "It is done and saved: do not send it again, but read the visit."


class Releasable(Protocol):
    def set(self) -> None: ...


@pytest.fixture
def go_on(once: Ask) -> Iterator[Releasable]:
    """Hold each write at its event, which is its last row but the mail's, until it may go on."""
    if not databases.is_sqlite():
        with table_lock(databases.url_of(path_of(once.database)), "home_visit_events") as lock:
            yield lock
        return
    go_on = threading.Event()

    def wait(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO home_visit_events"):
            assert go_on.wait(30)

    sa.event.listen(sa.Engine, "before_cursor_execute", wait)
    yield go_on
    go_on.set()
    sa.event.remove(sa.Engine, "before_cursor_execute", wait)


@pytest.fixture
def once(database: Database) -> Ask:
    """Ask by the fast path alone: these take time, and no executor knows of them."""
    return Ask(database, shared_engine(planned=True))


def document(name: str, selection: str = "id", key: str = "") -> str:
    type = name[0].upper() + name[1:]
    success = f"... on {type}Success {{ homeVisit {{ {selection} }} }}"
    pending = f"... on HomeVisitNotPendingError {{ homeVisit {{ {selection} }} }}" if name != "bookHomeVisit" else ""
    return (
        f"mutation ($input: {type}Input!) {{ {key or name}{':' + name if key else ''}(input: $input) {{ {success} {pending} }} }}"
    )


async def respond(ask: Ask, document: str, input: dict[str, Any] | None, *, seconds: float) -> Response:
    """Run a document as every transport does, with a deadline."""
    operations = Operations(
        execute=ask.engine.execute,
        authenticate=lambda _authorization: world.EVERYBODY,
        make_context=lambda caller, _id: ask.context(caller),
        present_error=present,
        record=lambda _record: None,
        concurrency=ConcurrencyLimiter(),
        execution_seconds=seconds,
        cost_limit=10_000,
    )
    state = RequestState("the-request")
    request = Request(document, None, {} if input is None else {"input": input})
    return await operations.respond(state, operations.execute(state, lambda: request))


def wait_for_writes(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set how long a caller that goes away waits for what has begun."""
    monkeypatch.setattr(writes, "END_SECONDS", seconds)


def timeout(message: str, **extensions: Any) -> Response:
    whole = {"code": "TIMEOUT", "requestId": "the-request"} | extensions
    return Response(None, [{"message": message, "extensions": whole}], executed=False, refused_status=504)


@pytest.mark.parametrize("name", INPUTS)
async def test_what_waits_for_the_write_lock_when_its_time_is_over_is_never_done(once: Ask, name: str) -> None:
    before = everything(once.database)

    async with without_writers(once.database):
        response = await respond(once, document(name), INPUTS[name], seconds=0.2)
    await once.database.close()

    assert response == timeout("Given up after 0.2 seconds. Nothing was changed. Ask for less, or again later.")
    assert everything(once.database) == before


@pytest.mark.parametrize("name", INPUTS)
async def test_what_has_begun_is_awaited_and_answered_as_committed(
    once: Ask, name: str, go_on: Releasable, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_writes(30, monkeypatch)
    asyncio.get_running_loop().call_later(1.2, go_on.set)

    response = await respond(once, document(name, key="mine"), INPUTS[name], seconds=1)

    assert once.database.transaction_count == 1
    assert response == timeout(
        "Given up after 1 seconds. Done and saved: mine. Do not send it again, but read the visit.",
        committed=True,
        committedFields=["mine"],
    )


@pytest.mark.parametrize("name", INPUTS)
async def test_what_has_begun_and_takes_long_is_in_doubt(
    once: Ask, name: str, go_on: Releasable, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_writes(0.01, monkeypatch)

    response = await respond(once, document(name, key="mine"), INPUTS[name], seconds=1)
    committed_by_then = once.database.transaction_count
    go_on.set()
    await once.database.close()

    assert response == timeout(f"Given up after 1 seconds. Perhaps done: mine. {TELLS[name]}", inDoubtFields=["mine"])
    assert (committed_by_then, once.database.transaction_count) == (0, 1)


@pytest.mark.parametrize("name", INPUTS)
async def test_a_change_whose_answer_takes_too_long_to_read_is_committed(once: Ask, name: str) -> None:
    async with without_readers(once.database):
        response = await respond(once, document(name, "location { name }"), INPUTS[name], seconds=1)

    assert once.database.transaction_count == 1
    assert response == timeout(
        f"Given up after 1 seconds. Done and saved: {name}. Do not send it again, but read the visit.",
        committed=True,
        committedFields=[name],
    )


async def test_of_several_changes_those_that_are_done_are_named(once: Ask) -> None:
    several = f"""mutation {{
        first: cancelHomeVisit(input: {{ id: "{PENDING}" }}) {{ __typename }}
        refused: cancelHomeVisit(input: {{ id: "{world.CANCELLED}" }}) {{ __typename }}
        second: completeHomeVisit(input: {{ id: "{OTHER}" }}) {{
            ... on CompleteHomeVisitSuccess {{ homeVisit {{ location {{ name }} }} }}
        }}
        third: cancelHomeVisit(input: {{ id: "{VISIT_IDS[3]}" }}) {{ __typename }}
    }}"""

    async with without_readers(once.database):
        response = await respond(once, several, None, seconds=1)

    assert once.database.transaction_count == 2
    assert response == timeout(
        "Given up after 1 seconds. Done and saved: first, second. Do not send it again, but read the visit.",
        committed=True,
        committedFields=["first", "second"],
    )


@pytest.mark.parametrize("name", INPUTS)
async def test_a_caller_that_goes_away_takes_back_what_waits_for_the_write_lock(once: Ask, name: str) -> None:
    before = everything(once.database)

    async with without_writers(once.database):
        asking = asyncio.ensure_future(respond(once, document(name), INPUTS[name], seconds=10))
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await once.database.close()

    assert everything(once.database) == before


@pytest.mark.parametrize("name", INPUTS)
async def test_a_commit_that_fails_is_in_doubt(ask: Ask, name: str) -> None:
    def fail(_connection: sa.Connection) -> None:
        if not databases.is_sqlite():
            raise ConnectionResetError("the connection was lost")
        raise disk_failure()

    sa.event.listen(sa.Engine, "commit", fail)
    response = await ask(document(name), {"input": INPUTS[name]})
    sa.event.remove(sa.Engine, "commit", fail)

    assert response.data == {name: None}
    assert [(error["message"], error["extensions"]) for error in response.errors] == [
        (
            f"The database failed while it saved this, which may have been saved all the same. {TELLS[name]}",
            {"code": "IN_DOUBT", "requestId": "the-request"},
        )
    ]


# Every field below a visit that has to be read, and may not be null.
READ = [
    "location { timeZone }",
    "careEnquiry { careSeeker { firstName } }",
    "location { homeVisits { totalCount } }",
    "location { homeVisits { nodes { id } } }",
    "location { homeVisits { edges { cursor } } }",
    "location { homeVisits { pageInfo { hasNextPage } } }",
]


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("selection", READ)
async def test_a_field_that_cannot_be_read_after_the_commit_says_that_it_is_committed(
    ask: Ask, name: str, selection: str
) -> None:
    async with without_readers(ask.database, wait_seconds=0.02):
        response = await ask(document(name, selection), {"input": INPUTS[name]})

    assert (response.data, response.written) == ({name: None}, 1)
    assert [(error["message"], error["extensions"]) for error in response.errors] == [
        (
            f"The database did not answer in time. {DONE}",
            {"code": "OVERLOADED", "requestId": "the-request", "committed": True},
        )
    ]


LOST = {
    "location { name }": "DELETE FROM locations",
    "careEnquiry { careSeeker { firstName } }": "DELETE FROM care_enquiries",
    "location { homeVisits(first: 100) { nodes { host } } }": "UPDATE home_visits SET host = '?' WHERE assigned_to IS NULL",
    "location { homeVisits(first: 101) { totalCount } }": "SELECT 1",
}
# Nothing can be booked for what is not there.
BROKEN = [(name, one) for name in INPUTS for one in LOST if name != "bookHomeVisit" or "DELETE" not in LOST[one]]


@pytest.mark.parametrize(("name", "selection"), BROKEN)
async def test_what_is_lost_or_damaged_below_a_change_says_that_it_is_committed(ask: Ask, name: str, selection: str) -> None:
    inspect(path_of(ask.database)).execute(LOST[selection])

    response = await ask(document(name, selection), {"input": INPUTS[name]})

    assert (response.data, response.written) == ({name: None}, 1)
    [error] = response.errors
    assert error["message"].endswith(f". {DONE}")
    assert "again" not in error["message"].removesuffix(DONE)
    code = "BAD_USER_INPUT" if "101" in selection else "INTERNAL_SERVER_ERROR"
    assert error["extensions"] == {"code": code, "requestId": "the-request", "committed": True}


async def test_below_a_refusal_nothing_is_committed(ask: Ask) -> None:
    inspect(path_of(ask.database)).execute("DELETE FROM locations")

    response = await ask(document("cancelHomeVisit", "location { name }"), {"input": {"id": world.CANCELLED}})

    assert response.written == 0
    assert [error["extensions"] for error in response.errors] == [{"code": "INTERNAL_SERVER_ERROR", "requestId": "the-request"}]


REFUSE_OTHER = {
    "sqlite": f"CREATE TRIGGER no BEFORE UPDATE ON home_visits WHEN old.id = '{OTHER}' BEGIN SELECT RAISE(ABORT, 'no'); END",
    "postgresql": f"""CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
        CREATE TRIGGER no BEFORE UPDATE ON home_visits FOR EACH ROW WHEN (old.id = '{OTHER}') EXECUTE FUNCTION no()""",
}


async def test_an_error_is_about_its_own_change(ask: Ask) -> None:
    several = f"""mutation {{
        first: cancelHomeVisit(input: {{ id: "{PENDING}" }}) {{ __typename }}
        second: updateHomeVisit(input: {{ id: "{OTHER}", notes: "New." }}) {{ __typename }}
    }}"""
    inspect(path_of(ask.database)).execute(REFUSE_OTHER[databases.KIND])

    response = await ask(several)

    assert response.data == {"first": {"__typename": "CancelHomeVisitSuccess"}, "second": None}
    assert [(error["path"], error["extensions"]) for error in response.errors] == [
        (["second"], {"code": "INTERNAL_SERVER_ERROR", "requestId": "the-request"})
    ]
