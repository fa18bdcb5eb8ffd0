"""A feed that runs, those who follow it, and bookings for them to see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from storage.caller import Caller
from storage.database import Database
from storage.events.conditions import HomeVisitEventFilter
from storage.events.feed import Feed
from storage.events.followers import Follower
from storage.lifecycle import BookingInput
from storage.repository import HomeVisits
from tests.storage.homes import EVERYTHING, REID, VISIT_TIME


@asynccontextmanager
async def running_feed(database: Database, *, queue: int = 100) -> AsyncIterator[Feed]:
    feed = Feed(database, queue=queue)
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def follow(feed: Feed, caller: Caller = EVERYTHING, after: str | None = None, /, **filter: Any) -> Follower:
    return await feed.follow(caller, HomeVisitEventFilter(**filter), after)


async def take(follower: Follower, count: int) -> list[int]:
    """Return the sequences of so many events."""
    async with asyncio.timeout(20):
        return [(await anext(follower)).node.sequence for _ in range(count)]


async def live(feed: Feed, *followers: Follower) -> list[asyncio.Task[list[int]]]:
    """Have each follower wait for its next event, and return once they are live."""
    tasks = [asyncio.create_task(take(follower, 1)) for follower in followers]
    async with asyncio.timeout(20):
        while len(feed.live) < len(followers):  # noqa: ASYNC110 - nothing tells when a follower has joined
            await asyncio.sleep(0.001)
    return tasks


async def book(visits: HomeVisits, count: int = 1, enquiry: str = REID) -> list[str]:
    booking: dict[str, Any] = {"care_enquiry": enquiry, "date_time": VISIT_TIME, "host": "MANAGER", "visit_type": "VIRTUAL"}
    return [(await visits.book(BookingInput(**booking))).id for _ in range(count)]
