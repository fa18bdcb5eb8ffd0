"""One deadline for all that executes, kept by one timer: setting and dropping one for each request costs more than it does."""

import asyncio
from types import TracebackType
from typing import Any

from schema.transport.errors import RequestError


class Deadline:
    """What is done `with` it and takes longer than `seconds` is cancelled, and raises RequestError. A task enters it once at a time.

    All last equally long, so those that began first are over first: the timer need only look at them. It belongs to one loop.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # tasks to when they must be done, and how often they had been cancelled before; in the order in which they began
        self._begun: dict[asyncio.Task[Any], tuple[float, int]] = {}
        self._overdue: dict[asyncio.Task[Any], int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def running(self) -> int:
        return len(self._begun)

    def __enter__(self) -> None:
        loop = self._loop
        if loop is None:
            # To ask which loop runs is a system call before Python 3.12.
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("Only a task can be cancelled when its time is over.")
        due = loop.time() + self._seconds
        self._begun[task] = due, task.cancelling()
        if self._timer is None:
            self._timer = loop.call_at(due, self._look, loop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None) -> None:
        task: Any = asyncio.current_task(self._loop)
        if self._begun.pop(task, None) is not None:
            return
        # Somebody else may have cancelled it as well: then it is cancelled, not late.
        if task.uncancel() <= self._overdue.pop(task) and kind is asyncio.CancelledError:
            raise RequestError("TIMEOUT", f"Given up after {self._seconds:g} seconds. Ask for less, or again later.") from error

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for task, (due, cancelled) in list(self._begun.items()):
            if due > now:
                self._timer = loop.call_at(due, self._look, loop)
                return
            del self._begun[task]
            self._overdue[task] = cancelled
            task.cancel()
