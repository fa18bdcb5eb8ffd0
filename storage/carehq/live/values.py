"""Values of visits as the account's clients write them, and as its documents show them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from storage.carehq.documents import HomeVisitDocument
from storage.carehq.live import lists
from storage.models import HomeVisit

# How the account calls it that it sends no email is not known; ours takes any name that begins so.
SUPPRESS = "suppress_email"

Pairs = list[tuple[str, str]]


def pairs_of(values: Mapping[str, Any], *, suppressed: bool) -> Pairs:
    """Return values as the account's own clients write them; an empty text takes back what was set."""
    pairs = [(name, _written(value)) for name, value in values.items()]
    return [*pairs, (SUPPRESS, "true")] if suppressed else pairs


def unequal(record: HomeVisitDocument | HomeVisit, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that a visit does not have to the letter."""
    return {name: value for name, value in values.items() if getattr(record, name) != value}


def differing(record: HomeVisitDocument | HomeVisit, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that a visit does not have, whatever white space stands in them."""
    return {name: value for name, value in values.items() if _comparable(getattr(record, name)) != _comparable(value)}


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return lists.written(value.astimezone(UTC))
    return value.lower() if hasattr(value, "name") else str(value)


def _comparable(value: Any) -> Any:
    # On its way through forms white space becomes other white space.
    return " ".join(value.split()) if isinstance(value, str) else value
