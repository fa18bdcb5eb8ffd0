"""Identifiers: 24 hexadecimal characters, which sort in the order in which they were created, like the source's own."""

import re
import secrets
from collections.abc import Iterable
from datetime import datetime

is_identifier = re.compile(r"[0-9a-f]{24}").fullmatch

_last = 0


def identifier(text: str | None) -> str | None:
    """Return the text where it can be an identifier: anything else is unknown, and some of it no database would take."""
    return text if text is not None and is_identifier(text) else None


def identifiers(texts: Iterable[str]) -> list[str]:
    return sorted(filter(is_identifier, texts))


def new_identifier(now: datetime) -> str:
    """Return 4 bytes of seconds, 3 of fractions of a second and 5 random ones; within a process, always more than the last."""
    global _last  # noqa: PLW0603 - the order has to hold over everything that this process makes
    ticks = int(now.timestamp() * (1 << 24))
    _last = max(_last + 1, ticks << 40 | secrets.randbits(40))
    return f"{_last:024x}"
