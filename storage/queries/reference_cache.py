"""Records that many answers show, remembered from one request to the next for as long as nobody writes."""

from collections.abc import Callable, Hashable
from typing import Any


class ReferenceCache:
    """`version` returns a number that is another one once anybody has written, whoever it was; None where it cannot tell."""

    def __init__(self, version: Callable[[], int | None]) -> None:
        self._version = version
        self._held: dict[Hashable, dict[str, Any]] = {}
        self._held_at: int | None = None

    def get_or_reset(self, kind: Hashable) -> dict[str, Any]:
        """Return what is remembered of a kind of record by ID, to be read and filled: nothing, once anybody has written.

        Ask for it before reading what it is filled with: what was read before a write would stay.
        """
        version = self._version()
        if version is None:
            return {}
        if version != self._held_at:
            # Whoever still reads for the dictionaries of before fills those, which nobody asks any more.
            self._held, self._held_at = {}, version
        return self._held.setdefault(kind, {})

    def forget(self) -> None:
        self._held_at = None
