"""Those who follow events: first what they missed, by pages, then what is handed out live, with no gap and no repeat between."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Self

from storage.caller import Caller
from storage.errors import DatabaseUnusable
from storage.events.conditions import EventPredicate, HomeVisitEventFilter
from storage.events.reading import HomeVisitEvents
from storage.models import HomeVisitEvent
from storage.queries.paging import Edge, Window

if TYPE_CHECKING:
    from storage.events.feed import Feed

PAGE: Final = 50
RETRY_SECONDS: Final = 1.0
# So long a database may be away.
ATTEMPTS: Final = 30


class Follower:
    """The events that one subscriber sees, oldest first, as edges. `sequence` is that of the cursor `after`.

    Live events are buffered, as many as the feed allows. Where more come the buffer is dropped, `on_overflow` is called, and what
    was dropped is read by pages, at the pace of the subscriber. `finish` ends the stream after what is buffered.
    """

    # Subscribers are many.
    __slots__ = (
        "__weakref__",
        "_after",
        "_error",
        "_events",
        "_failures",
        "_feed",
        "_filter",
        "_is_finished",
        "_is_live",
        "_live",
        "_missed",
        "_sequence",
        "_waiter",
        "on_overflow",
        "predicate",
    )

    def __init__(self, feed: "Feed", caller: Caller, filter: HomeVisitEventFilter, after: str, sequence: int) -> None:
        self.predicate = EventPredicate(filter, caller.locations)
        self.on_overflow: Callable[[], None] = _ignore
        self._feed = feed
        self._events = HomeVisitEvents(feed.database, caller)
        self._filter = filter
        # A cursor, or what has one: to compute it for each event would be in vain.
        self._after: str | Edge = after
        self._sequence = sequence
        self._missed: deque[Edge] = deque()
        self._live: deque[Edge] = deque()
        self._failures = 0
        self._is_live = False
        self._is_finished = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Edge:
        while self._error is None:
            if self._missed:
                return self._passed(self._missed.popleft())
            if self._live:
                edge = self._live.popleft()
                # What was committed while a page was read may be in both.
                if edge.node.sequence > self._sequence:
                    return self._passed(edge)
            elif self._is_finished:
                raise StopAsyncIteration
            elif self._is_live:
                await self._wait()
            else:
                await self._catch_up()
        raise self._error

    def offer(self, edge: Edge) -> None:
        """Buffer a live event."""
        if len(self._live) < self._feed.queue:
            self._live.append(edge)
            self._wake()
        else:
            self.fall_behind()
            self.on_overflow()

    def fall_behind(self) -> None:
        """Drop what is live: it is read by pages, once what came before was taken."""
        self._feed.leave(self)
        self._is_live = False
        self._live.clear()
        self._wake()

    def finish(self) -> None:
        self._is_finished = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """Have the subscriber told why there are no more events."""
        self._error = error
        self._wake()

    async def aclose(self) -> None:
        self._feed.leave(self)
        self._missed.clear()
        self._live.clear()

    def _passed(self, edge: Edge) -> Edge:
        self._sequence, self._after = edge.node.sequence, edge
        return edge

    async def _catch_up(self) -> None:
        """Read a page of what was missed, and be live from its end on, where it is the last one."""
        await self._feed.reading()
        # Before the page is read: what is committed meanwhile is in the page, or live, or both.
        self._feed.join(self)
        self._is_live = True
        after = self._after.cursor if isinstance(self._after, Edge) else self._after
        try:
            page = await self._events.page(self._filter, Window.of(PAGE, after, None, None))
        except DatabaseUnusable:
            self.fall_behind()
            self._failures += 1
            # To find a page may take too long each time.
            if self._failures == ATTEMPTS:
                raise
            await asyncio.sleep(RETRY_SECONDS)
            return
        self._failures = 0
        self._missed.extend(page.edges)
        if page.has_next_page:
            self.fall_behind()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Followers:
    """Those who are live, by what they look for: a visit, a location, or anything."""

    def __init__(self) -> None:
        # By IDs, which are unique over all types; None: anything.
        self._by_id: dict[str | None, set[Follower]] = {}
        self._all: set[Follower] = set()

    def __iter__(self) -> Iterator[Follower]:
        return iter(list(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def add(self, follower: Follower) -> None:
        self._all.add(follower)
        for id in follower.predicate.ids:
            self._by_id.setdefault(id, set()).add(follower)

    def discard(self, follower: Follower) -> None:
        if follower not in self._all:
            return
        self._all.discard(follower)
        for id in follower.predicate.ids:
            followers = self._by_id[id]
            followers.discard(follower)
            if not followers:
                del self._by_id[id]

    def interested(self, event: HomeVisitEvent) -> list[Follower]:
        """Return those who see an event."""
        candidates = (self._by_id.get(id, ()) for id in (event.home_visit, event.location, None))
        return [follower for some in candidates for follower in some if follower.predicate(event)]


def _ignore() -> None:
    return
