"""Values with a form of their own, refused at the door when malformed."""

import re
from datetime import UTC, date, datetime
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from schema.execution.columns import unchanged
from schema.execution.hints import StoredScalars
from storage.instants import as_rfc3339, rfc3339
from storage.time_zones import is_time_zone

TimeZone = NewType("TimeZone", str)

INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def parse_instant(text: Any) -> datetime:
    """Read RFC 3339 with an offset, keeping microseconds; raise ValueError for anything else."""
    parts = INSTANT.fullmatch(text.strip()) if isinstance(text, str) else None
    if parts is None:
        raise ValueError("A DateTime is an instant with its offset, like 2024-11-03T11:00:00Z or 2024-11-03T11:00:00+01:00.")
    day, time, fraction, offset = parts.groups()
    try:
        return datetime.fromisoformat(f"{day}T{time}{(fraction or '.0')[:7]:0<7}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("There is no such time: check the day, the hours and the offset.") from None


def parse_day(text: Any) -> date:
    """Read `2024-11-03`; raise ValueError for anything else."""
    if not isinstance(text, str) or not DAY.fullmatch(text.strip()):
        raise ValueError("A Date is a day like 2024-11-03.")
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("There is no such day: check the month and the day.") from None


def parse_time_zone(text: Any) -> TimeZone:
    """Read the name of a zone that the time zone database knows; raise ValueError for anything else."""
    name = text.strip() if isinstance(text, str) else text
    if not is_time_zone(name):
        raise ValueError("A TimeZone is an IANA name, like Europe/London.")
    return TimeZone(name)


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant, RFC 3339 with an offset, such as `2024-11-03T11:00:00Z`. Always returned in UTC. "
        "A value without an offset is refused.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=rfc3339,
        parse_value=parse_instant,
    ),
    date: strawberry.scalar(
        name="Date", description="A calendar day, `2024-11-03`.", serialize=date.isoformat, parse_value=parse_day
    ),
    TimeZone: strawberry.scalar(
        name="TimeZone",
        description="An IANA time zone name, such as `Europe/London`.",
        serialize=str,
        parse_value=parse_time_zone,
    ),
}


# How stored values are answered without decoding them first.
STORED_SCALARS: StoredScalars = {"DateTime": as_rfc3339, "TimeZone": unchanged}
