"""What visits refer to: care enquiries, locations, users and contacts, many at a time."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa

from storage.caller import Caller
from storage.database import Database
from storage.identifiers import identifiers
from storage.models import CareEnquiry, Location, ServiceUserContact, User, table_of
from storage.queries.conditions import VISITS
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.records import CareEnquiryRecord, LocationRecord, ServiceUserContactRecord, UserRecord

# of each kind: the homes and users of a large group, and what many pages of visits refer to
CACHED = 3_000
# Names and addresses; none that is longer in all is cached.
CACHED_LENGTH = 1_000

Kind = Literal["care_enquiry", "location", "user", "service_user_contact"]
Reference = CareEnquiry | Location | User | ServiceUserContact

RECORDS: dict[Kind, Callable[[Iterable[Any]], Reference]] = {
    "care_enquiry": CareEnquiryRecord,
    "location": LocationRecord,
    "user": UserRecord,
    "service_user_contact": ServiceUserContactRecord,
}
TABLES: dict[Kind, sa.Table] = {
    "care_enquiry": table_of(CareEnquiry),
    "location": table_of(Location),
    "user": table_of(User),
    "service_user_contact": table_of(ServiceUserContact),
}
VISIT_COLUMNS = {"care_enquiry": "care_enquiry", "user": "assigned_to", "service_user_contact": "service_user_contact"}


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
        """Return what a visit in sight refers to by these IDs: whoever sees the visit sees it."""
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
        rows: Sequence[Any] = await self._database.fetch(_by_id(dialect, kind, limited), values)
        record = RECORDS[kind]
        return {row[0]: record(row) for row in rows}


def _length(record: Any) -> int:
    return sum(len(value) for value in record if isinstance(value, str))


@lru_cache
def _by_id(dialect: Dialect, kind: Kind, limited: bool) -> Statement:
    table = TABLES[kind]
    default = sa.bindparam("default_time_zone", type_=sa.String())
    columns = [sa.func.coalesce(column, default) if column.name == "time_zone" else column for column in table.columns]
    query = sa.select(*columns).where(dialect.is_member(table.c.id, "ids"))
    return compiled(dialect, query.where(visible(dialect, kind)) if limited else query)


def visible(dialect: Dialect, kind: Kind) -> sa.ColumnElement[bool]:
    """Hold for what may be seen by ID within the locations of the list `scope`, a parameter."""
    table = TABLES[kind]
    if kind == "location":
        return dialect.is_member(table.c.id, "scope")
    is_visited = VISITS.c[VISIT_COLUMNS[kind]] == table.c.id
    visited = sa.exists().where(is_visited, dialect.is_member(VISITS.c.location, "scope")).correlate(table)
    if kind == "care_enquiry":
        return sa.or_(dialect.is_member(table.c.location, "scope"), visited)
    if kind == "service_user_contact":
        enquiries = TABLES["care_enquiry"]
        is_own = enquiries.c.id == table.c.care_enquiry
        enquired = sa.exists().where(is_own, dialect.is_member(enquiries.c.location, "scope")).correlate(table)
        return sa.or_(enquired, visited)
    return visited
