"""Operations without any transport: limited, timed out, refused, presented, recorded."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import pytest
from graphql import GraphQLError, OperationDefinitionNode, parse

from schema.execution.engine import Request, Result
from schema.server.logs import Log
from schema.server.metrics import Metrics
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.operations import Operations, RequestRecord, RequestState, Response
from schema.transport.shares import Shares

CANARY = "hunter2"
HELLO = Request("{ hello }", "Hello", {})


class Person(NamedTuple):
    subject: str
    application: str | None = None


AMY = Person("amy")


@dataclass
class Running:
    """Operations whose engine notes in `steps` what is done, and does `work` for each operation."""

    operations: Operations[Person]
    concurrency: ConcurrencyLimiter
    records: list[RequestRecord]
    steps: list[str]

    async def run(self, request: Request = HELLO, *, id: str = "req-1", caller: Person | None = None) -> Response:
        """Run as a transport does: respond, then record."""

        def parse_request() -> Request:
            self.steps.append("parse")
            return request

        state = RequestState(id)
        running = self.operations.execute(state, parse_request, authorization="Bearer amy", caller=caller)
        response = await self.operations.respond(state, running)
        self.operations.record(state, response.refused_status or 200)
        return response


def present(error: GraphQLError, request_id: str, _context: object = None) -> dict[str, Any]:
    code = (error.extensions or {}).get("code", "INTERNAL_SERVER_ERROR")
    return {"message": error.message, "extensions": {"code": code, "requestId": request_id}}


def running(
    work: Callable[[], Awaitable[Result]] | None = None,
    *,
    faults: Sequence[Exception] = (),
    seconds: float = 30,
    record: Callable[[RequestRecord], object] | None = None,
    max_executing: int = 64,
    max_queued: int = 128,
    deprecated_uses: Callable[[Request], list[str]] | None = None,
) -> Running:
    steps, records = list[str](), list[RequestRecord]()
    shares = Shares(clock=lambda: 0.0)
    concurrency = ConcurrencyLimiter(max_executing=max_executing, max_queued=max_queued, shares=shares)

    async def hello() -> Result:
        return Result({"hello": "world"}, [], True, None)

    async def execute(_request: Request, context: tuple[Person, str], occurred: list[Exception]) -> Result:
        caller, id = context
        occurred += faults
        steps.append(f"execute for {caller.subject}, {id}, {concurrency.executing} executing")
        return await (work or hello)()

    def authenticate(authorization: str | None) -> Person:
        steps.append(f"authenticate {authorization}")
        return AMY

    operations = Operations(
        execute=execute,
        authenticate=authenticate,
        make_context=lambda caller, request_id: (caller, request_id),
        present_error=present,
        record=record or records.append,
        concurrency=concurrency,
        execution_seconds=seconds,
        cost_limit=100,
        deprecated_uses=deprecated_uses,
    )
    return Running(operations, concurrency, records, steps)


async def never() -> Result:
    await asyncio.sleep(10)
    raise AssertionError("It was not cancelled.")


async def fail() -> Result:
    raise RuntimeError(CANARY)


def refusal(code: str, message: str, status: int) -> Response:
    errors = [{"message": message, "extensions": {"code": code, "requestId": "req-1"}}]
    return Response(None, errors, executed=False, refused_status=status)


async def test_an_operation_is_signed_in_parsed_admitted_and_executed_in_this_order() -> None:
    server = running()

    response = await server.run()

    assert response == Response({"hello": "world"}, [], executed=True, refused_status=None)
    assert server.steps == ["authenticate Bearer amy", "parse", "execute for amy, req-1, 1 executing"]
    assert [record._replace(seconds=0) for record in server.records] == [
        RequestRecord("req-1", "amy", "Hello", None, "ok", 200, 0, None)
    ]


async def test_what_a_request_uses_of_what_is_deprecated_is_recorded_with_the_application() -> None:
    server = running(deprecated_uses=lambda request: [f"used in {request.document}"])

    await server.run(caller=Person("ben", "booking-app"))

    [record] = server.records
    assert (record.application, record.deprecated) == ("booking-app", ("used in { hello }",))


async def test_a_connection_signs_in_once_for_all_its_operations() -> None:
    server = running()

    await server.run(caller=Person("bob"))

    assert server.steps == ["parse", "execute for bob, req-1, 1 executing"]
    assert [record.caller for record in server.records] == ["bob"]


async def test_an_operation_that_takes_too_long_is_cancelled() -> None:
    server = running(never, seconds=0.05)

    response = await server.run()

    assert response == refusal("TIMEOUT", "Given up after 0.05 seconds. Ask for less, or again later.", 504)
    assert [(record.outcome, record.status) for record in server.records] == [("TIMEOUT", 504)]
    assert server.concurrency.executing == 0


async def test_an_operation_beyond_the_concurrency_limit_and_the_queue_is_refused() -> None:
    server = running(never, max_executing=1, max_queued=1)
    others = [asyncio.create_task(server.run(id=f"other-{number}")) for number in range(2)]
    await asyncio.sleep(0)

    response = await server.run()

    assert response == refusal("OVERLOADED", "The server is busy. Try again in a second.", 503)
    assert (server.concurrency.executing, server.concurrency.queued) == (1, 1)
    assert [(record.request_id, record.outcome, record.status) for record in server.records] == [("req-1", "OVERLOADED", 503)]
    for other in others:
        other.cancel()
    await asyncio.wait(others)
    assert [(record.outcome, record.status) for record in server.records[1:]] == [("DISCONNECTED", 499)] * 2


async def test_a_fault_of_ours_is_presented_in_general_and_recorded_in_full() -> None:
    failure = RuntimeError(CANARY)

    async def fail() -> Result:
        raise failure

    server = running(fail)

    response = await server.run()

    assert response == refusal("INTERNAL_SERVER_ERROR", "Unexpected error.", 500)
    assert [(record.outcome, record.failure) for record in server.records] == [("INTERNAL_SERVER_ERROR", failure)]


async def test_a_request_that_cannot_be_parsed_was_signed_in_and_never_executed() -> None:
    server = running()

    def parse_request() -> Request:
        raise GraphQLError("No JSON.", extensions={"code": "BAD_REQUEST"})

    state = RequestState("req-1")
    response = await server.operations.respond(state, server.operations.execute(state, parse_request))

    assert response == refusal("BAD_REQUEST", "No JSON.", 400)
    assert server.steps == ["authenticate None"]


COST = HELLO._replace(reports_cost=True)
TOO_MUCH = {"code": "QUERY_TOO_COMPLEX", "limit": "cost", "allowed": 100, "asked": 700}


def refused(extensions: dict[str, Any]) -> Result:
    return Result(None, [GraphQLError("No.", extensions=extensions)], False, None)


@pytest.mark.parametrize(
    ("result", "requested", "available"),
    [
        (Result({"hello": "world"}, [], True, None, cost=21), 21, 199_979),
        (Result({"hello": None}, [GraphQLError("No.", extensions={"code": "FORBIDDEN"})], True, None, cost=21), 21, 199_979),
        (refused(TOO_MUCH), 700, 200_000),
        (refused({"code": "GRAPHQL_PARSE_FAILED"}), None, 200_000),
    ],
    ids=["data", "data and errors", "too complex", "unreadable"],
)
async def test_a_response_tells_what_the_request_cost_where_it_asks(
    result: Result, requested: int | None, available: int
) -> None:
    async def work() -> Result:
        return result

    server = running(work)

    response = await server.run(COST)
    other = await running(work).run()

    share = {"available": available, "quota": 200_000, "seconds": 10}
    assert response.extensions == {"cost": {"requested": requested, "limit": 100, "share": share}}
    assert other.extensions is None
    assert response._replace(extensions=None) == other


async def test_a_refusal_tells_what_is_left_of_the_share() -> None:
    server = running(never, seconds=0.05)

    response = await server.run(COST)

    share = {"available": 200_000, "quota": 200_000, "seconds": 10}
    assert response.extensions == {"cost": {"requested": None, "limit": 100, "share": share}}


@pytest.mark.parametrize(("work", "available"), [(None, 199_979), (fail, 199_999), (never, 199_999)], ids=["ok", "fails", "late"])
async def test_what_is_no_document_costs_something_also_where_it_is_refused(
    work: Callable[[], Awaitable[Result]] | None, available: int
) -> None:
    server, state = running(seconds=0.05), RequestState("req-1")

    async def sign_in() -> Person:
        return AMY

    async def run(_context: Any) -> Result:
        return await work() if work else Result({}, [], True, None, cost=21)

    await server.operations.respond(state, server.operations.run(state, sign_in, run))

    assert server.concurrency.shares.share("amy").available == available


@pytest.mark.parametrize("work", [None, fail, never], ids=["ok", "fails", "late"])
async def test_an_operation_leaves_the_limiter_however_it_ends(work: Callable[[], Awaitable[Result]] | None) -> None:
    server = running(work, seconds=0.05)

    await asyncio.gather(*(server.run() for _ in range(70)))

    assert (server.concurrency.executing, server.concurrency.queued) == (0, 0)
    assert (server.concurrency._executing_of, server.concurrency._queues) == ({}, {})


def raised(message: str) -> Exception:
    try:
        raise LookupError(message)
    except LookupError as fault:
        return fault


async def test_requests_and_faults_of_the_fast_path_are_logged_and_counted(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("json")
    metrics, faults = Metrics(log), list[Exception]()
    [operation] = parse("query Greeting { hello }").definitions

    async def work() -> Result:
        return Result({"hello": "world"}, [], True, cast("OperationDefinitionNode", operation))

    server = running(work, faults=faults, record=metrics.record)

    for number in range(3):
        faults[:] = [raised(CANARY), raised(CANARY)] if number == 1 else []
        await server.run(id=f"req-{number}")
    exported = metrics.export().decode().splitlines()

    log.flush()
    out = capfd.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["level"], line["event"], line["request_id"]) for line in lines] == [
        ("error", "fast path fault", "req-1"),
        ("error", "fast path fault", "req-1"),
        ("info", "request", "req-0"),
        ("info", "request", "req-1"),
        ("info", "request", "req-2"),
    ]
    assert lines[0]["failure"][0] == "builtins.LookupError"
    assert CANARY not in out
    assert "home_visits_fast_path_faults_total 2.0" in exported
    assert 'home_visits_requests_total{operation="Greeting",outcome="ok",type="query"} 3.0' in exported


@pytest.mark.parametrize(("work", "outcome"), [(fail, "INTERNAL_SERVER_ERROR"), (never, "TIMEOUT")])
async def test_a_fault_is_recorded_where_what_served_in_its_place_fails(
    work: Callable[[], Awaitable[Result]], outcome: str
) -> None:
    fault = raised(CANARY)
    server = running(work, seconds=0.05, faults=[fault])

    await server.run()

    assert [(record.outcome, record.faults) for record in server.records] == [(outcome, (fault,))]


@pytest.mark.parametrize("id", [None, ""])
def test_a_request_without_an_id_gets_one_of_its_own(id: str | None) -> None:
    ids = {state.id for state in map(RequestState, [id] * 20)}

    assert len(ids) == 20
    assert {len(each) for each in ids} == {16}
