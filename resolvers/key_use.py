"""When keys were used, and which changes of theirs were refused: kept in one transaction now and then."""

import asyncio
import contextlib
from datetime import datetime
from typing import Final

from storage.api_keys import APIKeys
from storage.errors import DatabaseUnusable
from storage.nonces import Nonce

# A write has every reader load anew what it remembers.
INTERVAL_SECONDS: Final = 60.0
# What was refused by one process may be sent to another for so long.
REFUSED_SECONDS: Final = 1.0
# So many of those seconds: who sends more than that fills no table by being refused.
MOST_REFUSED: Final = 100


class KeyUse:
    """Buffers uses of keys and nonces of refused changes, and writes them where there are any."""

    def __init__(self, keys: APIKeys) -> None:
        self._keys = keys
        self._last_used: dict[str, datetime] = {}
        self._refused: list[Nonce] = []
        self._has_refused = asyncio.Event()

    def note(self, key: str, now: datetime) -> None:
        self._last_used[key] = now

    def refuse(self, nonce: Nonce) -> None:
        """Keep the nonce of a change that was refused before its transaction, which would have kept it."""
        if len(self._refused) < MOST_REFUSED:
            self._refused.append(nonce)
            self._has_refused.set()

    async def keep(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        """Write once an interval, soon after a change was refused, and at the end."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(interval_seconds):
                        await self._has_refused.wait()
                await asyncio.sleep(REFUSED_SECONDS)
                with contextlib.suppress(DatabaseUnusable):
                    await self._write()
        finally:
            with contextlib.suppress(DatabaseUnusable):
                await self._write()

    async def _write(self) -> None:
        used, refused = self._last_used, self._refused
        if not used and not refused:
            return
        self._last_used, self._refused = {}, []
        self._has_refused.clear()
        try:
            await self._keys.note_use(used, refused)
        except BaseException:
            self._last_used = {**used, **self._last_used}
            for nonce in refused:
                self.refuse(nonce)
            raise
