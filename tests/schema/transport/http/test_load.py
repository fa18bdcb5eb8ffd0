"""Deadlines, clients that leave, more requests than are admitted, the end of the server: nothing is left running or lost."""

import asyncio
import json
import random
import socket
import struct
from collections.abc import Callable

import aiohttp
import pytest
from graphql import OperationDefinitionNode, get_operation_ast, parse

from schema.execution.engine import Request, Result
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.http.connections import HTTPLimits, drain
from schema.transport.http.negotiation import GRAPHQL_RESPONSE as MODERN
from schema.transport.http.negotiation import JSON as LEGACY
from schema.transport.shares import ShareLimits, Shares
from storage.caller import Caller
from tests.schema.transport.http.served import AMY, WAIT, Connection, Served, post, served, until


def admitted(server: Served) -> int:
    return server.concurrency.executing + server.concurrency.queued


def caller_of(authorization: str | None) -> Caller:
    return Caller(authorization or "somebody", AMY.roles)


async def one_more(server: Served, caller: str = "amy") -> asyncio.Task[int]:
    """Send what does not end, see it executing or queued, and return the status to come."""

    async def status() -> int:
        return (await server.ask(WAIT, Authorization=caller)).status

    goal = admitted(server) + 1
    task = asyncio.create_task(status())
    await until(lambda: admitted(server) == goal)
    return task


def close(connection: Connection) -> None:
    connection.writer.close()


def crash(connection: Connection) -> None:
    connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.writer.transport.abort()


@pytest.mark.parametrize("accept", [MODERN, LEGACY])
async def test_what_takes_too_long_is_cancelled_and_cleaned_up(accept: str) -> None:
    async with served(limits=HTTPLimits(execution_seconds=0.1)) as server:
        response = await server.ask(WAIT, Accept=accept, X_Request_Id="req-1")
        body = await response.json(content_type=accept)

    message = "Given up after 0.1 seconds. Ask for less, or again later."
    assert response.status == 504
    assert body == {"errors": [{"message": message, "extensions": {"code": "TIMEOUT", "requestId": "req-1"}}]}
    assert server.work.cleaned == ["wait"]
    assert [(record.caller, record.outcome, record.status) for record in server.records] == [("amy", "TIMEOUT", 504)]


async def test_what_never_got_its_result_is_recorded_with_the_operation_that_it_named() -> None:
    def cached_operation(request: Request) -> OperationDefinitionNode | None:
        return get_operation_ast(parse(request.document), request.operation_name)

    limits = HTTPLimits(execution_seconds=0.3)
    async with served(limits=limits, cached_operation=cached_operation) as server, await server.connect() as connection:
        await connection.send(post(json.dumps(WAIT).encode()))
        await until(lambda: server.work.ran)
        crash(connection)
        await until(lambda: server.records)
        late = await server.ask(WAIT)

    assert late.status == 504
    assert [(record.outcome, record.operation_type, record.operation_name) for record in server.records] == [
        ("DISCONNECTED", "query", "Patience"),
        ("TIMEOUT", "query", "Patience"),
    ]


async def test_the_time_in_the_queue_counts() -> None:
    async with served(limits=HTTPLimits(execution_seconds=0.2), concurrency=ConcurrencyLimiter(max_executing=1)) as server:
        responses = await asyncio.gather(*(server.ask(WAIT) for _ in range(3)))

    assert [response.status for response in responses] == [504, 504, 504]
    assert all(0.19 < record.seconds < 5 for record in server.records)
    assert (server.concurrency.executing, server.concurrency.queued) == (0, 0)


async def test_the_time_to_sign_in_counts() -> None:
    async def never(authorization: str | None) -> Caller:
        await asyncio.Event().wait()
        return AMY

    async with served(limits=HTTPLimits(execution_seconds=0.1), authenticate=never) as server:
        response = await server.ask()

    assert response.status == 504
    assert server.work.ran == []


async def test_what_cannot_be_cancelled_is_answered_when_it_is_done() -> None:
    async def write(request: Request, context: object, _faults: list[Exception]) -> Result:
        writing = asyncio.create_task(asyncio.sleep(0.2))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
        return Result({"book": "done"}, [], True, None)

    async with served(limits=HTTPLimits(execution_seconds=0.1), execute=write) as server:
        response = await server.ask()
        body = await response.json()

    assert (response.status, body) == (200, {"data": {"book": "done"}})


@pytest.mark.parametrize("leave", [close, crash])
async def test_a_client_that_leaves_frees_what_worked_for_it(leave: Callable[[Connection], None]) -> None:
    async with served() as server, await server.connect() as connection:
        await connection.send(post(b'{"query":"{ wait }"}'))
        await until(lambda: server.work.ran)

        leave(connection)
        await until(lambda: server.records)

    assert server.work.cleaned == ["wait"]
    assert server.concurrency.executing == 0
    assert [(record.caller, record.outcome, record.status, record.failure) for record in server.records] == [
        ("amy", "DISCONNECTED", 499, None)
    ]


@pytest.mark.parametrize("leave", [close, crash])
async def test_a_client_that_leaves_while_sending_is_no_failure(leave: Callable[[Connection], None]) -> None:
    async with served() as server, await server.connect() as connection:
        await connection.send(post(b'{"query":', length=100))
        await asyncio.sleep(0.05)

        leave(connection)
        await until(lambda: server.records)

    assert [(record.outcome, record.status, record.failure) for record in server.records] == [("DISCONNECTED", 499, None)]


async def test_a_client_that_leaves_the_queue_makes_room_for_the_next() -> None:
    async with served(concurrency=ConcurrencyLimiter(max_executing=1, max_queued=1)) as server:
        first, left = await one_more(server), await one_more(server)

        left.cancel()
        await until(lambda: server.concurrency.queued == 0)
        next_one = await one_more(server)
        server.work.released.set()
        statuses = [await first, await next_one]

    assert statuses == [200, 200]


async def test_300_clients_that_leave_at_any_moment_leave_nothing_behind() -> None:
    chance = random.Random(14)  # noqa: S311 - the same moments in each run
    whole = post(b'{"query":"{ wait }"}')

    async with served() as server:
        for _ in range(300):
            async with await server.connect() as connection:
                await connection.send(whole[: chance.randrange(2 * len(whole))])
                await asyncio.sleep(chance.random() / 200)
                chance.choice([close, crash])(connection)
        await until(lambda: admitted(server) == 0)
        response = await server.ask()

    assert response.status == 200
    assert {(record.outcome, record.failure) for record in server.records} == {("DISCONNECTED", None), ("ok", None)}
    assert len(server.work.cleaned) == server.work.ran.count("wait") > 50


@pytest.mark.parametrize("accept", [MODERN, LEGACY])
async def test_more_than_64_executing_and_128_queued_are_refused_at_once(accept: str) -> None:
    async with served(authenticate=caller_of) as server:
        tasks = [await one_more(server, f"caller {number}") for number in range(64 + 128)]
        running = (server.concurrency.executing, server.concurrency.queued)

        refused = await server.ask(Accept=accept, X_Request_Id="req-1")
        body = await refused.json(content_type=accept)
        server.work.released.set()
        statuses = await asyncio.gather(*tasks)

    message = "The server is busy. Try again in a second."
    assert running == (64, 128)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert body == {"errors": [{"message": message, "extensions": {"code": "OVERLOADED", "requestId": "req-1"}}]}
    assert statuses == [200] * 192
    assert server.records[0].seconds < HTTPLimits().execution_seconds / 2


@pytest.mark.parametrize("accept", [MODERN, LEGACY])
async def test_who_used_more_than_a_share_while_others_wait_is_told_when_to_come_again(accept: str) -> None:
    shares = Shares(ShareLimits(rate=100, seconds=10), clock=lambda: 0.0)
    limiter = ConcurrencyLimiter(max_executing=1, shares=shares)
    shares.charge("amy", 1_250)
    async with served(authenticate=caller_of, concurrency=limiter) as server:
        tasks = [await one_more(server), await one_more(server)]
        others = await one_more(server, "bob")

        refused = await server.ask(Accept=accept, X_Request_Id="req-1", Authorization="amy")
        body = await refused.json(content_type=accept)
        server.work.released.set()
        statuses = await asyncio.gather(*tasks, others)

    message = (
        "Others wait, and you have used more than your share of this server. "
        "Send fewer requests at once, or smaller ones; this one again in 3 seconds."
    )
    advice = {name: refused.headers[name] for name in ("Retry-After", "RateLimit-Policy", "RateLimit")}
    assert (refused.status, statuses, server.work.ran) == (429, [200] * 3, ["wait"] * 3)
    assert advice == {
        "Retry-After": "3",
        "RateLimit-Policy": '"share";q=1000;w=10',
        "RateLimit": '"share";r=0;t=3',
    }
    assert body == {"errors": [{"message": message, "extensions": {"code": "THROTTLED", "requestId": "req-1"}}]}
    assert [(record.caller, record.outcome, record.status) for record in server.records[:1]] == [("amy", "THROTTLED", 429)]


async def test_a_server_that_drains_finishes_what_it_accepted_and_sends_clients_elsewhere() -> None:
    async with served() as server:
        before = await one_more(server)

        server.endpoint.drain()
        during = await server.ask()
        server.work.released.set()
        statuses = [await before, during.status]

    assert statuses == [200, 200]
    assert during.headers["Connection"] == "close"


async def test_a_server_that_stops_under_load_fails_no_request() -> None:
    statuses, failures = set[int](), list[aiohttp.ClientError]()

    async def keep_asking(server: Served) -> None:
        while True:
            try:
                statuses.add((await server.ask()).status)
            except aiohttp.ClientConnectorError:
                return
            except aiohttp.ClientError as error:
                failures.append(error)

    async with served() as server:
        clients = [asyncio.create_task(keep_asking(server)) for _ in range(30)]
        await until(lambda: len(server.records) > 300)
        server.endpoint.drain()
        await drain(server.runner, 20)
        await server.runner.cleanup()
        await asyncio.gather(*clients)

    assert (statuses, failures) == ({200}, [])


async def test_a_server_that_stops_does_not_wait_long_for_a_client_that_says_nothing() -> None:
    async with served() as server, await server.connect() as connection:
        await connection.send(b"POST")
        await until(lambda: server.connections)
        began = asyncio.get_running_loop().time()
        await drain(server.runner, 0.2)
        await server.runner.cleanup()
        await connection.closed_after()
        seconds = asyncio.get_running_loop().time() - began

    assert seconds < HTTPLimits().shutdown_seconds / 2


async def test_a_server_that_stops_waits_for_what_it_accepted() -> None:
    async with served() as server:
        task = await one_more(server)
        asyncio.get_running_loop().call_later(0.1, server.work.released.set)
        await server.runner.cleanup()
        status = await task

    assert status == 200
