"""How far a write has come, for whoever has to answer when its result does not arrive: not begun, begun or committed."""

import asyncio
import threading
from collections.abc import Coroutine
from enum import Enum, auto
from typing import Any, TypeVar

from storage.caller import OURSELVES

T = TypeVar("T")

# How long a caller that was cancelled waits for its write to end: what has begun takes milliseconds.
END_SECONDS = 1.0


class Stage(Enum):
    NOT_BEGUN = auto()  # nothing was changed, or all of it was rolled back
    BEGUN = auto()  # it may yet be committed, or whether it was cannot be known
    COMMITTED = auto()


class WriteWithdrawn(Exception):
    """The write was taken back before it had begun."""


class WriteState:
    """The stage of one write. The writer's thread moves it on; its caller may withdraw the write while it has not begun.

    `subject` is that of the caller, who waits in turn with others. `has_kept_nonce`: that of the signed request is kept, whatever
    becomes of the write.
    """

    __slots__ = ("_lock", "has_kept_nonce", "is_withdrawn", "stage", "subject")

    def __init__(self, subject: str = OURSELVES) -> None:
        self.subject = subject
        self._lock = threading.Lock()
        self.stage = Stage.NOT_BEGUN
        self.is_withdrawn = False
        self.has_kept_nonce = False

    def withdraw(self) -> bool:
        """Keep the write from ever beginning; return False where it has begun."""
        with self._lock:
            self.is_withdrawn = self.stage is Stage.NOT_BEGUN
            return self.is_withdrawn

    def begin(self) -> None:
        """Raise WriteWithdrawn where it was withdrawn."""
        with self._lock:
            if self.is_withdrawn:
                raise WriteWithdrawn
            self.stage = Stage.BEGUN

    def rolled_back(self) -> None:
        self.stage = Stage.NOT_BEGUN

    def committed(self) -> None:
        self.stage = Stage.COMMITTED

    def in_doubt(self) -> None:
        self.stage = Stage.BEGUN


class Writes:
    """The writes of a process that run: each to its end once it has begun, whether its caller still waits or not."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __contains__(self, task: object) -> bool:
        return task in self._running

    async def run(self, write: Coroutine[Any, Any, T], state: WriteState | None) -> T:
        """Return the result. With a `state`, a caller that goes away withdraws what has not begun, and waits for what has."""
        task = asyncio.ensure_future(write)
        self._running.add(task)
        task.add_done_callback(self._end)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if state is not None and not state.withdraw():
                await asyncio.wait({task}, timeout=END_SECONDS)
            raise

    async def finish(self) -> None:
        while self._running:
            await asyncio.wait(self._running)

    def _end(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio logs one that nobody has looked at, which nobody does when the caller is gone
