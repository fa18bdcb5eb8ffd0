"""What an event says of each field that changed, by the names of the API."""

import re
from functools import lru_cache
from operator import itemgetter
from typing import Any

from storage.lifecycle import PERSONAL
from storage.records import Record


class FieldChange(Record):
    """The name of a field, and its value before and after; neither where the field is personal."""

    __slots__ = ()
    columns = ("field", "before", "after")
    instants = frozenset()
    never_null = frozenset({"field"})
    field = property(itemgetter(0))
    before = property(itemgetter(1))
    after = property(itemgetter(2))


def field_changes(event: Any) -> list[FieldChange]:
    return [_field_change(*change) for change in event.changes]


def _field_change(name: str, before: str | None, after: str | None) -> FieldChange:
    # An older version kept which contact came.
    values = (None, None) if name in PERSONAL else (before, after)
    return FieldChange((_api_name(name), *values))


@lru_cache(100)
def _api_name(name: str) -> str:
    return re.sub(r"_(\w)", lambda part: part[1].upper(), name)
