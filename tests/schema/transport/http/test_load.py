"""Deadlines, clients that leave, more requests than places, the end of the server: nothing is left running, nothing is lost."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable

import aiohttp
import pytest

from schema.execution.engine import Request, Result
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.http.connections import HTTPLimits, drained
from schema.transport.http.negotiation import GRAPHQL_RESPONSE as MODERN
from schema.transport.http.negotiation import JSON as LEGACY
from storage.caller import Caller
from tests.schema.transport.http.served import AMY, WAIT, Connection, Served, post, served


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the server, which knows of no test
            await asyncio.sleep(0.005)


def taken(server: Served) -> int:
    return server.admission.executing + server.admission.waiting


async def one_more(server: Served) -> asyncio.Task[int]:
    """Ask for what does not end, see it executing or waiting, and return the status to come."""

    async def status() -> int:
        return (await server.ask(WAIT)).status

    goal = taken(server) + 1
    task = asyncio.create_task(status())
    await until(lambda: taken(server) == goal)
    return task


def close(connection: Connection) -> None:
    connection.writer.close()


def crash(connection: Connection) -> None:
    connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.writer.transport.abort()


@pytest.mark.parametrize("accept", [MODERN, LEGACY])
async def test_what_takes_too_long_is_given_up_and_cleaned_up(accept: str) -> None:
    async with served(limits=HTTPLimits(execution_seconds=0.1)) as server:
        response = await server.ask(WAIT, Accept=accept, X_Request_Id="req-1")
        body = await response.json(content_type=accept)

    message = "Given up after 0.1 seconds. Ask for less, or again later."
    assert response.status == 504
    assert body == {"errors": [{"message": message, "extensions": {"code": "TIMEOUT", "requestId": "req-1"}}]}
    assert server.work.cleaned == ["wait"]
    assert [(o.caller, o.outcome, o.status) for o in server.observed] == [("amy", "TIMEOUT", 504)]


async def test_waiting_for_a_place_counts_as_taking_long() -> None:
    async with served(limits=HTTPLimits(execution_seconds=0.2), admission=ConcurrencyLimiter(executing=1)) as server:
        responses = await asyncio.gather(*(server.ask(WAIT) for _ in range(3)))

    assert [response.status for response in responses] == [504, 504, 504]
    assert all(0.19 < observation.seconds < 1 for observation in server.observed)
    assert (server.admission.executing, server.admission.waiting) == (0, 0)


async def test_finding_out_who_is_asking_counts_as_taking_long() -> None:
    async def never(authorization: str | None) -> Caller:
        await asyncio.Event().wait()
        return AMY

    async with served(limits=HTTPLimits(execution_seconds=0.1), authenticate=never) as server:
        response = await server.ask()

    assert response.status == 504
    assert server.work.ran == []


async def test_what_cannot_be_given_up_is_answered_when_it_is_done() -> None:
    async def write(asked: Request, context: object) -> Result:
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
        await until(lambda: server.observed)

    assert server.work.cleaned == ["wait"]
    assert server.admission.executing == 0
    assert [(o.caller, o.outcome, o.status, o.failure) for o in server.observed] == [("amy", "DISCONNECTED", 499, None)]


@pytest.mark.parametrize("leave", [close, crash])
async def test_a_client_that_leaves_while_sending_is_no_failure(leave: Callable[[Connection], None]) -> None:
    async with served() as server, await server.connect() as connection:
        await connection.send(post(b'{"query":', length=100))
        await asyncio.sleep(0.05)

        leave(connection)
        await until(lambda: server.observed)

    assert [(o.outcome, o.status, o.failure) for o in server.observed] == [("DISCONNECTED", 499, None)]


async def test_a_client_that_leaves_the_queue_frees_its_seat() -> None:
    async with served(admission=ConcurrencyLimiter(executing=1, waiting=1)) as server:
        first, left = await one_more(server), await one_more(server)

        left.cancel()
        await until(lambda: server.admission.waiting == 0)
        next_one = await one_more(server)
        server.work.released.set()
        statuses = [await first, await next_one]

    assert statuses == [200, 200]


async def test_300_clients_that_leave_at_any_moment_leave_nothing_behind() -> None:
    chance = random.Random(14)  # noqa: S311 - the same moments in each run
    whole = post(b'{"query":"{ wait }"}')

    async with served(admission=ConcurrencyLimiter(executing=4, waiting=8)) as server:
        for _ in range(300):
            async with await server.connect() as connection:
                await connection.send(whole[: chance.randrange(2 * len(whole))])
                await asyncio.sleep(chance.random() / 200)
                chance.choice([close, crash])(connection)
        await until(lambda: taken(server) == 0)
        response = await server.ask()

    assert response.status == 200
    assert {(o.outcome, o.failure) for o in server.observed} == {("DISCONNECTED", None), ("ok", None)}
    assert len(server.work.cleaned) == server.work.ran.count("wait") > 50


@pytest.mark.parametrize("accept", [MODERN, LEGACY])
async def test_more_than_64_at_work_and_128_waiting_are_told_at_once_to_come_back(accept: str) -> None:
    async with served() as server:
        tasks = [await one_more(server) for _ in range(64 + 128)]
        places = (server.admission.executing, server.admission.waiting)

        refused = await server.ask(Accept=accept, X_Request_Id="req-1")
        body = await refused.json(content_type=accept)
        server.work.released.set()
        statuses = await asyncio.gather(*tasks)

    message = "The server is busy. Try again in a second."
    assert places == (64, 128)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert body == {"errors": [{"message": message, "extensions": {"code": "OVERLOADED", "requestId": "req-1"}}]}
    assert statuses == [200] * 192
    assert server.observed[0].seconds < 0.1


async def test_a_server_that_drains_finishes_what_it_took_and_sends_clients_elsewhere() -> None:
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
        await until(lambda: len(server.observed) > 300)
        server.endpoint.drain()
        await drained(server.runner)
        await server.runner.cleanup()
        await asyncio.gather(*clients)

    assert (statuses, failures) == ({200}, [])


async def test_a_server_that_stops_does_not_wait_long_for_a_client_that_says_nothing() -> None:
    async with served() as server, await server.connect() as connection:
        await connection.send(b"POST")
        await asyncio.sleep(0.05)
        await drained(server.runner, 0.2)
        await server.runner.cleanup()
        seconds = await connection.closed_after()

    assert seconds < 0.1


async def test_a_server_that_stops_waits_for_what_it_took() -> None:
    async with served() as server:
        task = await one_more(server)
        asyncio.get_running_loop().call_later(0.1, server.work.released.set)
        await server.runner.cleanup()
        status = await task

    assert status == 200
