"""Callers: pure values that every read and write is scoped by."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# The subject for which the server itself reads; no caller has it.
OURSELVES: Final = ""


class Role(StrEnum):
    VIEWER = "VIEWER"
    COORDINATOR = "COORDINATOR"
    ADMIN = "ADMIN"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. `locations` are the IDs of the only locations that the caller may see; None: every location."""

    subject: str
    roles: frozenset[Role]
    locations: frozenset[str] | None = None
