"""What is unsent of all connections together is bounded: there may be thousands of readers that stall."""

from typing import Protocol

# Of all answers together, before those whose readers stalled first are given up.
MOST_UNSENT = 128 << 20


class Stalled(Protocol):
    """A connection whose reader has not taken all that was sent."""

    @property
    def unsent(self) -> int: ...

    def abort(self) -> None: ...


class Stalls:
    """The connections of a server whose readers have stalled."""

    def __init__(self) -> None:
        # In the order in which they did.
        self._stalled: dict[Stalled, None] = {}

    def note(self, connection: Stalled) -> None:
        self._stalled[connection] = None
        self.bound_unsent(connection)

    def bound_unsent(self, newest: Stalled) -> None:
        """Give up what has waited longest for its reader, where too many bytes are unsent; that of `newest` last."""
        unsent = sum(stalled.unsent for stalled in self._stalled)
        for stalled in sorted(self._stalled, key=lambda stalled: stalled is newest):
            if unsent <= MOST_UNSENT:
                return
            unsent -= stalled.unsent
            self.forget(stalled)
            stalled.abort()

    def forget(self, connection: Stalled) -> None:
        self._stalled.pop(connection, None)
