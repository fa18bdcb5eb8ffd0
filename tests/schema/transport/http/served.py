"""The endpoint on a real server, over a schema small enough to keep in mind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Self, cast

import aiohttp
from aiohttp import web
from graphql import (
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    build_schema,
    execute,
    get_operation_ast,
    parse,
    validate,
)

from schema.execution.engine import Request, Result
from schema.transport.at_once import AtOnce
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.http.connections import HTTPLimits, Runner
from schema.transport.http.endpoint import Endpoint
from schema.transport.operations import Operations, RequestRecord
from schema.transport.requests import TrustedDocuments
from storage.caller import Caller, Role

SCHEMA = build_schema("""
    type Query {
      hello(name: String = "world"): String!
      number(value: Float): Float
      ids(of: [ID!]): [ID!]
      long(characters: Int!): String!
      wait: String
      broken: String
      required: String!
      refused: String
    }
    type Mutation { book: String }
""")

CANARY = "postgresql://root:hunter2@db"
# Whether servers answer straight where a test does not say.
STRAIGHT = True
AMY = Caller("amy", frozenset({Role.VIEWER}))

HELLO = {"query": "{ hello }"}
WAIT = {"query": "query Patience { wait }"}


@dataclass
class Work:
    """What the fields do, and what became of it: `wait` goes on until it is released or cancelled."""

    ran: list[str] = field(default_factory=list)
    cleaned: list[str] = field(default_factory=list)
    running: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    released: asyncio.Event = field(default_factory=asyncio.Event)
    cost: int = 0

    def hello(self, _info: GraphQLResolveInfo[Any], name: str | None) -> str:
        self.ran.append("hello")
        return f"Hello, {name}!"

    def number(self, _info: GraphQLResolveInfo[Any], value: float | None = None) -> float | None:
        return value

    def ids(self, _info: GraphQLResolveInfo[Any], of: list[str] | None = None) -> list[str] | None:
        return of

    def long(self, _info: GraphQLResolveInfo[Any], characters: int) -> str:
        return "x" * characters

    async def wait(self, _info: GraphQLResolveInfo[Any]) -> str:
        self.ran.append("wait")
        self.running.release()
        try:
            await self.released.wait()
        finally:
            await asyncio.sleep(0)
            self.cleaned.append("wait")
        return "done"

    def broken(self, _info: GraphQLResolveInfo[Any]) -> str:
        raise RuntimeError(CANARY)

    def required(self, _info: GraphQLResolveInfo[Any]) -> None:
        return None

    def refused(self, _info: GraphQLResolveInfo[Any]) -> str:
        raise GraphQLError("Not for you.", extensions={"code": "FORBIDDEN"})

    async def execute(self, request: Request, context: object, _faults: list[Exception]) -> Result:
        try:
            document = parse(request.document)
        except GraphQLSyntaxError as error:
            return _request_error("GRAPHQL_PARSE_FAILED", error)
        if errors := validate(SCHEMA, document):
            return _request_error("GRAPHQL_VALIDATION_FAILED", *errors)
        operation = get_operation_ast(document, request.operation_name)
        if operation is None:
            return _request_error("OPERATION_RESOLUTION_FAILURE", GraphQLError("Which operation?"))
        result = execute(SCHEMA, document, self, context, request.variables, request.operation_name)
        if isawaitable(result):
            result = await result
        return self._result(operation, result)

    def at_once(self, request: Request, make_context: Callable[[], object]) -> Result | None:
        """Execute a query that succeeds without waiting for anything."""
        try:
            document = parse(request.document)
        except GraphQLSyntaxError:
            return None
        operation = get_operation_ast(document, request.operation_name)
        if operation is None or operation.operation is not OperationType.QUERY or validate(SCHEMA, document):
            return None
        if "wait" in request.document:
            return None
        result: Any = execute(SCHEMA, document, self, make_context(), request.variables, request.operation_name)
        return None if result.errors else self._result(operation, result)

    def _result(self, operation: OperationDefinitionNode, result: Any) -> Result:
        errors = result.errors or []
        if result.data is None and not any(error.path for error in errors):
            return _request_error("BAD_USER_INPUT", *errors, operation=operation)
        return Result(result.data, errors, True, operation, cost=self.cost)


def _request_error(code: str, *errors: GraphQLError, operation: OperationDefinitionNode | None = None) -> Result:
    for error in errors:
        error.extensions = {"code": code}
    return Result(None, list(errors), False, operation)


def present_error(error: GraphQLError, request_id: str, _context: object) -> dict[str, Any]:
    if "code" not in (error.extensions or {}):
        return {"message": "Unexpected error.", "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id}}
    return {"message": error.message, "extensions": {**(error.extensions or {}), "requestId": request_id}}


@dataclass
class Served:
    """A server that runs. `client` speaks HTTP to it, `connect` is for what no client would send."""

    port: int
    client: aiohttp.ClientSession
    runner: web.AppRunner
    endpoint: Endpoint
    concurrency: ConcurrencyLimiter
    work: Work
    records: list[RequestRecord]

    async def ask(self, body: object = None, /, **headers: str) -> aiohttp.ClientResponse:
        """Post a body; headers with `_` for `-`."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/graphql", json=HELLO if body is None else body, headers=names)

    @property
    def straight_answers(self) -> int:
        return self.endpoint.straight_answers

    @property
    def connections(self) -> list[object]:
        return list(self.runner.server.connections) if self.runner.server else []

    async def connect(self) -> "Connection":
        return Connection(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**24))


@dataclass
class Connection:
    """A socket, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def stop_reading(self) -> None:
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    def read_on(self) -> None:
        cast(asyncio.Transport, self.writer.transport).resume_reading()

    async def closed_after(self) -> float:
        """Wait until the other side closes; return the seconds that took."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        with suppress(ConnectionError):
            async with asyncio.timeout(20):
                await self.reader.read()
        return loop.time() - started


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the server, which has no event for a test
            await asyncio.sleep(0.005)


def post(body: bytes, *, length: int | None = None) -> bytes:
    head = f"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length or len(body)}\r\n\r\n"
    return head.encode() + body


def at_once(work: Work, authenticate: Callable[[str | None], Caller]) -> AtOnce:
    return AtOnce(
        authenticate=(lambda _authorization: None) if iscoroutinefunction(authenticate) else authenticate,
        make_context=lambda _caller, _request_id: None,
        execute=work.at_once,
        defer=lambda _request: None,
    )


@asynccontextmanager
async def served(
    *,
    limits: HTTPLimits | None = None,
    concurrency: ConcurrencyLimiter | None = None,
    trusted: TrustedDocuments | None = None,
    origins: frozenset[str] = frozenset(),
    page: tuple[bytes, dict[str, str]] | None = None,
    straight: bool | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """Serve; `options` replace what operations are run by. `straight`: what can be answered at once is."""
    limits, concurrency = limits or HTTPLimits(), concurrency or ConcurrencyLimiter()
    work, records = Work(), list[RequestRecord]()
    defaults = {
        "execute": work.execute,
        "authenticate": lambda _authorization: AMY,
        "make_context": lambda _caller, _request_id: None,
        "present_error": present_error,
        "record": records.append,
        "concurrency": concurrency,
        "execution_seconds": limits.execution_seconds,
        "cost_limit": 10_000,
    }
    if (STRAIGHT if straight is None else straight) and "execute" not in options:
        defaults["at_once"] = at_once(work, (defaults | options)["authenticate"])
    operations: Operations[Any] = Operations(**defaults | options)
    endpoint = Endpoint(operations, limits=limits, trusted=trusted, origins=origins, page=page)
    app = web.Application()
    app.router.add_route("*", "/graphql", endpoint.handle)
    answer_at_once = endpoint.answer_at_once if operations.runs_at_once else None
    runner = Runner(app, limits, refuse_header=endpoint.refuse_header, straight=answer_at_once)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector, auto_decompress=False) as client:
            yield Served(port, client, runner, endpoint, concurrency, work, records)
    finally:
        await runner.cleanup()
