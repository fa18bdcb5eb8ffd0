"""Records that many answers show, kept from one request to the next for as long as nobody writes."""

from collections.abc import Callable, Hashable
from typing import Any


class ReferenceCache:
    """`version` returns a number that is another one once anybody has written, whoever it was; None where it cannot tell."""

    def __init__(self, version: Callable[[], int | None]) -> None:
        self._version = version
        self._records: dict[Hashable, dict[str, Any]] = {}
        self._records_version: int | None = None

    def get_or_reset(self, kind: Hashable) -> dict[str, Any]:
        """Return the cached records of a kind by ID, to be read and filled; empty once anybody has written.

        Call it before reading what it is filled with: a record read before a write would stay.
        """
        version = self._version()
        if version is None:
            return {}
        if version != self._records_version:
            # A reading that began before the write fills the dictionaries of before, which nobody looks into any more.
            self._records, self._records_version = {}, version
        return self._records.setdefault(kind, {})
