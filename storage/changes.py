"""Wakes whoever follows events: something may have been committed, by this process or another."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy.orm import Session

# How long one that follows events waits at most, whatever it hears: a wake-up may be lost.
POLL_SECONDS = 1.0

_APPENDED = "events"


def note_events(session: Session) -> None:
    """Have others woken once the transaction is committed."""
    session.info[_APPENDED] = True


def has_events(session: Session) -> bool:
    return _APPENDED in session.info


class Followers:
    """Those of this process who follow events. Each is woken by its own latch: nothing is lost while it is busy."""

    def __init__(self) -> None:
        self._latches: set[asyncio.Event] = set()

    def __bool__(self) -> bool:
        return bool(self._latches)

    def wake(self) -> None:
        for latch in self._latches:
            latch.set()

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[asyncio.Event]:
        """Add one that follows, until the block ends."""
        latch = asyncio.Event()
        self._latches.add(latch)
        try:
            yield latch
        finally:
            self._latches.discard(latch)


async def wakeups(latch: asyncio.Event) -> AsyncGenerator[None]:
    """Yield at once, and again whenever the latch was set since, each second at the latest."""
    while True:
        # What is committed while the caller reads sets it again.
        latch.clear()
        yield
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await latch.wait()
