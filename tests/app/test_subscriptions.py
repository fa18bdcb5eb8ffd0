"""Subscribers to a server as users start it: nothing is lost when they or it go away, and all ends as it should."""

import asyncio
import signal
from datetime import timedelta

import pytest

from resolvers.tokens import TokenRules, mint
from storage.caller import Caller, Role
from storage.instants import clock
from tests.app.calling import SECRET
from tests.app.conftest import ONE_OR_TWO
from tests.app.subscribing import BOOK, Screen, ask, newest, subscribed
from tests.conftest import StartServer


def token(seconds: float = 3600, *roles: Role) -> str:
    # A token is good for half a minute more than it says: clocks differ.
    lifetime = timedelta(seconds=seconds - TokenRules(SECRET).leeway)
    return mint(TokenRules(SECRET), Caller("amy", frozenset(roles or (Role.COORDINATOR,))), lifetime, clock())


@ONE_OR_TWO
async def test_a_change_comes_to_a_subscriber_of_any_worker(start_server: StartServer, flags: tuple[str, ...]) -> None:
    server = start_server("--dev", "--demo", *flags)
    sequence, _ = await newest(server.url)

    async with subscribed(server.url) as one, subscribed(server.url) as other, subscribed(server.url) as third:
        # A subscription is not acknowledged: what it was begun before is seen.
        await asyncio.sleep(0.5)
        for _ in range(3):
            await ask(server.url, BOOK)
        seen = [[(await subscriber.change())["node"]["sequence"] for _ in range(3)] for subscriber in (one, other, third)]

    assert seen == [[sequence + 1, sequence + 2, sequence + 3]] * 3


@ONE_OR_TWO
async def test_a_server_that_stops_closes_subscribers_with_1001(start_server: StartServer, flags: tuple[str, ...]) -> None:
    server = start_server("--dev", "--demo", *flags)
    async with subscribed(server.url) as subscriber:
        await asyncio.sleep(0.5)
        await ask(server.url, BOOK)
        change = await subscriber.change()
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionError) as closed:
            await subscriber.change()

    code = await asyncio.to_thread(server.process.wait, 25)
    assert change["node"]["type"] == "BOOKED"
    assert closed.value.args == (1001, "The server is stopping: connect again, and resume from your last cursor.")
    assert (code, server.process.stderr.read() if server.process.stderr else "") == (0, "")


async def test_a_subscriber_signs_in_and_is_closed_when_the_token_expires(start_server: StartServer) -> None:
    server = start_server("--demo", JWT_SECRET=SECRET)
    with pytest.raises(ConnectionError, match="Sign in first") as refused:
        async with subscribed(server.url):
            pass
    async with subscribed(server.url, token=token(3)) as subscriber:
        await asyncio.sleep(0.5)
        await ask(server.url, BOOK, token())
        change = await subscriber.change()
        with pytest.raises(ConnectionError) as expired:
            await subscriber.change()

    assert refused.value.args[0] == 4403
    assert change["node"]["type"] == "BOOKED"
    assert expired.value.args == (4403, "The token has expired. Sign in again for a new one.")


async def test_a_screen_that_breaks_off_again_and_again_sees_each_change_once(start_server: StartServer) -> None:
    server = start_server("--dev", "--demo")
    screen = Screen(server.url, *await newest(server.url))
    last = screen.first + 39

    async def book() -> None:
        for _ in range(40):
            await ask(server.url, BOOK)

    booking = asyncio.create_task(book())
    async with asyncio.timeout(60):
        await screen.follow(last, most=7)
    await booking

    assert screen.seen == list(range(screen.first, last + 1))
    assert screen.connections > 5


@pytest.mark.slow
async def test_a_server_that_is_killed_loses_no_change_for_a_screen_that_resumes(start_server: StartServer) -> None:
    server = start_server("--dev", "--demo")
    screen = Screen(server.url, *await newest(server.url))

    following = asyncio.create_task(screen.follow(screen.first + 29))
    for _ in range(3):
        for _ in range(10):
            await ask(screen.url, BOOK)
        server.process.kill()
        await asyncio.to_thread(server.process.wait, 25)
        # At another port: the screen finds the server again where it is.
        server = await asyncio.to_thread(start_server, "--dev")
        screen.url = server.url
    async with asyncio.timeout(60):
        await following

    assert screen.seen == list(range(screen.first, screen.first + 30))
    assert screen.connections >= 2
