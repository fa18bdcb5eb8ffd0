"""One deadline for all that executes, kept by one timer: setting and dropping one for each request costs more than it does."""

import asyncio
from types import TracebackType
from typing import NamedTuple

from schema.engine.refusals import Refusal


class _Begun(NamedTuple):
    due: float
    cancelling: int


class Deadline:
    """What is done `with` it and takes longer than `seconds` is cancelled, and raises Refusal. A task enters it once at a time.

    All last equally long, so those that began first are over first: the timer need only look at them. It belongs to one loop.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # in the order in which they began
        self._begun: dict[asyncio.Task[object], _Begun] = {}
        self._overdue: dict[asyncio.Task[object], _Begun] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._known_loop: asyncio.AbstractEventLoop | None = None

    @property
    def running(self) -> int:
        return len(self._begun)

    def __enter__(self) -> None:
        task, loop = self._current(), self._loop
        self._begun[task] = begun = _Begun(loop.time() + self._seconds, task.cancelling())
        if self._timer is None:
            self._timer = loop.call_at(begun.due, self._look)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None) -> None:
        task = self._current()
        if self._begun.pop(task, None) is not None:
            return
        begun = self._overdue.pop(task)
        # Somebody else may have cancelled it as well: then it is cancelled, not late.
        if task.uncancel() <= begun.cancelling and kind is asyncio.CancelledError:
            raise Refusal("TIMEOUT", f"Given up after {self._seconds:g} seconds. Ask for less, or again later.") from error

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for task, begun in list(self._begun.items()):
            if begun.due > now:
                self._timer = self._loop.call_at(begun.due, self._look)
                return
            self._overdue[task] = self._begun.pop(task)
            task.cancel()

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # To ask which loop runs is a system call before Python 3.12.
        if self._known_loop is None:
            self._known_loop = asyncio.get_running_loop()
        return self._known_loop

    def _current(self) -> "asyncio.Task[object]":
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("Only a task can be cancelled when its time is over.")
        return task
