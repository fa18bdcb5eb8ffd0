"""Pages of a list that changes while it is read: order, cursor, keyset condition."""

import asyncio
import binascii
import operator
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.sql.visitors import replacement_traverse

from storage.errors import InvalidPage
from storage.identifiers import is_identifier
from storage.instants import instant, stored
from storage.names import is_folded_name
from storage.records import Record

T = TypeVar("T")

PAGE = 10
LARGEST_PAGE = 100
# Twice the columns that visits can be ordered by: a key that comes a second time changes nothing.
ORDER_KEYS = 8
# The columns that lists can be ordered by, each with its letter in cursors. Clients keep cursors: a letter stays with its column.
CURSOR_CODES = {"id": "i", "date_time": "d", "created": "c", "modified": "m", "name_folded": "n"}


class NumberedPage(NamedTuple):
    """A page by its number, from 1, in a list of pages of this size."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size

    def row_before(self) -> dict[str, int]:
        """Return the parameters by which the row before the page is found. One row is a page of its own."""
        return {"limit": 1, "reach": self.offset, "position": self.offset - 1}


class Window(NamedTuple):
    """What part of a list a page is: its size, from which end of the list it is counted, and the cursors that bound it."""

    size: int
    backward: bool
    after: str | None
    before: str | None

    @classmethod
    def of(cls, first: int | None, after: str | None, last: int | None, before: str | None) -> "Window":
        """Raise InvalidPage for both directions at once, and for sizes out of range."""
        if first is not None and last is not None:
            raise InvalidPage("Ask for either the `first` or the `last` of a list, not both at once.")
        for name, size in (("first", first), ("last", last)):
            if size is not None and not 0 <= size <= LARGEST_PAGE:
                raise InvalidPage(
                    f"`{name}` must be from 0 to {LARGEST_PAGE}: it is {size}. Page through longer lists with cursors."
                )
        if last is not None:
            return cls(last, True, after, before)
        return cls(PAGE if first is None else first, False, after, before)


def canonical(keys: Sequence[tuple[str, bool]]) -> tuple[tuple[str, bool], ...]:
    """Return the keys without those that cannot change the order, ending in the ID; raise InvalidPage for too many.

    There are some 150 of them, however many lists of keys are sent.
    """
    if len(keys) > ORDER_KEYS:
        raise InvalidPage(f"`orderBy` may have at most {ORDER_KEYS} keys: this one has {len(keys)}. Leave out repeated fields.")
    distinct = dict[str, bool]()
    for name, descending in keys:
        distinct.setdefault(name, descending)
        if name == "id":
            return tuple(distinct.items())
    return (*distinct.items(), ("id", False))


class Order:
    """`keys` are (column, descending), canonical: no two rows are equal. `records` tells lists of other records apart."""

    __slots__ = ("_values", "code", "keys")

    def __init__(self, keys: Sequence[tuple[str, bool]], columns: Sequence[str], records: str = "") -> None:
        self.keys = canonical(keys)
        # A cursor carries the order it belongs to: `d` for `date_time`, `D` for the same descending.
        codes = [(CURSOR_CODES[name], descending) for name, descending in self.keys]
        self.code = records + "".join(code.upper() if descending else code for code, descending in codes)
        positions = [columns.index(name) for name, _ in self.keys]
        # An `itemgetter` of one position gives no tuple.
        self._values = itemgetter(*positions) if len(positions) > 1 else itemgetter(slice(positions[0], positions[0] + 1))

    def cursor(self, record: Sequence[Any]) -> str:
        (cursor,) = self.cursors((record,))
        return cursor

    def cursors(self, records: Iterable[Sequence[Any]]) -> list[str]:
        # Of plain letters and digits Base64 makes nothing that a URL would have to escape.
        encode, start = binascii.b2a_base64, f"{self.code}|"
        return [encode(f"{start}{'|'.join(values)}".encode(), newline=False).decode() for values in map(self._values, records)]

    def position(self, cursor: str, argument: str) -> dict[str, str]:
        """Return the key values in a cursor as the parameters `after_0`, `after_1`…; raise InvalidPage for any other string."""
        try:
            cursor = cursor.strip()
            content = binascii.a2b_base64(cursor, strict_mode=True)
            code, *values = content.decode().split("|")
            genuine = code == self.code and len(values) == len(self.keys) and all(map(_is_genuine, self.keys, values))
            genuine = genuine and binascii.b2a_base64(content, newline=False).decode() == cursor
        except (ValueError, binascii.Error):
            genuine = False
        if not genuine:
            raise InvalidPage(
                f"`{argument}` is no cursor of this list: pass a cursor from it unchanged, with the `orderBy` it came with."
            )
        return {f"{argument}_{index}": value for index, value in enumerate(values)}

    def sorting(self, table: sa.FromClause, *, backward: bool) -> list[sa.ColumnElement[Any]]:
        return [table.c[name].desc() if descending != backward else table.c[name].asc() for name, descending in self.keys]

    def beyond(self, table: sa.FromClause, argument: str, *, backward: bool, inclusive: bool = False) -> sa.ColumnElement[bool]:
        """Hold for the rows after a cursor (before it when `backward`), in a form that an index can seek."""
        columns = [table.c[name] for name, _ in self.keys]
        bounds = [sa.bindparam(f"{argument}_{index}", type_=column.type) for index, column in enumerate(columns)]
        descending = [descending != backward for _, descending in self.keys]
        if len(set(descending)) == 1 and len(columns) > 1:
            return _compared(sa.tuple_(*columns), sa.tuple_(*bounds), descending[0], inclusive)
        return _nested(list(zip(columns, bounds, descending, strict=True)), inclusive)


def _nested(keys: list[tuple[Any, Any, bool]], inclusive: bool) -> sa.ColumnElement[bool]:
    (column, bound, descending), *rest = keys
    if not rest:
        return _compared(column, bound, descending, inclusive)
    further = sa.or_(_compared(column, bound, descending, False), _nested(rest, inclusive))
    return sa.and_(_compared(column, bound, descending, True), further)


def _compared(left: Any, right: Any, descending: bool, inclusive: bool) -> sa.ColumnElement[bool]:
    compare = (operator.le if inclusive else operator.lt) if descending else (operator.ge if inclusive else operator.gt)
    return cast("sa.ColumnElement[bool]", compare(left, right))


def _is_genuine(key: tuple[str, bool], value: str) -> bool:
    if key[0] == "id":
        return is_identifier(value) is not None
    return is_folded_name(value) if key[0] == "name_folded" else stored(instant(value)) == value


class Edge(Record):
    """A record of a page, with the order that its cursor belongs to."""

    __slots__ = ()
    columns = ("node", "order")
    instants = frozenset()
    never_null = frozenset(columns)
    node = property(itemgetter(0))

    @property
    def cursor(self) -> str:
        return cast("Order", self[1]).cursor(self[0])


def cursors(edges: Sequence[Edge]) -> list[str]:
    """Return the cursors of the edges of one page, in a fraction of the time that they take one by one."""
    return edges[0][1].cursors(map(itemgetter(0), edges)) if edges else []


class Page(Generic[T]):
    """One page, and whether its list goes on around it; cursors and counts are computed only when they are read."""

    def __init__(
        self, nodes: list[T], order: Order, *, has_previous_page: bool, has_next_page: bool, count: Callable[[], Awaitable[int]]
    ) -> None:
        self.nodes = nodes
        self.has_previous_page = has_previous_page
        self.has_next_page = has_next_page
        self.counted: int | None = None
        self._failure: Exception | None = None
        self._counting: asyncio.Lock | None = None
        self._count = count
        self._order = order

    async def total_count(self) -> int:
        """Count all rows of the list, once for all who ask, a failure included; `counted` holds the number from then on."""
        if self.counted is None:
            self._counting = self._counting or asyncio.Lock()
            async with self._counting:
                await self._count_once()
        return cast("int", self.counted)

    async def _count_once(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.counted is None:
            try:
                self.counted = await self._count()
            except Exception as error:
                self._failure = error
                raise

    @property
    def edges(self) -> list[Edge]:
        return list(map(Edge, zip(self.nodes, repeat(self._order))))

    @property
    def page_info(self) -> "Page[T]":
        return self

    @property
    def start_cursor(self) -> str | None:
        return self._order.cursor(self.nodes[0]) if self.nodes else None  # type: ignore[arg-type]  # a record is a tuple

    @property
    def end_cursor(self) -> str | None:
        return self._order.cursor(self.nodes[-1]) if self.nodes else None  # type: ignore[arg-type]  # a record is a tuple


def page_of(
    rows: Sequence[Any],
    record: Callable[[Any], T],
    order: Order,
    window: Window,
    beyond: Sequence[Any],
    count: Callable[[], Awaitable[int]],
) -> Page[T]:
    """Make a page of one row more than it has, and of whether there are rows beyond each of its cursors, in their order."""
    more = len(rows) > window.size
    nodes = list(map(record, rows[: window.size]))
    truths = iter(beyond)
    earlier, later = (bool(next(truths)) if cursor is not None else False for cursor in (window.after, window.before))
    if window.backward:
        nodes.reverse()
        earlier = more or earlier
    else:
        later = more or later
    return Page(nodes, order, has_previous_page=earlier, has_next_page=later, count=count)


def page_limit() -> sa.BindParameter[int]:
    return sa.bindparam("limit", type_=sa.Integer())


def only_row_at(page: sa.Select[Any]) -> sa.Select[Any]:
    """Select of what selects a page, its size now the parameter `reach`, the row at the parameter `position`, from 0."""

    def replacement(element: Any, **_: Any) -> Any:
        is_limit = isinstance(element, sa.BindParameter) and element.key == "limit"
        return sa.bindparam("reach", type_=sa.Integer()) if is_limit else None

    rows = cast("sa.Select[Any]", replacement_traverse(page, {}, replacement)).subquery("rows")
    return sa.select(*rows.c).limit(sa.literal_column("1")).offset(sa.bindparam("position", type_=sa.Integer()))


def limited(query: sa.Select[Any], number: sa.ColumnElement[int]) -> sa.Select[Any]:
    """Limit a query to its first rows; without an offset of our own SQLAlchemy adds one as a parameter."""
    return query.limit(number).offset(sa.literal_column("0"))


def cursors_of(after: bool, before: bool) -> Iterator[tuple[str, bool]]:
    """Yield the cursors that a page has, each with whether what lies beyond it comes before it."""
    if after:
        yield "after", True
    if before:
        yield "before", False
