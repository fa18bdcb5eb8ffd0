"""The readers of events: for one caller by pages, and for the process that follows all of them."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

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

Values = dict[str, Any]


class _Flags(NamedTuple):
    """What a statement says of the list besides its events: see `listing.FLAGS`."""

    after_id: str | None
    before_id: str | None
    is_earlier: bool
    is_later: bool
    is_unnumbered: bool


class _Bounds(NamedTuple):
    """The cursors of a page."""

    after: Position | None
    before: Position | None

    @classmethod
    def of(cls, window: Window) -> "_Bounds":
        return cls(_position(window.after, "after"), _position(window.before, "before"))

    def values(self) -> Values:
        return {"after": self.after.sequence if self.after else 0, "before": self.before.sequence if self.before else END}

    def require_unchanged(self, flags: _Flags) -> None:
        if self.after:
            require_unchanged(self.after, flags.after_id, "after")
        if self.before:
            require_unchanged(self.before, flags.before_id, "before")


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
        statement = await _compiled(lambda: listing.page(self._dialect, shape))
        values = where.values | bounds.values() | {"limit": window.size + 1}
        rows = await _numbered_rows(self._database, statement, values, self._caller.subject)
        return _page(rows, window, bounds)

    async def histories(self, ids: Sequence[str], window: Window) -> dict[str, EventPage]:
        """Return for each visit a page of its events, oldest first, all read by one statement."""
        where = event_conditions({}, self._caller.locations, self._dialect)
        bounds = _Bounds.of(window)
        shape = Shape(where.shape, window.backward, bounds.after is not None, bounds.before is not None)
        statement = await _compiled(lambda: listing.histories(self._dialect, shape))
        values = where.values | bounds.values() | {"limit": window.size + 1, "parents": self._dialect.list_value(list(ids))}
        rows = await _numbered_rows(self._database, statement, values, self._caller.subject)
        return {id: _page([row[1:] for row in of], window, bounds) for id, of in groupby(rows, itemgetter(0))}

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
    statement = listing.page(database.dialect, Shape(()))
    rows = await _numbered_rows(database, statement, {"after": sequence, "before": END, "limit": limit}, OURSELVES)
    return _events(rows)


async def newest_event(database: Database) -> HomeVisitEvent | None:
    """Return the last event of all; what was committed before gets its number first."""
    statement = listing.page(database.dialect, Shape((), backward=True))
    rows = await _numbered_rows(database, statement, {"after": 0, "before": END, "limit": 1}, OURSELVES)
    return next(iter(_events(rows)), None)


async def _compiled(compile: Callable[[], Statement]) -> Statement:
    """Return a form of a list as it runs here; where it is new, it is compiled when it is its turn."""
    if COMPILING.is_taken:
        await COMPILING.wait()
    return compile()


async def _numbered_rows(database: Database, statement: Statement, values: Mapping[str, Any], subject: str) -> Sequence[Any]:
    """Read, and again where an event waits for its number, once that has one."""
    rows: Sequence[Any] = await database.fetch(statement, values, subject)
    # What had begun before may miss what was committed since; the next does not.
    for _ in range(2):
        if not rows or not rows[0][-1]:
            break
        had_begun = await number_for_read(database)
        rows = await database.fetch(statement, values, subject)
        if not had_begun:
            break
    return rows


def _events(rows: Sequence[Any]) -> list[HomeVisitEvent]:
    return [HomeVisitEventRecord(row[: len(COLUMNS)]) for row in rows if row[0] is not None]


def _page(rows: Sequence[Any], window: Window, bounds: _Bounds) -> EventPage:
    flags = _Flags(*rows[0][-len(FLAGS) :])
    bounds.require_unchanged(flags)
    events = _events(rows)
    more = len(events) > window.size
    if more:
        events = events[1:] if window.backward else events[:-1]
    return EventPage(
        events,
        window.after,
        has_previous_page=bool(flags.is_earlier) or (window.backward and more),
        has_next_page=bool(flags.is_later) or (not window.backward and more),
    )
