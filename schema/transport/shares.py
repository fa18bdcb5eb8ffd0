"""Shares: a token bucket for each caller, charged with what their requests cost, which refuses only while others wait."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from schema.transport.errors import Throttled

MAX_BUCKETS: Final = 20_000


@dataclass(frozen=True, slots=True)
class ShareLimits:
    """What each caller may use in each process while others wait, in the unit of a request's cost."""

    rate: int = 20_000
    seconds: int = 10
    reader_second: int = 100_000


class Share(NamedTuple):
    """How much of `quota` a caller has left now; it is whole again `seconds` after it was empty."""

    available: int
    quota: int
    seconds: int


class Shares:
    """The buckets of all callers of a process. A bucket may be overdrawn, by as much again as it holds.

    A request is charged with its cost once it has run, and with the seconds for which its reads kept a reader thread, a
    connection, or the event loop for more than a moment. `others_wait` tells for a subject whether anybody else waits for a
    thread or a connection.
    """

    def __init__(
        self,
        limits: ShareLimits = ShareLimits(),
        *,
        others_wait: Callable[[str], bool] = lambda _subject: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self.others_wait = others_wait
        # When the bucket of each subject is full again; of subjects the hashes, because they may be a kilobyte long.
        self._full_at: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def charge(self, subject: str, cost: float) -> None:
        """Take what was used from a caller's bucket."""
        now, key = self._clock(), hash(subject)
        full_at = self._full_at.get(key, now)
        if full_at <= now:
            full_at = now
            if len(self._full_at) >= MAX_BUCKETS and key not in self._full_at:
                self._forget(now)
        self._full_at[key] = min(full_at + cost / self._limits.rate, now + 2 * self._limits.seconds)

    def charge_reading(self, subject: str, seconds: float) -> None:
        """Take the time for which a read kept others waiting from a caller's bucket."""
        self.charge(subject, seconds * self._limits.reader_second)

    def share(self, subject: str) -> Share:
        quota = self._limits.rate * self._limits.seconds
        return Share(
            max(0, quota - math.ceil(self._seconds_until_full(subject) * self._limits.rate)), quota, self._limits.seconds
        )

    def is_overdrawn(self, subject: str) -> bool:
        return self._seconds_until_full(subject) > self._limits.seconds

    def throttled(self, subject: str) -> Throttled:
        """Return the refusal of a caller who used up more than their share while others wait."""
        seconds = math.ceil(self._seconds_until_full(subject) - self._limits.seconds)
        share = self.share(subject)
        return Throttled(quota=share.quota, window=share.seconds, available=share.available, seconds=max(1, seconds))

    def _seconds_until_full(self, subject: str) -> float:
        full_at = self._full_at.get(hash(subject))
        return 0.0 if full_at is None else max(0.0, full_at - self._clock())

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full, which is as good as none, and then those charged first until half of all are left."""
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        for key in list(self._full_at)[: max(0, len(self._full_at) - MAX_BUCKETS // 2)]:
            del self._full_at[key]
