"""SQL as a driver takes it: built by SQLAlchemy, compiled once for each dialect and shape, when it is first run."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from storage.queries.dialect import AccessPath, Dialect

# What every database returns for a row: JSON is its text, a truth equals 0 or 1, an instant is the canonical text of
# `storage.instants`. It is indexed, unpacked, compared and hashed as a tuple; a driver's own class that is none is not copied.
Row = tuple[str | int | None, ...]


class Statement(NamedTuple):
    """SQL as the driver takes it, and the names of its parameters in their order.

    `fallback` finds the same rows by another access path, for when this one takes more than `max_steps` of the database's own
    measure; None: more than a short read. Of a walk, which ends by itself after so many `rows`, it is for a page that this has
    not filled; a walk that `is_longer` only for one that it fills at the same rate. `by_values`: its parameters say how many rows
    it looks at, and so by which index; to plan it anew takes little beside it.
    """

    text: str
    names: tuple[str, ...]
    fallback: "Statement | None" = None
    max_steps: int | None = None
    rows: int | None = None
    is_longer: bool = False
    by_values: bool = False

    def after(self, found: int, limit: int) -> "Statement | None":
        """Return what is next to be run where a walk has found so many rows of a page; None where that is all there is to do."""
        following = self.fallback
        if following is None or self.rows is None or found >= limit:
            return None
        is_worth = not following.is_longer or following.rows is None or found * following.rows >= limit * self.rows
        return following if is_worth else following.fallback

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self.names]


class CompilingTurn:
    """Has a request with many forms of lists give way: one is compiled in each turn of the event loop, some milliseconds long."""

    def __init__(self) -> None:
        self.is_taken = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def take(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:  # a thread of its own keeps nobody waiting
            return
        if not self.is_taken:
            self.is_taken = True
            self._loop.call_soon(self._end)

    def _end(self) -> None:
        self.is_taken = False

    async def wait(self) -> None:
        """Return in a turn in which nothing was compiled yet."""
        while self.is_taken and self._loop is asyncio.get_running_loop():  # noqa: ASYNC110 - an event would wake all in one turn
            await asyncio.sleep(0)


COMPILING = CompilingTurn()


def compiled(dialect: Dialect, query: sa.Select[*tuple[Any, ...]] | sa.CompoundSelect[*tuple[Any, ...]]) -> Statement:
    """Compile what runs often: values that differ between calls must be named parameters."""
    COMPILING.take()
    result = query.compile(dialect=dialect.sqlalchemy)
    if result.positiontup is None:
        raise TypeError("the dialect must number its parameters")
    constants = {name: value for name, value in result.params.items() if value is not None}
    if constants:
        raise TypeError(f"values compiled into a statement: {constants}")
    return Statement(str(result), tuple(result.positiontup))


def with_fallbacks(paths: Sequence[AccessPath], compile: Callable[[AccessPath], Statement]) -> Statement:
    """Compile each path once, and make each the fallback of the one before it."""
    *earlier, last = paths
    statements = {path: compile(path) for path in {path._replace(max_steps=None) for path in paths}}
    chain = statements[last._replace(max_steps=None)]
    for path in reversed(earlier):
        statement = statements[path._replace(max_steps=None)]
        chain = statement._replace(fallback=chain, max_steps=path.max_steps, rows=path.rows, is_longer=path.is_longer)
    return chain


def execute_in_session(session: Session, statement: Statement, values: Mapping[str, Any]) -> Sequence[Any]:
    """Run one statement in a transaction and return its rows, each a `Row`."""
    return session.connection().exec_driver_sql(statement.text, tuple(statement.arguments(values))).fetchall()
