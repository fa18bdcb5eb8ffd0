"""How many calls a key may make in a second."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple


class Rate(NamedTuple):
    """What is left to a key in this second, which ends at `reset`, in seconds since 1970. `exceeded`: nothing was."""

    limit: int
    remaining: int
    reset: int
    exceeded: bool

    @property
    def headers(self) -> dict[str, str]:
        """Return what clients read: whole numbers, as some of them parse nothing else in every language of their machine."""
        numbers = {"Limit": self.limit, "Remaining": self.remaining, "Reset": self.reset}
        return {f"X-CareHQ-RateLimit-{name}": str(number) for name, number in numbers.items()}


class CallRates:
    """Counts the calls of each key in the present second."""

    def __init__(self, limit: int, *, now: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._now = now
        self._second = 0
        self._calls: dict[str, int] = {}

    def take(self, key: str) -> Rate:
        """Count a call."""
        second = int(self._now())
        if second != self._second:
            self._second, self._calls = second, {}
        calls = self._calls[key] = self._calls.get(key, 0) + 1
        return Rate(self._limit, max(0, self._limit - calls), second + 1, calls > self._limit)

    def exceeded_for(self, seconds: int) -> Rate:
        """Return the rate of a key that has to wait for another reason than its calls in this second."""
        return Rate(self._limit, 0, math.ceil(self._now()) + seconds, exceeded=True)
