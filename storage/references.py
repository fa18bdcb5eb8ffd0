"""The reader of what visits refer to: many records at a time, those that visits show cached while nobody writes."""

from collections.abc import Iterable, Sequence
from typing import Any

from storage.caller import Caller
from storage.database import Database
from storage.identifiers import identifiers
from storage.queries.references import RECORDS, Kind, by_id

# Of each kind: the homes and users of a large group, and what many pages of visits refer to.
CACHED = 3_000
# Names and addresses: a record with longer texts than these, together, is read each time.
CACHED_LENGTH = 1_000


class References:
    """Reads for one caller. `default_time_zone` is that of locations which name none."""

    def __init__(self, database: Database, caller: Caller, default_time_zone: str) -> None:
        self._database = database
        self._caller = caller
        self._default_time_zone = default_time_zone

    def cached(self, kind: Kind, ids: Iterable[str]) -> dict[str, Any]:
        """Return of what `load_referenced` would return the part that needs no reading."""
        records = self._cache(kind)
        return {id: records[id] for id in ids if id in records}

    async def load_referenced(self, kind: Kind, ids: Iterable[str]) -> dict[str, Any]:
        """Return what visits refer to by these IDs: whoever sees the visit sees it."""
        cache = self._cache(kind)
        records = await self._read(kind, ids, limited=False)
        cacheable = {id: record for id, record in records.items() if _length(record) <= CACHED_LENGTH}
        if len(cache) + len(cacheable) > CACHED:  # most of what fills it is not read any more
            cache.clear()
        if len(cacheable) <= CACHED:
            cache |= cacheable
        return records

    async def load_visible(self, kind: Kind, ids: Iterable[str]) -> dict[str, Any]:
        """Return those that the caller may see by their IDs alone."""
        return await self._read(kind, ids, limited=self._caller.locations is not None)

    def _cache(self, kind: Kind) -> dict[str, Any]:
        return self._database.reference_cache.get_or_reset((kind, self._default_time_zone))

    async def _read(self, kind: Kind, ids: Iterable[str], *, limited: bool) -> dict[str, Any]:
        dialect = self._database.dialect
        values = {
            "ids": dialect.list_value(identifiers(ids)),
            "scope": dialect.list_value(identifiers(self._caller.locations or ())),
            "default_time_zone": self._default_time_zone,
        }
        rows: Sequence[Any] = await self._database.fetch(by_id(dialect, kind, limited), values, self._caller.subject)
        record = RECORDS[kind]
        return {row[0]: record(row) for row in rows}


def _length(record: Any) -> int:
    return sum(len(value) for value in record if isinstance(value, str))
