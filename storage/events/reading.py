"""The readers of events: for one caller by pages, and for the process that follows all of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from storage.caller import OURSELVES, Caller
from storage.database import Database
from storage.events import listing
from storage.events.conditions import SCOPE, HomeVisitEventFilter, event_conditions
from storage.events.cursors import EventPage, Position, position_of, require_unchanged
from storage.events.listing import COLUMNS, FLAGS, Shape
from storage.events.numbering import number_for_read
from storage.identifiers import identifiers, is_identifier
from storage.models import HomeVisitEvent
from storage.queries.paging import Window
from storage.queries.statements import COMPILING, Statement
from storage.records import HomeVisitEventRecord

# No event has so large a number.
END = 2**63 - 1

T = TypeVar("T")

Values = dict[str, Any]


class _Flags(NamedTuple):
    """What a statement says of a history besides its events: see `listing.FLAGS`."""

    after_id: str | None
    before_id: str | None
    is_earlier: bool
    is_later: bool
    is_unnumbered: bool


class _Read(NamedTuple):
    """A page and one event more, and what `listing.ends` says of the cursors."""

    events: list[HomeVisitEvent]
    ends: Sequence[Any]

    @property
    def is_incomplete(self) -> bool:
        """Tell whether an event waited for its number."""
        return bool(self.ends[-1])


class _Bounds(NamedTuple):
    """The cursors of a page."""

    after: Position | None
    before: Position | None

    @classmethod
    def of(cls, window: Window) -> "_Bounds":
        return cls(_position(window.after, "after"), _position(window.before, "before"))

    def values(self) -> Values:
        return {"after": self.after.sequence if self.after else 0, "before": self.before.sequence if self.before else END}

    def require_unchanged(self, after_id: str | None, before_id: str | None) -> None:
        if self.after:
            require_unchanged(self.after, after_id, "after")
        if self.before:
            require_unchanged(self.before, before_id, "before")


def _position(cursor: str | None, argument: str) -> Position | None:
    return None if cursor is None else position_of(cursor, argument)


class HomeVisitEvents:
    """The events of visits that `caller` may see, as far as they have a number; what was committed before gets one first."""

    def __init__(self, database: Database, caller: Caller) -> None:
        self._database = database
        self._dialect = database.dialect
        self._caller = caller

    async def page(self, filter: HomeVisitEventFilter, window: Window) -> EventPage:
        """Return a page of the events that meet `filter`, oldest first; raise InvalidPage for what is no cursor of theirs."""
        where = event_conditions(filter, self._caller.locations, self._dialect)
        bounds = _Bounds.of(window)
        shape = Shape(where.shape, window.backward, bounds.after is not None, bounds.before is not None)
        values = where.values | bounds.values() | {"limit": window.size + 1}
        events, ends = await _numbered(self._database, shape, values, self._caller.subject)
        at = iter(ends)
        after_id, after_is_listed = (next(at), next(at)) if shape.after else (None, False)
        before_id, before_is_listed = (next(at), next(at)) if shape.before else (None, False)
        bounds.require_unchanged(after_id, before_id)
        # The event of a cursor is in the list as a rule; else others are looked for.
        is_earlier = after_is_listed or (shape.after and await self._is_beyond(shape, values, backward=True))
        is_later = before_is_listed or (shape.before and await self._is_beyond(shape, values, backward=False))
        return _page_of(events, window, is_earlier=bool(is_earlier), is_later=bool(is_later))

    async def _is_beyond(self, shape: Shape, values: Values, *, backward: bool) -> bool:
        """Tell whether any event of a list stands before its page, or behind it."""
        bounds = {"after": 0, "before": values["after"] + 1} if backward else {"after": values["before"] - 1, "before": END}
        statement = listing.page(self._dialect, Shape(shape.conditions, backward))
        rows = await self._database.fetch(statement, values | bounds | {"limit": 1}, self._caller.subject)
        return bool(_events(rows))

    async def histories(self, ids: Sequence[str], window: Window) -> dict[str, EventPage]:
        """Return for each visit a page of its events, oldest first, all read by one statement."""
        where = event_conditions({}, self._caller.locations, self._dialect)
        bounds = _Bounds.of(window)
        shape = Shape(where.shape, window.backward, bounds.after is not None, bounds.before is not None)
        statement = await _compiled(lambda: listing.histories(self._dialect, shape))
        values = where.values | bounds.values() | {"limit": window.size + 1, "parents": self._dialect.list_value(list(ids))}

        async def read() -> Sequence[Any]:
            return await self._database.fetch(statement, values, self._caller.subject)

        rows = await _until_complete(self._database, read, lambda found: bool(found and found[0][-1]))
        return {id: _history([row[1:] for row in of], window, bounds) for id, of in groupby(rows, itemgetter(0))}

    async def get(self, id: str) -> HomeVisitEvent | None:
        if not is_identifier(id):
            return None
        locations = self._caller.locations
        statement = await _compiled(lambda: listing.one(self._dialect, locations is not None))
        values = {"id": id, SCOPE: self._dialect.list_value(identifiers(locations or ()))}
        rows: Sequence[Any] = await self._database.fetch(statement, values, self._caller.subject)
        return HomeVisitEventRecord(rows[0]) if rows else None

    async def position(self, after: str) -> int:
        """Return the number that a cursor stands at; raise InvalidPage for what is none, or stands at an event that is gone."""
        await self.page({}, Window.of(0, after, None, None))
        return position_of(after, "after").sequence


async def events_after(database: Database, sequence: int, limit: int) -> list[HomeVisitEvent]:
    """Return the next events of all visits after this number, oldest first; what was committed before gets a number first."""
    read = await _numbered(database, Shape(()), {"after": sequence, "before": END, "limit": limit}, OURSELVES)
    return read.events


async def newest_event(database: Database) -> HomeVisitEvent | None:
    """Return the last event of all; what was committed before gets its number first."""
    read = await _numbered(database, Shape((), backward=True), {"after": 0, "before": END, "limit": 1}, OURSELVES)
    return next(iter(read.events), None)


async def _compiled(compile: Callable[[], Statement]) -> Statement:
    """Return a form of a list as it runs here; where it is new, it is compiled when it is its turn."""
    if COMPILING.is_taken:
        await COMPILING.wait()
    return compile()


async def _numbered(database: Database, shape: Shape, values: Mapping[str, Any], subject: str) -> _Read:
    """Read a page, and again where an event waits for its number, once that has one."""
    statement = await _compiled(lambda: listing.page(database.dialect, shape))

    async def read() -> _Read:
        rows = await database.fetch(statement, values, subject)
        # What a database tells only beside events, it tells as well a moment later: it numbers none after their commit.
        ends = (
            rows[0][len(COLUMNS) :] if rows else (await database.fetch(listing.ends(database.dialect, shape), values, subject))[0]
        )
        return _Read(_events(rows), ends)

    return await _until_complete(database, read, lambda found: found.is_incomplete)


async def _until_complete(database: Database, read: Callable[[], Awaitable[T]], is_incomplete: Callable[[T], bool]) -> T:
    found = await read()
    # What had begun before may miss what was committed since; the next does not.
    for _ in range(2):
        if not is_incomplete(found):
            break
        try:
            had_begun = await number_for_read(database)
        except TimeoutError:
            break
        found = await read()
        if not had_begun:
            break
    return found


def _events(rows: Sequence[Any]) -> list[HomeVisitEvent]:
    return [HomeVisitEventRecord(row[: len(COLUMNS)]) for row in rows if row[0] is not None]


def _history(rows: Sequence[Any], window: Window, bounds: _Bounds) -> EventPage:
    flags = _Flags(*rows[0][-len(FLAGS) :])
    bounds.require_unchanged(flags.after_id, flags.before_id)
    events = _events(rows)
    if window.backward:
        events.reverse()
    return _page_of(events, window, is_earlier=bool(flags.is_earlier), is_later=bool(flags.is_later))


def _page_of(events: list[HomeVisitEvent], window: Window, *, is_earlier: bool, is_later: bool) -> EventPage:
    """Make a page of one event more than it has, in the order they were read: of the last ones backwards."""
    more = len(events) > window.size
    events = events[: window.size]
    if window.backward:
        events.reverse()
    return EventPage(
        events,
        window.after,
        has_previous_page=is_earlier or (window.backward and more),
        has_next_page=is_later or (not window.backward and more),
    )
