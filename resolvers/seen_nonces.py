"""Nonces that were used in this process, each for as long as what it signed could be sent again."""

import logging
import time
from collections.abc import Callable
from typing import Final

from storage.nonces import Nonce

MINUTE: Final = 60
# Each takes 80 bytes.
MOST_NONCES: Final = 400_000

log = logging.getLogger(__name__)


class SeenNonces:
    """Remembers hashes of nonces by the minute in which their requests become too old; of more than `most`, drops the oldest."""

    def __init__(self, *, now: Callable[[], float] = time.time, most: int = MOST_NONCES) -> None:
        self._now = now
        self._most = most
        self._by_minute: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_minute.values()))

    def use(self, nonce: Nonce, valid_until: float) -> bool:
        """Remember a nonce whose request is taken until then, in seconds since 1970; return whether it was new."""
        self._drop_old()
        seen = hash(nonce)
        if any(seen in hashes for hashes in self._by_minute.values()):
            return False
        self._by_minute.setdefault(int(valid_until // MINUTE), set()).add(seen)
        return True

    def _drop_old(self) -> None:
        present = int(self._now() // MINUTE)
        for minute in [minute for minute in self._by_minute if minute < present]:
            del self._by_minute[minute]
        if len(self) >= self._most:
            dropped = self._by_minute.pop(min(self._by_minute))
            log.warning(
                "of signed requests, more than %s were remembered: %s of them could be sent again", self._most, len(dropped)
            )
