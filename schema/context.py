"""What every resolver is given: who asks, and the records in sight, read once for each request and many at a time."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, cast

import strawberry
from strawberry.dataloader import DataLoader

from storage import lifecycle
from storage.caller import Caller
from storage.conditions import HomeVisitFilter
from storage.database import Database
from storage.lifecycle import HomeVisitOperation
from storage.models import HomeVisit
from storage.paging import Page, Window
from storage.references import Kind, References
from storage.repository import HomeVisits, OrderKeys

Permitted = Callable[[Caller, Iterable[HomeVisitOperation]], list[HomeVisitOperation]]


class Context:
    """One request's. `permitted` leaves of what can be done to a visit what the caller may do."""

    def __init__(
        self, database: Database, caller: Caller, clock: Callable[[], datetime], default_time_zone: str, permitted: Permitted
    ) -> None:
        self.caller = caller
        self._permitted = permitted
        self.visits = HomeVisits(database, caller, clock)
        self._references = References(database, caller, default_time_zone)
        self._known: dict[tuple[Kind, bool], dict[str, Any]] = {}
        self._loaders: dict[Any, DataLoader[str, Any]] = {}

    def allowed_operations(self, visit: HomeVisit) -> list[HomeVisitOperation]:
        return self._permitted(self.caller, lifecycle.allowed_operations(visit))

    async def records(self, kind: Kind, ids: Iterable[str], *, by_id: bool) -> dict[str, Any]:
        """Return what is known of these IDs (None where nothing is), reading only what was not read before.

        `by_id`: asked for by ID alone, so the caller must be allowed to; else a visit in sight refers to them.
        """
        known = self.known(kind, by_id=by_id)
        missing = [id for id in dict.fromkeys(ids) if id not in known]
        if missing:
            read = await (self._references.in_sight if by_id else self._references.named)(kind, missing)
            known.update((id, read.get(id)) for id in missing)
        return known

    def known(self, kind: Kind, *, by_id: bool) -> dict[str, Any]:
        """Return what `records` has read so far."""
        return self._known.setdefault((kind, by_id), {})

    async def record(self, kind: Kind, id: str, *, by_id: bool) -> Any:
        """Like `records` for one ID; those asked for in the same step are read together."""

        async def load(ids: list[str]) -> Sequence[Any]:
            known = await self.records(kind, ids, by_id=by_id)
            return [known[id] for id in ids]

        return await self._loader((kind, by_id), load).load(id)

    async def visits_of(self, parent: str, id: str, filter: HomeVisitFilter, order: OrderKeys, window: Window) -> Page[HomeVisit]:
        """Return a page of the visits that refer to a record; those of many records are read together."""

        async def load(ids: list[str]) -> Sequence[Any]:
            return await self.visits.pages(parent, ids, filter, order, window)

        asked = (parent, repr(sorted(filter.items())), tuple(order), window)
        return cast("Page[HomeVisit]", await self._loader(asked, load).load(id))

    def _loader(self, key: Any, load: Callable[[list[str]], Any]) -> DataLoader[str, Any]:
        if key not in self._loaders:
            self._loaders[key] = DataLoader(load_fn=load)
        return self._loaders[key]


Info = strawberry.Info[Context, None]
