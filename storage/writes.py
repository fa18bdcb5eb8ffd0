"""How far a write has come, for whoever has to answer when its result does not arrive: not begun, begun or committed."""

import threading
from enum import Enum, auto


class Stage(Enum):
    NOT_BEGUN = auto()  # nothing was changed, or all of it was rolled back
    BEGUN = auto()  # it may yet be committed, or whether it was cannot be known
    COMMITTED = auto()


class WriteWithdrawn(Exception):
    """The write was taken back before it had begun."""


class WriteState:
    """The stage of one write. The writer's thread moves it on; its caller may withdraw the write while it has not begun."""

    __slots__ = ("_lock", "is_withdrawn", "stage")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.stage = Stage.NOT_BEGUN
        self.is_withdrawn = False

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
