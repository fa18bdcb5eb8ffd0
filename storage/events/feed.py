"""The feed of events: one reader for each process, whatever the number of those who follow."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final
from weakref import WeakSet

from storage.caller import OURSELVES, Caller
from storage.database import Database
from storage.errors import DatabaseUnusable, InvalidPage
from storage.events.conditions import HomeVisitEventFilter, event_conditions
from storage.events.cursors import BEGINNING, ORDER, edge_of
from storage.events.followers import Follower, Followers
from storage.events.reading import HomeVisitEvents, events_after, newest_event

BATCH: Final = 500
# After so many events were buffered for followers, others are served.
STEP: Final = 2_000
RETRY_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class Feed:
    """Reads new events once, and hands each to those who follow it and see it; reads nothing while nobody follows.

    `queue` is how many events are buffered for each.
    """

    def __init__(self, database: Database, *, queue: int = 100) -> None:
        self.database = database
        self.queue = queue
        # All that has been handed out comes before these.
        self._sequence, self._cursor = 0, BEGINNING
        self._open: WeakSet[Follower] = WeakSet()
        self.live = Followers()
        self._is_followed = asyncio.Event()
        self._is_read = asyncio.Event()

    async def follow(self, caller: Caller, filter: HomeVisitEventFilter, after: str | None) -> Follower:
        """Return the events that a caller sees and that meet `filter`: those after a cursor, or new ones.

        Raises InvalidPage for a filter that is too long, and for what is no cursor, or one of events that are gone.
        """
        event_conditions(filter, caller.locations, self.database.dialect)
        if after is None:
            sequence, after = await self._newest()
        else:
            sequence = await HomeVisitEvents(self.database, caller).position(after)
        follower = Follower(self, caller, filter, after, sequence)
        self._open.add(follower)
        return follower

    async def run(self) -> None:
        """Read, and hand out, until cancelled."""
        while True:
            await self._is_followed.wait()
            try:
                await self._start()
                async with aclosing(self.database.changes()) as changes:
                    await self._read(changes)
            except DatabaseUnusable:
                await asyncio.sleep(RETRY_SECONDS)

    async def reading(self) -> None:
        """Wait until new events are read: from then on they are handed to those who join."""
        while not self._is_read.is_set():
            self._is_followed.set()
            await self._is_read.wait()

    def join(self, follower: Follower) -> None:
        self.live.add(follower)

    def leave(self, follower: Follower) -> None:
        self.live.discard(follower)

    async def _newest(self) -> tuple[int, str]:
        event = await newest_event(self.database)
        return (event.sequence or 0, ORDER.cursor(event)) if event else (0, BEGINNING)

    async def _start(self) -> None:
        self._sequence, self._cursor = await self._newest()
        # What came while nothing was read they have to read themselves.
        for follower in self.live:
            follower.fall_behind()
        self._is_read.set()

    async def _read(self, changes: AsyncIterator[None]) -> None:
        try:
            await self._read_on(changes)
        except InvalidPage as error:
            log.warning("The events were restored from a backup: those who follow them have to begin again")
            for follower in list(self._open):
                follower.fail(error)
        finally:
            # Before anything is awaited: who comes now has reading begin again.
            self._is_read.clear()

    async def _read_on(self, changes: AsyncIterator[None]) -> None:
        has_failed = False
        async for _ in changes:
            if not self._open:
                self._is_followed.clear()
                return
            try:
                if has_failed:
                    # What is back may be another one.
                    await HomeVisitEvents(self.database, _OURSELVES).position(self._cursor)
                await self._hand_out()
                has_failed = False
            except DatabaseUnusable:
                has_failed = True

    async def _hand_out(self) -> None:
        """Hand out all that is new."""
        count = 0
        while events := await events_after(self.database, self._sequence, BATCH):
            for event in events:
                interested = self.live.interested(event)
                edge = edge_of(event)
                for follower in interested:
                    follower.offer(edge)
                self._sequence, self._cursor = event.sequence or 0, edge.cursor
                count += len(interested)
                if count >= STEP:
                    count = 0
                    await asyncio.sleep(0)
            if len(events) < BATCH:
                return


_OURSELVES: Final = Caller(OURSELVES, frozenset())
