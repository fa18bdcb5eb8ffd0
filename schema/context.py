"""The context of a request: its caller, its repository, and data loaders that load each record once and many at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import strawberry

from schema.execution.hints import PagesLoader, RecordsLoader
from schema.execution.limits import LARGEST_ANSWER
from schema.execution.sizes import AnswerTooLarge
from storage import lifecycle
from storage.caller import Caller
from storage.database import Database
from storage.events.conditions import HomeVisitEventFilter
from storage.events.feed import Feed
from storage.events.followers import Follower
from storage.events.reading import HomeVisitEvents
from storage.lifecycle import HomeVisitOperation
from storage.models import HomeVisit
from storage.nonces import Nonce
from storage.people import People
from storage.queries.conditions import LIST_LENGTH, HomeVisitFilter
from storage.queries.paging import Window
from storage.queries.references import Kind
from storage.records import record_of
from storage.references import References
from storage.repository import HomeVisits, OrderKeys
from storage.writes import WriteState

Permitted = Callable[[Caller, Iterable[HomeVisitOperation]], list[HomeVisitOperation]]
# As many of the longest notes take a few megabytes.
LONG_ROWS_AT_ONCE = 500
ROWS_AT_ONCE = 2_500

VISIT_BY_ID = record_of(HomeVisit, ["id"])

LastSynced = Callable[[], Awaitable[datetime | None]]
Load = Callable[[list[str]], Awaitable[Mapping[str, Any]]]


class Change(NamedTuple):
    """A root field that writes, by its name in the schema, and how far its write has come."""

    field: str
    state: WriteState


class Context:
    """The context of one request. `permitted` filters what can be done to a visit by what the caller may do.

    `changes` has, by response key in the order of the document, each change that was started. `largest_answer` bounds the notes
    that are read for it, in characters, where nothing counts the bytes of the answer as it is built. `make_visits` makes the
    repository of one change. `last_synced` tells when a followed account was last read to its end; None where none is followed.
    """

    def __init__(
        self,
        database: Database,
        caller: Caller,
        clock: Callable[[], datetime],
        default_time_zone: str,
        permitted: Permitted,
        largest_answer: int = LARGEST_ANSWER,
        feed: Feed | None = None,
        make_visits: Callable[..., HomeVisits] = HomeVisits,
        last_synced: LastSynced | None = None,
    ) -> None:
        self.caller = caller
        self.changes: dict[str, Change] = {}
        self._database = database
        self._clock = clock
        self._permitted = permitted
        self._letters = _Letters(largest_answer)
        self.last_synced = last_synced
        self._feed = feed
        self._make_visits = make_visits
        self.visits = HomeVisits(database, caller, clock)
        self._default_time_zone = default_time_zone
        self._references = References(database, caller, default_time_zone)
        self._loaders: dict[Any, _DataLoader] = {}

    @property
    def people(self) -> People:
        return People(self._database, self.caller, self._default_time_zone)

    @property
    def events(self) -> HomeVisitEvents:
        return HomeVisitEvents(self._database, self.caller)

    def allowed_operations(self, visit: HomeVisit) -> list[HomeVisitOperation]:
        return self._permitted(self.caller, lifecycle.allowed_operations(visit))

    async def load_many(self, kind: Kind, ids: Collection[str], *, by_id: bool) -> Mapping[str, Any]:
        """Return the records of these IDs (None where there is none), loading only those that were not loaded before.

        `by_id`: the caller must be allowed to see it by its ID alone; else a visit that the caller sees refers to it.
        """
        load = self._references.load_visible if by_id else self._references.load_referenced
        loader = self._loader((kind, by_id), partial(load, kind))
        if not by_id:
            loader.items |= self._references.cached(kind, [id for id in ids if id not in loader.items])
        return await loader.load_many(ids)

    async def load(self, kind: Kind, id: str, *, by_id: bool) -> Any:
        """Like `load_many` for one ID."""
        return (await self.load_many(kind, (id,), by_id=by_id))[id]

    def pages_loader(
        self, parent: str, filter: HomeVisitFilter, order: OrderKeys, window: Window, columns: frozenset[str] | None = None
    ) -> PagesLoader:
        """Return what loads, for IDs of records, a page each of the visits that refer to them in the column `parent`.

        Where `columns` names the attributes that will be read of the visits, they need not have others.
        """

        visits, letters = self.visits, self._letters
        with_notes = columns is None or "notes" in columns

        async def load(ids: list[str]) -> Mapping[str, Any]:
            pages = await visits.pages(parent, ids, filter, order, window, columns)
            if with_notes:
                letters.count(pages)
            return dict(zip(ids, pages, strict=True))

        key = (parent, repr(sorted(filter.items())), tuple(order), window, columns)
        return self._loader(key, _in_parts(load, window, LONG_ROWS_AT_ONCE if with_notes else ROWS_AT_ONCE)).load_many

    def contacts_loader(self, window: Window) -> PagesLoader:
        """Return what loads, for IDs of care enquiries, a page each of their contacts."""

        people = self.people

        async def load(ids: list[str]) -> Mapping[str, Any]:
            return dict(zip(ids, await people.contacts(ids, window), strict=True))

        return self._loader(("contacts", window), _in_parts(load, window)).load_many

    def histories_loader(self, window: Window) -> PagesLoader:
        """Return what loads, for IDs of visits, a page each of their events."""

        events = self.events

        async def load(ids: list[str]) -> Mapping[str, Any]:
            return await events.histories(ids, window)

        return self._loader(("history", window), _in_parts(load, window)).load_many

    def visits_loader(self, columns: frozenset[str] | None) -> RecordsLoader:
        """Return what loads visits by their IDs; where `columns` names what will be read of them, they need not have others."""

        visits, letters = self.visits, self._letters

        async def load(ids: list[str]) -> Mapping[str, Any]:
            if columns is not None and columns <= {"id"}:
                # What refers to them has all that is read.
                return {id: VISIT_BY_ID((id,)) for id in ids}
            found: dict[str, Any] = {}
            for start in range(0, len(ids), LIST_LENGTH):
                some = ids[start : start + LIST_LENGTH]
                page = await visits.page({"ids": some}, (("id", False),), Window(len(some), False, None, None), columns)
                if columns is None or "notes" in columns:
                    letters.count((page,))
                found |= {visit.id: visit for visit in page.nodes}
            return found

        return self._loader(("visits", columns), load).load_many

    def count_letters(self, pages: Iterable[Any]) -> None:
        """Raise AnswerTooLarge where the notes that were read are more than an answer may have."""
        self._letters.count(pages)

    async def follow(self, filter: HomeVisitEventFilter, after: str | None) -> Follower:
        """Return the events that the caller sees from now on, or from a cursor on; raise InvalidPage."""
        if self._feed is None:
            raise RuntimeError("Events can be followed only where something reads them.")
        return await self._feed.follow(self.caller, filter, after)

    def begin_change(self, key: str, field: str, nonce: Nonce | None = None) -> HomeVisits:
        """Return the repository for one change, and keep under its response key how far it comes; load anew from now on.

        `nonce` is that of a signed request.
        """
        self._loaders.clear()
        change = self.changes[key] = Change(field, WriteState(self.caller.subject))
        return self._make_visits(self._database, self.caller, self._clock, change.state, nonce)

    def _loader(self, key: Any, load: Load) -> "_DataLoader":
        loader = self._loaders.get(key)
        if loader is None:
            loader = self._loaders[key] = (_LoaderAtOnce if self._database.is_at_once else _DataLoader)(load)
        return loader


class _Letters:
    """The notes that were read for a request. Loaders count in it, which must not refer to the context that keeps them."""

    def __init__(self, largest: int) -> None:
        self._number = 0
        self._largest = largest

    def count(self, pages: Iterable[Any]) -> None:
        self._number += sum(len(visit.notes) for page in pages for visit in page.nodes)
        if self._number > self._largest:
            raise AnswerTooLarge


def _in_parts(load: Load, window: Window, rows: int = ROWS_AT_ONCE) -> Load:
    """Return what loads pages for so many IDs at once that they have no more than so many rows.

    What one statement returns is in memory at once, and its rows are made while nobody else is served.
    """

    async def load_all(ids: list[str]) -> Mapping[str, Any]:
        pages: dict[str, Any] = {}
        at_once = max(1, rows // (window.size + 1))
        for start in range(0, len(ids), at_once):
            if start:
                await asyncio.sleep(0)
            pages |= await load(ids[start : start + at_once])
        return pages

    return load_all


class _DataLoader:
    """Loads items by ID: those requested in one step of the loop together, and each only once.

    A failure is kept like an item: a database that is too slow is not queried again for the same.
    """

    def __init__(self, load: Load) -> None:
        self.items: dict[str, Any] = {}
        self._load = load
        self._batch: list[str] = []
        self._loads: dict[str, asyncio.Task[None]] = {}

    async def load_many(self, ids: Iterable[str]) -> Mapping[str, Any]:
        missing = [id for id in dict.fromkeys(ids) if id not in self.items]
        if new := [id for id in missing if id not in self._loads]:
            # The first request starts a task; those that come before it begins join its batch.
            task = self._loads[self._batch[0]] if self._batch else self._start_batch()
            self._batch += new
            self._loads |= dict.fromkeys(new, task)
        for task in dict.fromkeys(self._loads[id] for id in missing):
            # Others may wait for the same when this one is cancelled.
            await asyncio.shield(task)
        return self.items

    def _start_batch(self) -> "asyncio.Task[None]":
        task = asyncio.ensure_future(self._load_batch())
        # Who waits for several is told of the first that fails: asyncio would log the others as never looked at.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return task

    async def _load_batch(self) -> None:
        ids, self._batch = self._batch, []
        found = await self._load(ids)
        self.items |= {id: found.get(id) for id in ids}


class _LoaderAtOnce(_DataLoader):
    """Loads in no task of its own: nobody runs beside what is answered at once."""

    async def load_many(self, ids: Iterable[str]) -> Mapping[str, Any]:
        if missing := [id for id in dict.fromkeys(ids) if id not in self.items]:
            found = await self._load(missing)
            self.items |= {id: found.get(id) for id in missing}
        return self.items


Info = strawberry.Info[Context, None]
