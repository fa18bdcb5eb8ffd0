"""Identifiers: 24 hexadecimal characters, which sort in the order in which they were created, like the source's own."""

import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

is_identifier = re.compile(r"[0-9a-f]{24}").fullmatch

# A clock that is set back by more was wrong before: identifiers do not wait until it gets there again.
LONGEST_STEP_BACK = timedelta(minutes=5)

_last = 0


def identifier(text: str | None) -> str | None:
    """Return the text where it can be an identifier: anything else is unknown, and some of it no database would take."""
    return text if text is not None and is_identifier(text) else None


def identifiers(texts: Iterable[str]) -> list[str]:
    """Return those that can be identifiers, white space around them left out."""
    return sorted(filter(is_identifier, map(str.strip, texts)))


def new_identifier(now: datetime) -> str:
    """Return 4 bytes of seconds, 3 of fractions of a second and 5 random ones.

    Within a process it is always more than the last, also when the clock is set back a little.
    """
    global _last  # noqa: PLW0603 - the order has to hold over everything that this process makes
    present = _ticks(now) << 40 | secrets.randbits(40)
    _last = max(_last + 1, present) if _last >> 40 <= _ticks(now + LONGEST_STEP_BACK) else present
    return f"{_last:024x}"


def _ticks(instant: datetime) -> int:
    return int(instant.timestamp() * (1 << 24))
