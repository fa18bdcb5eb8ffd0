"""What one run of an operation by plans shares: its context, the values of its variables, and the loop, which it gives way to."""

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from graphql import FieldNode

from schema.execution.arguments import Arguments
from schema.execution.hints import NestedPages, PagesLoader
from schema.execution.internals import VariableValues

# Seconds for which a run may hold the loop before others are served.
SLICE = 0.01


class Run:
    """One run of an operation. Arguments of nested pages are coerced once for all parents, a failure included."""

    __slots__ = ("_loaders", "_since", "_sources", "_variables", "context", "pages")

    def __init__(self, context: Any, variables: Mapping[str, Any], sources: VariableValues | None = None) -> None:
        self.context: Any = context
        self.pages: dict[int, Mapping[str, Any]] = {}
        self._variables = variables
        self._sources = sources
        self._loaders: dict[int, PagesLoader | Exception] = {}
        self._since: float | None = None

    def pages_loader(self, hint: NestedPages, node: FieldNode, arguments: Arguments) -> PagesLoader:
        """Return what loads the pages of one field; raise what is wrong with its arguments."""
        # Nodes live as long as the operation: their identity tells them apart.
        loader = self._loaders.get(id(node))
        if loader is None:
            loader = self._loaders[id(node)] = self._pages_loader(hint, arguments)
        if isinstance(loader, Exception):
            raise loader.with_traceback(None)
        return loader

    def _pages_loader(self, hint: NestedPages, arguments: Arguments) -> PagesLoader | Exception:
        try:
            keywords = arguments(self._variables, self._sources)
        except Exception as error:  # noqa: BLE001 - it is raised for each parent
            return error
        try:
            return hint.loader(self.context, **keywords)
        except Exception as error:  # noqa: BLE001 - as above, where the pages are awaited, as from a resolver
            return _failing(error)

    async def give_way(self) -> None:
        """Let the loop serve others where this run has held it for its slice: all that one step of the loop has it do counts."""
        while True:
            now = perf_counter()
            if self._since is None:
                self._since = now
                asyncio.get_running_loop().call_soon(self._begin_slice)
            if now - self._since < SLICE:
                return
            await asyncio.sleep(0)

    def _begin_slice(self) -> None:
        self._since = None


def _failing(error: Exception) -> PagesLoader:
    async def load(_ids: Any) -> Mapping[str, Any]:
        raise error.with_traceback(None)

    return load
