"""Tells other processes that events were appended, and hears it from them: by NOTIFY after the commit, and LISTEN."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from storage.changes import Followers
from storage.errors import DatabaseUnusable
from storage.postgresql.connecting import connect
from storage.postgresql.refusals import LOST

CHANNEL = "home_visit_events"
NOTIFY = f"NOTIFY {CHANNEL}"
# NOTIFY takes a lock over all databases of the server, so it is sent neither in a booking's transaction nor for each.
INTERVAL_SECONDS = 0.05
HEAL_SECONDS = 1.0
# A connection that was cut without a word is found out by a statement.
CHECK_SECONDS = 10.0
ERRORS = (*LOST, asyncpg.PostgresError, DatabaseUnusable, TimeoutError)


class Announcer:
    """Sends at most one NOTIFY in each interval, however many transactions have appended events in it."""

    def __init__(self, send: Callable[[], Awaitable[Any]]) -> None:
        self._send = send
        self._is_due = False
        self._sending: asyncio.Task[None] | None = None

    def announce(self) -> None:
        self._is_due = True
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send_while_due())

    async def close(self) -> None:
        """Send what is due."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        if self._is_due:
            await self._try_to_send()

    async def _send_while_due(self) -> None:
        try:
            while self._is_due:
                await self._try_to_send()
                await asyncio.sleep(INTERVAL_SECONDS)
        finally:
            self._sending = None

    async def _try_to_send(self) -> None:
        self._is_due = False
        try:
            # Whoever does not hear it polls.
            with contextlib.suppress(Exception):
                await self._send()
        except asyncio.CancelledError:
            self._is_due = True
            raise


class Listener:
    """A connection of its own that hears NOTIFY, made anew where it is lost; there is one while anybody follows events."""

    def __init__(self, dsn: str, followers: Followers) -> None:
        self._dsn = dsn
        self._followers = followers
        self._users = 0
        self._listening: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        self._users += 1
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                await self.close()

    async def close(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(*ERRORS):
                await self._listen_on(await connect(self._dsn))
            await asyncio.sleep(HEAL_SECONDS)

    async def _listen_on(self, connection: Any) -> None:
        """Return, or raise, when the connection is lost."""
        is_lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _connection: is_lost.set())
            await connection.add_listener(CHANNEL, lambda *_: self._followers.wake())
            # What was said before it listened was not heard.
            self._followers.wake()
            while not is_lost.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_SECONDS):
                        await is_lost.wait()
                        return
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()
