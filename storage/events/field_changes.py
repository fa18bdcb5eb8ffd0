"""What an event says of each field that changed, by the names of the API."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from storage.lifecycle import PERSONAL
from storage.records import HomeVisitEventRecord, Record

_CHANGES = HomeVisitEventRecord.columns.index("changes")  # type: ignore[attr-defined]  # the class has its columns


class FieldChange(Record):
    """The name of a field, and its value before and after; neither where the field is personal."""

    __slots__ = ()
    columns = ("field", "before", "after")
    instants = frozenset()
    never_null = frozenset({"field"})
    field = property(itemgetter(0))
    before = property(itemgetter(1))
    after = property(itemgetter(2))


def field_changes(events: Sequence[Any]) -> list[list[FieldChange]]:
    """Return the changes of each event."""
    # The texts of a page are decoded together, in half the time.
    decoded = json.loads(f"[{','.join([event[_CHANGES] for event in events])}]")
    return [[_field_change(*change) for change in changes] for changes in decoded]


def _field_change(name: str, before: str | None, after: str | None) -> FieldChange:
    # An older version kept which contact came.
    return FieldChange((_api_name(name), None, None) if name in PERSONAL else (_api_name(name), before, after))


@lru_cache(100)
def _api_name(name: str) -> str:
    return re.sub(r"_(\w)", lambda part: part[1].upper(), name)
