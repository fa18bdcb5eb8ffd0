"""Coroutines run at once: in one step, without an event loop, or not at all."""

from collections.abc import Coroutine
from time import perf_counter
from typing import Any, TypeVar

from schema.execution.runs import SLICE, TimeSlice

T = TypeVar("T")

# How many requests for an operation that could not be answered at once are not tried again.
DEFERRED = 50


class NotAtOnce(Exception):
    """Something has to wait."""


class UnbrokenSlice(TimeSlice):
    """A slice of time for which nobody else is served: raises NotAtOnce when it is over."""

    __slots__ = ("_ends_at",)

    def __init__(self) -> None:
        self._ends_at = perf_counter() + SLICE

    async def give_way(self) -> None:
        if perf_counter() > self._ends_at:
            raise NotAtOnce


def run_at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns; end it and raise NotAtOnce where it waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        value: T = finished.value
        return value
    coroutine.close()
    raise NotAtOnce
