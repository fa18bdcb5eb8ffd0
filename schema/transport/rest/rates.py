"""How many calls a key may make in a second, and which nonces this process has seen."""

import time
from collections.abc import Callable, Hashable
from typing import Final, NamedTuple

# A request that is too old, or too far ahead, is refused: its nonce need not be remembered for longer.
NONCE_SECONDS: Final = 600


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


class SeenNonces:
    """Nonces that were used in this process. The rate of calls bounds how many there are."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since = now()
        self._recent: set[Hashable] = set()
        self._older: set[Hashable] = set()

    def use(self, nonce: Hashable) -> bool:
        """Remember a nonce, and return whether it was new."""
        if self._now() - self._since >= NONCE_SECONDS:
            self._since, self._older, self._recent = self._now(), self._recent, set()
        is_new = nonce not in self._recent and nonce not in self._older
        self._recent.add(nonce)
        return is_new
