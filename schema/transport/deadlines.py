"""Deadlines for all running operations, kept by one timer: a timer for each would cost more than most of what it guards."""

import asyncio
from types import TracebackType
from typing import Any

from schema.transport.errors import RequestError


class Deadline:
    """Cancels a task that stays inside `with` for longer than `seconds`, and raises RequestError there. No task enters it twice.

    All have the same time, so those that began first are due first: the timer looks at them only. It belongs to one loop.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # When each task is due, and how often its cancellation had been requested before; in the order in which they began.
        self._running: dict[asyncio.Task[Any], tuple[float, int]] = {}
        self._cancelled: dict[asyncio.Task[Any], int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def running(self) -> int:
        return len(self._running)

    def __enter__(self) -> None:
        loop = self._loop
        if loop is None:
            # get_running_loop is a system call before Python 3.12.
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("Only a task can be cancelled when its time is over.")
        due = loop.time() + self._seconds
        self._running[task] = due, task.cancelling()
        if self._timer is None:
            self._timer = loop.call_at(due, self._cancel_due, loop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None) -> None:
        task: Any = asyncio.current_task(self._loop)
        if self._running.pop(task, None) is not None:
            return
        # Somebody else may have cancelled it as well: then it is cancelled, not late.
        if task.uncancel() <= self._cancelled.pop(task) and kind is asyncio.CancelledError:
            raise RequestError("TIMEOUT", f"Given up after {self._seconds:g} seconds. Ask for less, or again later.") from error

    def _cancel_due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for task, (due, cancelling) in list(self._running.items()):
            if due > now:
                self._timer = loop.call_at(due, self._cancel_due, loop)
                return
            del self._running[task]
            self._cancelled[task] = cancelling
            task.cancel()
