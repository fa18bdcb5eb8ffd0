"""How many reads of one caller run at once: so few that three callers with the longest reads leave a connection to others."""

import asyncio
from collections import deque

from storage.caller import OURSELVES, Accounts

# What takes longer is charged to the caller's account.
SHORT_SECONDS = 0.05


class ReadSlots:
    """Lets a third of the connections read for one caller, and one for a caller whose account is overdrawn.

    Those beyond wait for the caller's own reads to end, for as long as that takes: nobody else is kept waiting.
    """

    def __init__(self, connections: int, accounts: Accounts) -> None:
        self._each = max(1, (connections - 1) // 3)
        self._accounts = accounts
        self._running: dict[str, int] = {}
        self._behind: dict[str, deque[asyncio.Future[None]]] = {}

    async def enter(self, subject: str) -> None:
        """Wait until a read of this caller may run; `leave` is called when it has ended."""
        while not self._is_free(subject):
            await self._wait(subject)
        self._running[subject] = self._running.get(subject, 0) + 1

    def leave(self, subject: str) -> None:
        self._running[subject] -= 1
        if not self._running[subject]:
            del self._running[subject]
        self._let_next_in(subject)

    def charge(self, subject: str, seconds: float) -> None:
        if seconds > SHORT_SECONDS:
            self._accounts.charge_reading(subject, seconds)

    def _is_free(self, subject: str) -> bool:
        running = self._running.get(subject, 0)
        if not running or subject == OURSELVES:
            return True
        return running < self._each and not self._accounts.is_overdrawn(subject)

    async def _wait(self, subject: str) -> None:
        let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        behind = self._behind.setdefault(subject, deque())
        behind.append(let_in)
        try:
            await let_in
        except asyncio.CancelledError:
            if let_in.cancelled():
                behind.remove(let_in)
            else:
                self._let_next_in(subject)
            raise

    def _let_next_in(self, subject: str) -> None:
        behind = self._behind.get(subject)
        while behind:
            let_in = behind.popleft()
            if not let_in.done():
                let_in.set_result(None)
                return
        self._behind.pop(subject, None)
