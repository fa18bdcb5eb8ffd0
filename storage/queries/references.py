"""What visits refer to: care enquiries, locations, users and contacts, many at a time."""

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa

from storage.caller import Caller
from storage.identifiers import identifiers
from storage.models import CareEnquiry, Location, ServiceUserContact, User
from storage.queries.conditions import VISITS, json_list
from storage.queries.statements import Statement, compiled
from storage.records import CareEnquiryRecord, LocationRecord, ServiceUserContactRecord, UserRecord
from storage.sqlite.database import Database

# of each kind: the homes and users of a large group, and what many pages of visits refer to
REMEMBERED = 3_000

Kind = Literal["care_enquiry", "location", "user", "service_user_contact"]
Reference = CareEnquiry | Location | User | ServiceUserContact

RECORDS: dict[Kind, Callable[[Iterable[Any]], Reference]] = {
    "care_enquiry": CareEnquiryRecord,
    "location": LocationRecord,
    "user": UserRecord,
    "service_user_contact": ServiceUserContactRecord,
}
TABLES: dict[Kind, sa.Table] = {
    "care_enquiry": CareEnquiry.__table__,  # type: ignore[attr-defined]  # every table model has one
    "location": Location.__table__,  # type: ignore[attr-defined]
    "user": User.__table__,  # type: ignore[attr-defined]
    "service_user_contact": ServiceUserContact.__table__,  # type: ignore[attr-defined]
}
VISIT_COLUMNS = {"care_enquiry": "care_enquiry", "user": "assigned_to", "service_user_contact": "service_user_contact"}


class References:
    """Reads for one caller. `default_time_zone` is that of locations which name none."""

    def __init__(self, database: Database, caller: Caller, default_time_zone: str) -> None:
        self._database = database
        self._caller = caller
        self._default_time_zone = default_time_zone

    def cached(self, kind: Kind, ids: Iterable[str]) -> dict[str, Any]:
        """Return of what `named` would return the part that needs no reading."""
        known = self._memory(kind)
        return {id: known[id] for id in ids if id in known}

    async def load_referenced(self, kind: Kind, ids: Iterable[str]) -> dict[str, Any]:
        """Return what a visit in sight refers to by these IDs: whoever sees the visit sees it."""
        known = self._memory(kind)
        found = await self._read(kind, ids, limited=False)
        if len(known) + len(found) > REMEMBERED:  # most of what it is full of is asked for no more
            known.clear()
        known |= found
        return found

    async def load_visible(self, kind: Kind, ids: Iterable[str]) -> dict[str, Any]:
        """Return those that the caller may see by their IDs alone."""
        return await self._read(kind, ids, limited=self._caller.locations is not None)

    def _memory(self, kind: Kind) -> dict[str, Any]:
        return self._database.reference_cache.get_or_reset((kind, self._default_time_zone))

    async def _read(self, kind: Kind, ids: Iterable[str], *, limited: bool) -> dict[str, Any]:
        scope = identifiers(self._caller.locations or ())
        values = {"ids": json.dumps(identifiers(ids)), "scope": json.dumps(scope), "default_time_zone": self._default_time_zone}
        rows = await self._database.fetch(_by_id(kind, limited), values)
        record = RECORDS[kind]
        return {row[0]: record(row) for row in rows}


@lru_cache
def _by_id(kind: Kind, limited: bool) -> Statement:
    table = TABLES[kind]
    default = sa.bindparam("default_time_zone", type_=sa.String())
    columns = [sa.func.coalesce(column, default) if column.name == "time_zone" else column for column in table.columns]
    query = sa.select(*columns).where(table.c.id.in_(json_list(sa.bindparam("ids", type_=sa.String()))))
    return compiled(query.where(visible(kind)) if limited else query)


def visible(kind: Kind) -> sa.ColumnElement[bool]:
    """Hold for what may be seen by ID within the locations of the list `scope`, a parameter."""
    table = TABLES[kind]
    scope = json_list(sa.bindparam("scope", type_=sa.String()))
    if kind == "location":
        return table.c.id.in_(scope)
    visited = sa.exists().where(VISITS.c[VISIT_COLUMNS[kind]] == table.c.id, VISITS.c.location.in_(scope)).correlate(table)
    if kind == "care_enquiry":
        return sa.or_(table.c.location.in_(scope), visited)
    if kind == "service_user_contact":
        enquiries = TABLES["care_enquiry"]
        asked = sa.exists().where(enquiries.c.id == table.c.care_enquiry, enquiries.c.location.in_(scope)).correlate(table)
        return sa.or_(asked, visited)
    return visited
