"""What every resolver is given: who asks, and the records in sight, read once for each request and many at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, cast

import strawberry

from storage import lifecycle
from storage.caller import Caller
from storage.database import Database
from storage.lifecycle import HomeVisitOperation
from storage.models import HomeVisit
from storage.queries.conditions import HomeVisitFilter
from storage.queries.paging import Page, Window
from storage.queries.references import Kind, References
from storage.repository import HomeVisits, OrderKeys

Permitted = Callable[[Caller, Iterable[HomeVisitOperation]], list[HomeVisitOperation]]
Read = Callable[[list[str]], Awaitable[Mapping[str, Any]]]


class Context:
    """One request's. `permitted` leaves of what can be done to a visit what the caller may do."""

    def __init__(
        self, database: Database, caller: Caller, clock: Callable[[], datetime], default_time_zone: str, permitted: Permitted
    ) -> None:
        self.caller = caller
        self._permitted = permitted
        self.visits = HomeVisits(database, caller, clock)
        self._references = References(database, caller, default_time_zone)
        self._loaders: dict[Any, _DataLoader] = {}

    def allowed_operations(self, visit: HomeVisit) -> list[HomeVisitOperation]:
        return self._permitted(self.caller, lifecycle.allowed_operations(visit))

    async def records(self, kind: Kind, ids: Collection[str], *, by_id: bool) -> Mapping[str, Any]:
        """Return what is known of these IDs (None where nothing is), reading only what was not read before.

        `by_id`: asked for by ID alone, so the caller must be allowed to; else a visit in sight refers to them.
        """
        read = self._references.load_visible if by_id else self._references.load_referenced
        shelf = self._loader((kind, by_id), partial(read, kind))
        if not by_id:
            shelf.items |= self._references.cached(kind, [id for id in ids if id not in shelf.items])
        return await shelf.load_many(ids)

    def known(self, kind: Kind, *, by_id: bool) -> Mapping[str, Any]:
        """Return what `records` has read so far."""
        return self._loaders[kind, by_id].items

    async def record(self, kind: Kind, id: str, *, by_id: bool) -> Any:
        """Like `records` for one ID."""
        return (await self.records(kind, (id,), by_id=by_id))[id]

    async def visits_of(self, parent: str, id: str, filter: HomeVisitFilter, order: OrderKeys, window: Window) -> Page[HomeVisit]:
        """Return a page of the visits that refer to a record; those of many records are read together."""

        async def read(ids: list[str]) -> Mapping[str, Any]:
            return dict(zip(ids, await self.visits.pages(parent, ids, filter, order, window), strict=True))

        asked = (parent, repr(sorted(filter.items())), tuple(order), window)
        return cast("Page[HomeVisit]", (await self._loader(asked, read).load_many((id,)))[id])

    def forget(self) -> None:
        """Read anew from now on: something was written."""
        self._loaders.clear()

    def _loader(self, key: Any, read: Read) -> "_DataLoader":
        shelf = self._loaders.get(key)
        if shelf is None:
            shelf = self._loaders[key] = _DataLoader(read)
        return shelf


class _DataLoader:
    """What one kind of reading has found. What is asked for in the same step of the loop is read together, and only once.

    A failure is kept like a find: a database that is too slow is not asked again for the same.
    """

    def __init__(self, read: Read) -> None:
        self.items: dict[str, Any] = {}
        self._read = read
        self._asked: list[str] = []
        self._readings: dict[str, asyncio.Task[None]] = {}

    async def load_many(self, ids: Iterable[str]) -> Mapping[str, Any]:
        missing = [id for id in dict.fromkeys(ids) if id not in self.items]
        if new := [id for id in missing if id not in self._readings]:
            # The first who asks starts a reading; those who ask before it begins join in.
            reading = self._readings[self._asked[0]] if self._asked else asyncio.ensure_future(self._read_asked())
            self._asked += new
            self._readings |= dict.fromkeys(new, reading)
        for reading in dict.fromkeys(self._readings[id] for id in missing):
            # Others may wait for the same when this one is cancelled.
            await asyncio.shield(reading)
        return self.items

    async def _read_asked(self) -> None:
        ids, self._asked = self._asked, []
        found = await self._read(ids)
        self.items |= {id: found.get(id) for id in ids}


Info = strawberry.Info[Context, None]


def wanted(info: Info) -> frozenset[str] | None:
    """Return the attributes that a plan will read of what a root field answers, None where no plan knows."""
    return getattr(info._raw_info, "wanted", None)
