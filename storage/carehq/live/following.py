"""Following for as long as a server runs: one process of all at a time, with longer pauses while the account cannot be read."""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from storage.carehq.live.client import CareHQ
from storage.carehq.live.follower import Follower
from storage.carehq.live.progress import FollowedAccount, NotTheFollower, is_held
from storage.database import Database
from storage.errors import DatabaseUnusable, Refusal, UpstreamRefused, UpstreamThrottled, UpstreamUnavailable
from storage.instants import instant
from storage.models import table_of
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

LONGEST_PAUSE = 300.0
# Why it lags is told when it begins to, and then so often.
TELL_SECONDS = 300.0
# A process that follows comes to an end of what has changed within so many seconds.
LATE_SECONDS = 10.0
ACCOUNT = table_of(FollowedAccount)

log = logging.getLogger(__name__)


class Following:
    """Follows `carehq` into `database`, with a poll each `poll_seconds`; `last_synced` is when what is here was read."""

    def __init__(self, database: Database, carehq: CareHQ, clock: Callable[[], datetime], *, poll_seconds: float) -> None:
        self.last_synced: datetime | None = None
        self.follower = Follower(database, carehq, clock)
        self._database = database
        self._carehq = carehq
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._failures = 0
        self._pages_read = 0
        self._told_at = float("-inf")

    def lag_seconds(self) -> float:
        """Return how old what is here may be; without end before anything was read."""
        return math.inf if self.last_synced is None else max(0.0, (self._clock() - self.last_synced).total_seconds())

    async def run(self) -> None:
        """Follow until cancelled; nothing that goes wrong ends it."""
        async with self._carehq:
            try:
                pause = 0.0
                while True:
                    await asyncio.sleep(pause)
                    pause = await self.poll()
            finally:
                await asyncio.shield(self._resign())

    async def poll(self) -> float:
        """Read what has changed, if nobody else does; return for how many seconds to wait now."""
        try:
            if not await self._is_free():
                return self._waited()
            self.last_synced = await self.follower.follow_once()
        except NotTheFollower:
            return self._waited()
        except UpstreamThrottled as throttled:
            return self._failed(throttled, throttled.seconds)
        except (UpstreamUnavailable, UpstreamRefused, DatabaseUnusable) as failure:
            return self._failed(failure, 0)
        if self._failures:
            log.info("CareHQ is followed again")
        self._failures, self._told_at = 0, float("-inf")
        return self._poll_seconds

    async def _is_free(self) -> bool:
        """Tell whether this process may follow; where another does, take from it when that last came to an end."""
        if self.follower.leads:
            return True
        rows: Sequence[Any] = await self._database.fetch(_account(self._database.dialect), {})
        if not rows:
            return True
        holder, last_synced, held_until = rows[0]
        self.last_synced = last_synced and instant(last_synced)
        return holder in (None, self.follower.name) or not is_held(held_until and instant(held_until), self._clock())

    def _waited(self) -> float:
        """Leave it to another process; tell where that one is late."""
        if self.last_synced is not None and self.lag_seconds() > 3 * self._poll_seconds + LATE_SECONDS:
            self._tell("Another process follows it, or was killed while it did: then one goes on within a minute.")
        return self._poll_seconds

    def _failed(self, failure: Refusal, pause: float) -> float:
        # A long walk that is broken off now and then comes to its end.
        has_progressed = self.follower.pages_stored > self._pages_read
        self._failures = 1 if has_progressed else self._failures + 1
        self._pages_read = self.follower.pages_stored
        longest = min(self._poll_seconds * 2**self._failures, LONGEST_PAUSE)
        pause = max(pause, longest * random.uniform(0.75, 1))  # noqa: S311 - jitter is no secret
        why = f"It cannot be used for now: {failure.reason}." if isinstance(failure, UpstreamUnavailable) else failure
        self._tell(f"{why} Trying again in {pause:.0f} s")
        return pause

    def _tell(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            since = f"{self.last_synced:%Y-%m-%d %H:%M:%S} UTC" if self.last_synced else "never"
            log.warning("CareHQ is not followed, and was last read to its end: %s. %s", since, why)

    async def _resign(self) -> None:
        try:
            await self.follower.resign()
        except DatabaseUnusable:  # its lease ends by itself
            return


async def last_synced(database: Database) -> datetime | None:
    """Return when what is here was read of the account, by whichever process."""
    rows: Sequence[Any] = await database.fetch(_account(database.dialect), {})
    return instant(rows[0][1]) if rows and rows[0][1] else None


@lru_cache
def _account(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(ACCOUNT.c.holder, ACCOUNT.c.last_synced, ACCOUNT.c.held_until))
