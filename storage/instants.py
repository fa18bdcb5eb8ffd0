"""Instants: aware and in UTC wherever Python has one, and stored so that they sort as their texts do."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect, String, types


def stored(instant: datetime) -> str:
    """Return the canonical text of an instant: `2024-11-03T11:00:00`, with 3 or 6 decimals where it has any.

    A shorter text that begins a longer one sorts before it, so the order of texts is the order of instants. Adding `Z`
    makes it RFC 3339.
    """
    utc = instant.astimezone(UTC).replace(tzinfo=None)
    if not utc.microsecond:
        return utc.isoformat()
    return utc.isoformat(timespec="microseconds" if utc.microsecond % 1000 else "milliseconds")


def instant(text: str) -> datetime:
    """Return the instant that a canonical text is of."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rfc3339(value: datetime) -> str:
    return stored(value) + "Z"


def as_rfc3339(texts: Iterable[str | None]) -> list[str | None]:
    """Return the canonical texts of a column as RFC 3339, without decoding them: that would take thirty times as long."""
    return [None if text is None else text + "Z" for text in texts]


def clock() -> datetime:
    """Tell the time in milliseconds, which is all that a browser's clock can hold."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Instant(types.TypeDecorator[datetime]):
    """A column of aware datetimes, as text where the database has no type for them. Naive ones are refused: in which zone?"""

    impl = types.TIMESTAMP(timezone=True).with_variant(String(26), "sqlite")
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        return self.impl_instance.dialect_impl(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs an offset")
        return stored(value) if isinstance(self.impl_instance, String) else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return instant(value) if isinstance(value, str) else value
