"""Where one stands in the log: the number of an event, and its ID, by which a log that was restored from a backup is known."""

import binascii
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from storage.errors import InvalidPage
from storage.identifiers import is_identifier
from storage.models import HomeVisitEvent
from storage.queries.paging import Edge

# Of more digits no database has a number.
LONGEST_NUMBER = 18


class Position(NamedTuple):
    sequence: int
    id: str


START = Position(0, "0" * 24)


class EventOrder:
    """The one order of events, which makes their cursors."""

    def cursor(self, event: Any) -> str:
        return cursor_at(Position(event.sequence, event.id))

    def cursors(self, events: Iterable[Any]) -> list[str]:
        return [cursor_at(Position(event.sequence, event.id)) for event in events]


ORDER = EventOrder()


def cursor_at(position: Position) -> str:
    return binascii.b2a_base64(f"e|{position.sequence}|{position.id}".encode(), newline=False).decode()


# The place before the first event.
BEGINNING = cursor_at(START)


def position_of(cursor: str, argument: str) -> Position:
    """Return where a cursor stands; raise InvalidPage for any other string."""
    try:
        content = binascii.a2b_base64(cursor.strip(), strict_mode=True)
        code, number, id = content.decode().split("|")
        position = Position(int(number[:LONGEST_NUMBER]), id)
        genuine = code == "e" and is_identifier(id) is not None and cursor_at(position) == cursor.strip()
        genuine = genuine and (position.sequence > 0 or position == START)
    except (ValueError, binascii.Error):
        genuine = False
    if not genuine:
        raise InvalidPage(f"`{argument}` is no cursor of events: pass a cursor of theirs unchanged.")
    return position


def require_unchanged(position: Position, id: str | None, argument: str) -> None:
    """Raise InvalidPage where the event that a cursor stands at is another by now, or gone."""
    if position.sequence and position.id != id:
        raise InvalidPage(
            f"The event that `{argument}` stands at is not there: the events were restored from a backup since. "
            f"Begin again without `{argument}`, and read visits anew."
        )


def edge_of(event: HomeVisitEvent) -> Edge:
    return Edge((event, ORDER))


class EventPage:
    """One page of events, and whether there are others around it. On an empty one `end_cursor` is where it was to begin."""

    def __init__(
        self, nodes: Sequence[HomeVisitEvent], after: str | None, *, has_previous_page: bool, has_next_page: bool
    ) -> None:
        self.nodes = list(nodes)
        self.has_previous_page = has_previous_page
        self.has_next_page = has_next_page
        self._after = after

    @property
    def edges(self) -> list[Edge]:
        return list(map(Edge, zip(self.nodes, repeat(ORDER))))

    @property
    def page_info(self) -> "EventPage":
        return self

    @property
    def start_cursor(self) -> str | None:
        return ORDER.cursor(self.nodes[0]) if self.nodes else None

    @property
    def end_cursor(self) -> str:
        return ORDER.cursor(self.nodes[-1]) if self.nodes else self._after or BEGINNING
