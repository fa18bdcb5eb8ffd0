"""What the changes of all callers share: the client, what they refer to, and those that run."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from storage import writes
from storage.carehq.documents import Document, Kind
from storage.carehq.live.client import CareHQ
from storage.carehq.live.lists import VISITS
from storage.carehq.live.references import References
from storage.carehq.live.refusals import refusal_of
from storage.carehq.merging import merge
from storage.database import Database
from storage.errors import DatabaseUnusable, UpstreamRefused, UpstreamThrottled, UpstreamUnavailable
from storage.models import HomeVisit
from storage.writes import WriteState

FETCH_SECONDS = 5.0
# A server that stops waits for so long: what is cut off then is in doubt, and told by its key.
FINISH_SECONDS = 12.0
MOST_ENDED = 1_000

Change = Coroutine[Any, Any, HomeVisit]


def most_under_way(executing: int) -> int:
    """Return fewer than one caller may have executing of so many: whatever becomes of the account, reads go on."""
    return max(1, 3 * executing // 8)


class Link:
    """The changes of a process; more than `most_under_way` at once are refused."""

    def __init__(self, database: Database, carehq: CareHQ, clock: Callable[[], datetime], *, most_under_way: int = 24) -> None:
        self.carehq = carehq
        self._database = database
        self._clock = clock
        self._most_under_way = most_under_way
        self._references = References(database, carehq, self._store)
        self._running: set[asyncio.Task[Any]] = set()
        self._intents: set[str] = set()
        self._ended: deque[str] = deque(maxlen=MOST_ENDED)

    @contextmanager
    def running(self, intent: str) -> Iterator[None]:
        """Know an intent as one that this process sees to."""
        self._intents.add(intent)
        try:
            yield
        finally:
            self._intents.discard(intent)
            self._ended.append(intent)

    def is_running(self, intent: str) -> bool:
        return intent in self._intents

    def has_run(self, intent: str) -> bool:
        """Tell whether this process has seen to it, and does not any more."""
        return intent in self._ended

    async def fetch_unknown(self, ids: dict[str, set[str]]) -> None:
        """Store what is not known here of these IDs, by the names of their kinds; raise UpstreamUnavailable."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                await self._references.fetch(ids)
        except TimeoutError:
            raise UpstreamUnavailable("it does not answer in time", may_be_done=False) from None
        except UpstreamThrottled as throttled:
            raise unavailable_for_now(throttled) from None
        except UpstreamRefused as refused:
            raise refusal_of(refused) from None

    async def fetch_for(self, document: Document) -> None:
        """Store what a visit refers to, as far as that can be had: the visit is stored without it too."""
        with suppress(TimeoutError, UpstreamUnavailable, UpstreamRefused, UpstreamThrottled, DatabaseUnusable):
            async with asyncio.timeout(FETCH_SECONDS):
                await self._references.fetch_for(VISITS, [document])

    async def run(self, change: Change, state: WriteState) -> HomeVisit:
        """Return what becomes of a change. A caller that goes away takes back what was not asked yet, and waits for what was.

        Raises UpstreamUnavailable where too many are under way.
        """
        if len(self._running) >= self._most_under_way:
            change.close()
            raise UpstreamUnavailable("too many changes wait for it", may_be_done=False)
        task = asyncio.ensure_future(change)
        self._running.add(task)
        task.add_done_callback(self._end)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not state.withdraw():
                await asyncio.wait({task}, timeout=writes.END_SECONDS)
            raise

    async def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Wait until all changes are at their end; what takes longer is cut off."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _end(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio logs one that nobody has looked at, which nobody does when the caller is gone

    async def _store(self, kind: Kind, documents: Sequence[Document]) -> None:
        await self._database.write(lambda session: merge(session, kind, documents, self._clock()))


def unavailable_for_now(throttled: UpstreamThrottled) -> UpstreamUnavailable:
    return UpstreamUnavailable(f"it asks us to wait for {throttled.seconds:.0f} s", may_be_done=False)
