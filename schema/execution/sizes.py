"""How many bytes an answer takes as JSON, counted while it is built: first what it may take at most, which costs little.

Values are measured one by one only where that is more than is allowed.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from graphql import GraphQLOutputType, get_named_type, get_nullable_type, is_enum_type, is_list_type

from schema.execution.hints import Values

# What a letter takes at most: control characters are written like \u0000.
PER_LETTER = 6
# What a value takes at most that is no text of any length: a float, an instant, an ID, with their quotes.
PER_VALUE = 40

# So many values are measured in less than a millisecond.
STEP = 1_000

_encoded: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class AnswerTooLarge(Exception):
    """The answer takes more bytes than are allowed: nothing of it may be sent."""


class AnswerSize:
    """Counts the bytes of one answer; raises AnswerTooLarge once they are more than `allowed`.

    `bounds` is the sum of all bounds so far: above `ceiling`, what is pending has to be measured. `reused` is the sum of the
    bounds of what was built, and counted, before it was shown.
    """

    __slots__ = ("_allowed", "_exact", "bounds", "ceiling", "pending", "reused")

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._exact = 0
        self.bounds = 0
        self.reused = 0
        self.ceiling = allowed
        # what yields the bytes, and its arguments
        self.pending: list[tuple[Callable[..., Iterable[int]], tuple[Any, ...]]] = []

    def add_copies(self, answers: Mapping[str, Any], copies: Mapping[str, int], bound: int) -> None:
        """Count answers again as often as `copies` says of their IDs; `bound` was counted for all of them once."""
        most = max(copies.values(), default=0)
        if most > 0:
            self.bounds += bound * most
            self.pending.append((_copies, (answers, copies)))
            if self.bounds > self.ceiling:
                self.measure()

    async def count_rest(self, answer: Any, counted: Container[int], give_way: Callable[[], Awaitable[None]]) -> None:
        """Count what is in an answer besides the objects whose identities are `counted`.

        Where that is too much, all of it is measured: what was built, but is no part of it, was counted as well.
        """
        async for size in _stepping(sizes(answer, counted), give_way):
            self.bounds += size
        if self.bounds > self.ceiling:
            await self.recount(answer, give_way)

    async def recount(self, answer: Any, give_way: Callable[[], Awaitable[None]]) -> None:
        """Count an answer that is complete, in place of all that was counted before."""
        self._exact = 0
        async for size in _stepping(sizes(answer), give_way):
            self._exact += size
            if self._exact > self._allowed:
                raise AnswerTooLarge

    def measure(self) -> None:
        """Measure what is pending; from then on, bounds are added to what it takes."""
        for measure, arguments in self.pending:
            for size in measure(*arguments):
                self._exact += size
                if self._exact > self._allowed:
                    raise AnswerTooLarge
        self.pending.clear()
        self.ceiling = self.bounds + self._allowed - self._exact


def sizes(answer: Any, counted: Container[int] = ()) -> Iterable[int]:
    """Yield numbers of bytes that are together those of an answer as JSON, without objects whose identities are `counted`."""
    unread = [answer]
    while unread:
        value = unread.pop()
        if isinstance(value, str):
            # At least: who measures may stop before the text is encoded.
            yield len(value)
            yield len(_encoded(value).encode(errors="surrogatepass")) - len(value)
        elif isinstance(value, list):
            yield 1 + len(value) if value else 2
            unread += value
        elif not isinstance(value, dict):
            yield len(_encoded(value))
        elif id(value) not in counted:
            # Braces, and one comma less than there are names.
            yield 1 + sum(map(len, value)) + 4 * len(value) if value else 2
            unread += value.values()


async def _stepping(numbers: Iterable[int], give_way: Callable[[], Awaitable[None]]) -> AsyncIterator[int]:
    for index, number in enumerate(numbers):
        if index % STEP == STEP - 1:
            await give_way()
        yield number


def copies_of(ids: Iterable[str | None], answers: Mapping[str, Any]) -> dict[str, int]:
    """Return how often more than once these IDs show each of the answers."""
    uses = Counter(ids)
    return {id: uses[id] - 1 for id in answers if id in uses}


def _copies(answers: Mapping[str, Any], copies: Mapping[str, int]) -> Iterable[int]:
    for id, count in copies.items():
        if count > 0:
            yield count * sum(sizes(answers[id]))


class Counted(Enum):
    """By what the bytes of a column are bounded."""

    VALUES = auto()
    LETTERS = auto()
    ITEMS = auto()
    NOTHING = auto()


EACH = {Counted.LETTERS: PER_LETTER, Counted.ITEMS: PER_VALUE}


class ColumnSize(NamedTuple):
    """How the bytes of a column are counted; `bound` is for each value, besides what its letters or items take.

    Objects are counted where they are built: `is_outer` columns have only brackets and nulls besides them.
    """

    counted: Counted
    bound: int = PER_VALUE
    is_outer: bool = False


class ObjectSizes:
    """Counts the bytes of objects that are built of columns."""

    def __init__(self, columns: Mapping[str, ColumnSize]) -> None:
        self._are_outer = [column.is_outer for column in columns.values()]
        self._names = sum(len(name) + 4 for name in columns)
        self.bound = 1 + self._names + sum(column.bound for column in columns.values())
        counted = [column.counted for column in columns.values()]
        self._lengths = [(index, EACH[by]) for index, by in enumerate(counted) if by in EACH]
        self._others = [index for index, by in enumerate(counted) if by is Counted.NOTHING]

    def add(self, size: AnswerSize, columns: Sequence[Values], count: int) -> None:
        bound = self.bound * count
        for index, each in self._lengths:
            bound += each * sum(map(len, filter(None, columns[index])))
        for index in self._others:
            bound += sum(map(sum, map(sizes, columns[index])))
        # Not a method of its own: this is done for each list of a page.
        size.bounds += bound
        size.pending.append((self._sizes, (columns, count)))
        if size.bounds > size.ceiling:
            size.measure()

    def _sizes(self, columns: Sequence[Values], count: int) -> Iterable[int]:
        yield count * (self._names + 1)
        for is_outer, column in zip(self._are_outer, columns, strict=True):
            for value in column:
                yield from _brackets(value) if is_outer else sizes(value)


def _brackets(value: Any) -> Iterable[int]:
    if value is None:
        yield 4
    elif isinstance(value, list):
        yield 1 + len(value) if value else 2
        for item in value:
            yield from _brackets(item)


_SHORT_TYPES = {"ID", "Int", "Float", "Boolean"}


def outer_size(type_: GraphQLOutputType) -> ColumnSize:
    """Return how lists round objects, and nulls in their place, are counted."""
    nullable: Any = get_nullable_type(type_)
    if not is_list_type(nullable):
        return ColumnSize(Counted.VALUES, 4, is_outer=True)
    is_flat = not is_list_type(get_nullable_type(nullable.of_type))
    return ColumnSize(Counted.ITEMS if is_flat else Counted.NOTHING, 4, is_outer=True)


def leaf_size(type_: GraphQLOutputType, texts: Container[str]) -> ColumnSize:
    """Return how leaves of a type are counted; `texts` are the names of scalars whose answers are text."""
    nullable: Any = get_nullable_type(type_)
    named = get_named_type(type_)
    is_short = named.name in _SHORT_TYPES or is_enum_type(named)
    if nullable is named:
        if is_short:
            return ColumnSize(Counted.VALUES)
        return ColumnSize(Counted.LETTERS if named.name in texts else Counted.NOTHING)
    is_flat = get_nullable_type(nullable.of_type) is named
    return ColumnSize(Counted.ITEMS if is_short and is_flat else Counted.NOTHING)
