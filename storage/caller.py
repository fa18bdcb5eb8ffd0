"""Callers: pure values that every read and write is scoped by."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

# The subject for which the server itself reads; no caller has it.
OURSELVES: Final = ""
# The subject for which the server finds out who somebody is; no caller has it, as it cannot be printed.
STRANGERS: Final = "\0"


class Accounts(Protocol):
    """What callers have used lately, by their subjects: reads of those who have overdrawn it are served last."""

    def charge_reading(self, subject: str, seconds: float) -> None:
        """Charge a caller with the seconds for which a read of theirs kept others from a thread, a connection or the loop."""

    def is_overdrawn(self, subject: str) -> bool: ...


class NoAccounts:
    """All callers are alike, whatever they use."""

    def charge_reading(self, _subject: str, _seconds: float) -> None:
        return

    def is_overdrawn(self, _subject: str) -> bool:
        return False


class Role(StrEnum):
    VIEWER = "VIEWER"
    COORDINATOR = "COORDINATOR"
    ADMIN = "ADMIN"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. `locations` are the IDs of the only locations that the caller may see; None: every location.

    `application` is the name of the program that asks for them, where it is known.
    """

    subject: str
    roles: frozenset[Role]
    locations: frozenset[str] | None = None
    application: str | None = field(default=None, compare=False)
