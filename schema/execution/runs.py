"""What one run of an operation shares: its context, values of variables, pages loaded and built, and its slice of time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from graphql import FieldNode

from schema.execution.arguments import Arguments
from schema.execution.hints import NestedPages, NotCompilable, PagesLoader
from schema.execution.internals import VariableValues
from schema.execution.sizes import AnswerSize

Columns = frozenset[str] | None

# Seconds for which a run may hold the loop before others are served.
SLICE = 0.01


class TimeSlice:
    """How long an operation has held the loop, from when this is made."""

    __slots__ = ("_ends", "_since")

    def __init__(self) -> None:
        self._since: float | None = perf_counter()
        self._ends = False

    async def give_way(self) -> None:
        """Let the loop serve others once its slice is over: all that one step of the loop has the operation do counts."""
        while True:
            now = perf_counter()
            if self._since is None:
                self._since = now
            if not self._ends:
                self._ends = True
                asyncio.get_running_loop().call_soon(self._end)
            if now - self._since < SLICE:
                return
            await asyncio.sleep(0)

    def _end(self) -> None:
        self._since, self._ends = None, False


@dataclass(slots=True)
class BuiltPages:
    """The answers of one field by the IDs of its parents, their bytes at most, and the parents that have shown theirs."""

    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    bound: int = 0
    shown: set[str] = field(default_factory=set)


class Run:
    """One run of an operation. Arguments of nested pages are coerced once for all parents, a failure included."""

    __slots__ = (
        "_failures",
        "_keywords",
        "_loaders",
        "_sources",
        "built",
        "context",
        "pages",
        "records",
        "size",
        "slice",
        "variables",
    )

    def __init__(
        self,
        context: Any,
        variables: Mapping[str, Any],
        size: AnswerSize,
        slice: TimeSlice,
        sources: VariableValues | None = None,
    ) -> None:
        self.context: Any = context
        self.size = size
        self.pages: dict[int, Mapping[str, Any]] = {}
        self.built: dict[int, BuiltPages] = {}
        # what was loaded for a reference, by the identity of its plan
        self.records: dict[int, Mapping[str, Any]] = {}
        self.slice = slice
        self.variables = variables
        self._sources = sources
        self._keywords: dict[int, dict[str, Any] | Exception] = {}
        self._loaders: dict[tuple[int, bool], PagesLoader] = {}
        self._failures: dict[int, Exception] = {}

    def beside(self) -> "Run":
        """Return a run that shares nothing of what it loads with this one, for another root field."""
        return Run(self.context, self.variables, self.size, self.slice, self._sources)

    def pages_loader(self, hint: NestedPages, node: FieldNode, arguments: Arguments, columns: Columns) -> PagesLoader:
        """Return what loads the pages of one field; raise what is wrong with its arguments.

        `columns` are the attributes that will be read of the pages and of what they hold, None where any may be.
        """
        # Nodes live as long as the operation: their identity tells them apart.
        key = (id(node), columns is None)
        if key not in self._loaders:
            keywords = self._coerced(node, arguments)
            try:
                self._loaders[key] = hint.loader(self.context, columns, **keywords)
            except Exception as error:  # noqa: BLE001 - it is raised for each parent, where the pages are awaited
                self._loaders[key] = _failing(error)
        return self._loaders[key]

    def _coerced(self, node: FieldNode, arguments: Arguments) -> dict[str, Any]:
        keywords = self._keywords.get(id(node))
        if keywords is None:
            try:
                keywords = arguments(self.variables, self._sources)
            except Exception as error:  # noqa: BLE001 - it is raised for each parent
                keywords = error
            self._keywords[id(node)] = keywords
        if isinstance(keywords, Exception):
            raise keywords.with_traceback(None)
        return keywords

    def require_not_failed(self, node: FieldNode) -> None:
        """Raise what loading the pages of this field has raised before."""
        if error := self._failures.get(id(node)):
            raise error.with_traceback(None)

    async def load_pages(self, hint: NestedPages, node: FieldNode, arguments: Arguments, columns: Columns, ids: set[str]) -> Any:
        """Return pages by the IDs of their parents. What fails once fails again: nothing is queried again for the same."""
        self.require_not_failed(node)
        try:
            return await self.pages_loader(hint, node, arguments, columns)(ids)
        except NotCompilable:
            raise
        except Exception as error:
            self._failures[id(node)] = error
            raise

    async def give_way(self) -> None:
        await self.slice.give_way()


def _failing(error: Exception) -> PagesLoader:
    async def load(_ids: Any) -> Mapping[str, Any]:
        raise error.with_traceback(None)

    return load
