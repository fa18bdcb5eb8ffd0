"""Instants: aware and in UTC wherever Python holds one, and kept so that they sort as they are stored."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect, String, types


def stored(instant: datetime) -> str:
    """Return an instant as the embedded database keeps it: `2024-11-03T11:00:00`, with 3 or 6 decimals where it has any.

    A shorter text that begins a longer one sorts before it, so the order of texts is the order of instants. Adding `Z`
    makes it RFC 3339.
    """
    utc = instant.astimezone(UTC).replace(tzinfo=None)
    if not utc.microsecond:
        return utc.isoformat()
    return utc.isoformat(timespec="microseconds" if utc.microsecond % 1000 else "milliseconds")


def instant(text: str) -> datetime:
    """Return what `stored` kept."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rfc3339(value: datetime) -> str:
    return stored(value) + "Z"


def clock() -> datetime:
    """Tell the time in milliseconds, which is all that a browser's clock can hold."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Instant(types.TypeDecorator[datetime]):
    """A column of aware datetimes. Naive ones are refused: whose clock would they be?"""

    impl = String(26)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(26))
        return dialect.type_descriptor(types.TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs an offset")
        return stored(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return instant(value) if isinstance(value, str) else value
