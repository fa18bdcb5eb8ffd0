"""WebSockets on a real server, over a schema small enough to keep in mind."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self, cast

import aiohttp
import strawberry
from aiohttp import web
from graphql import GraphQLError
from strawberry import ID

from schema.execution.engine import Engine
from schema.execution.limits import Limits
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.http.connections import HTTPLimits, Runner
from schema.transport.http.endpoint import Endpoint
from schema.transport.operations import Operations, RequestRecord
from schema.transport.requests import TrustedDocuments
from schema.transport.websocket.endpoint import WebSockets
from schema.transport.websocket.sockets import WebSocketLimits
from storage.caller import Caller, Role
from tests.schema.transport.http.served import present_error

PROTOCOL = "graphql-transport-ws"
INIT = {"type": "connection_init"}
ACK = {"type": "connection_ack"}
BELLS = "subscription Bells($loud: Boolean! = false) { bells { number shout @include(if: $loud) } }"


class Bells:
    """A stream that is rung by the test; it keeps three bells for a reader that is busy."""

    def __init__(self) -> None:
        self.on_overflow: Callable[[], None] = lambda: None
        self.closed = False
        self._kept: deque[int] = deque()
        self._finished = False
        self._changed = asyncio.Event()

    def ring(self, number: int) -> None:
        if len(self._kept) == 3:
            self.on_overflow()
        self._kept.append(number)
        self._changed.set()

    def finish(self) -> None:
        self._finished = True
        self._changed.set()

    async def aclose(self) -> None:
        self.closed = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while not self._kept:
            if self._finished:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return Bell(number=self._kept.popleft())


@strawberry.type
class Bell:
    number: int

    @strawberry.field
    def shout(self) -> str:
        return "x" * self.number

    @strawberry.field
    def broken(self) -> str:
        raise RuntimeError("hunter2")

    @strawberry.field
    def near(self) -> bool:
        if self.number > 1:
            raise GraphQLError("It is away.", extensions={"code": "OUT_OF_SIGHT"})
        return True

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bell) and other.number == self.number


@dataclass
class Work:
    """What the fields do. `wait` goes on until it is released, and so does the closing of `slow_to_close`."""

    bells: list[Bells] = field(default_factory=list)
    running: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    released: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: list[str] = field(default_factory=list)
    contexts: list[tuple[Caller, str]] = field(default_factory=list)


Info = strawberry.Info[Any, None]


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"Hello, {name}!"

    @strawberry.field
    async def wait(self, info: Info) -> str:
        work: Work = info.context[2]
        work.running.release()
        try:
            await work.released.wait()
        except asyncio.CancelledError:
            work.cancelled.append("wait")
            raise
        return "done"

    @strawberry.field
    def long(self, characters: int) -> str:
        return "x" * characters


@strawberry.type
class Mutation:
    @strawberry.mutation
    def book(self) -> ID:
        return ID("1")


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def bells(self, info: Info, refuse: bool = False) -> AsyncIterator[Bell]:
        if refuse:
            raise GraphQLError("Not for you.", extensions={"code": "FORBIDDEN"})
        bells = Bells()
        info.context[2].bells.append(bells)
        return bells

    @strawberry.subscription
    async def numbers(self, up_to: int) -> AsyncIterator[int]:
        for number in range(up_to):
            yield number

    @strawberry.subscription
    async def slow_to_close(self, info: Info) -> AsyncIterator[int]:
        work: Work = info.context[2]
        work.running.release()
        try:
            await asyncio.Event().wait()
            yield 1
        finally:
            work.cancelled.append("slow_to_close")
            await work.released.wait()


SCHEMA = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)


class Unauthenticated(GraphQLError):
    reason = "expired"

    def __init__(self) -> None:
        super().__init__("The token has expired.", extensions={"code": "UNAUTHENTICATED"})


@dataclass
class Tokens:
    """Tokens that are names, and end when the test says so. Without one, it is Amy. `unchecked` counts while keys are away."""

    expired: set[str | None] = field(default_factory=set)
    keys_are_away: bool = False
    unchecked: int = 0
    seconds: dict[str | None, float] = field(default_factory=dict)

    def authenticate(self, authorization: str | None) -> Caller:
        if self.keys_are_away:
            self.unchecked += 1
            raise GraphQLError("The keys are away.", extensions={"code": "OVERLOADED"})
        if authorization in self.expired:
            raise Unauthenticated
        name = authorization.removeprefix("Bearer ") if authorization else "amy"
        return Caller(name, frozenset({Role.VIEWER}))

    def seconds_left(self, authorization: str | None) -> float | None:
        return self.seconds.get(authorization)


@dataclass
class Client:
    """One client's end of a WebSocket."""

    socket: aiohttp.ClientWebSocketResponse

    async def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            await self.socket.send_json(message)

    async def receive(self) -> Any:
        return await self.socket.receive_json(timeout=10)

    async def subscribe(self, query: str, id: str = "1", /, **payload: Any) -> None:
        await self.send({"type": "subscribe", "id": id, "payload": {"query": query, **payload}})

    async def closed(self) -> tuple[int | None, str | None]:
        """Read to the end; return the code and reason of the close."""
        while True:
            message = await self.socket.receive(timeout=15)
            if message.type is aiohttp.WSMsgType.CLOSE:
                return message.data, message.extra
            if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                return self.socket.close_code, None


@dataclass
class Connected:
    """A server that runs."""

    port: int
    client: aiohttp.ClientSession
    runner: web.AppRunner
    endpoint: Endpoint
    sockets: WebSockets[Caller]
    work: Work
    tokens: Tokens
    records: list[RequestRecord]

    @asynccontextmanager
    async def open(self, *, init: bool = True, protocols: tuple[str, ...] = (PROTOCOL,), **options: Any) -> AsyncIterator[Client]:
        async with self.client.ws_connect("/graphql", protocols=protocols, autoclose=False, **options) as socket:
            client = Client(socket)
            if init:
                await client.send(INIT)
                assert await client.receive() == ACK
            yield client


@asynccontextmanager
async def serving(
    *,
    limits: WebSocketLimits | None = None,
    http: HTTPLimits | None = None,
    concurrency: ConcurrencyLimiter | None = None,
    trusted: TrustedDocuments | None = None,
    origins: frozenset[str] = frozenset(),
    planned: bool = True,
) -> AsyncIterator[Connected]:
    work, tokens, records = Work(), Tokens(), list[RequestRecord]()
    engine = Engine(SCHEMA, Limits(), planned=planned)

    def make_context(caller: Caller, id: str) -> Any:
        work.contexts.append((caller, id))
        return caller, id, work

    operations = Operations(
        execute=engine.execute,
        subscribe=engine.subscribe,
        authenticate=tokens.authenticate,
        seconds_left=tokens.seconds_left,
        make_context=make_context,
        present_error=present_error,
        record=records.append,
        concurrency=concurrency or ConcurrencyLimiter(),
        execution_seconds=10,
        cost_limit=10_000,
    )
    sockets = WebSockets(operations, limits or WebSocketLimits(), trusted=trusted, audience=lambda caller: caller.roles)
    http = http or HTTPLimits()
    endpoint = Endpoint(operations, limits=http, trusted=trusted, origins=origins, sockets=sockets)
    app = web.Application()
    app.router.add_route("*", "/graphql", endpoint.handle)
    runner = Runner(app, http, refuse_header=endpoint.refuse_header)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            yield Connected(port, client, runner, endpoint, sockets, work, tokens, records)
    finally:
        await runner.cleanup()


def next_of(data: Any, id: str = "1") -> dict[str, Any]:
    return {"id": id, "type": "next", "payload": {"data": data}}


def complete(id: str = "1") -> dict[str, Any]:
    return {"id": id, "type": "complete"}


def rung(connected: Connected, index: int = 0) -> Bells:
    return cast(Bells, connected.work.bells[index])
