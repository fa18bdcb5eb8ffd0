"""What visits refer to, as SQL: care enquiries, locations, users and contacts, by the list of their IDs."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa

from storage.models import CareEnquiry, Location, ServiceUserContact, Sighting, User, table_of
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.records import CareEnquiryRecord, LocationRecord, ServiceUserContactRecord, UserRecord, shown_columns

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
# What a record refers to without showing it: who sees the record must be allowed to see this by its ID alone.
SEEN_BY_ID: Mapping[Kind, Mapping[str, Kind]] = {
    "user": {"locations": "location"},
    "care_enquiry": {"location": "location"},
    "service_user_contact": {"care_enquiry": "care_enquiry"},
}
ENQUIRIES = TABLES["care_enquiry"]
SIGHTINGS = table_of(Sighting)


@lru_cache
def by_id(dialect: Dialect, kind: Kind, limited: bool) -> Statement:
    """Select the records of a list of IDs; where `limited`, those that may be seen within the locations of the list `scope`."""
    table = TABLES[kind]
    query = sa.select(*columns_of(kind)).where(dialect.is_member(table.c.id, "ids"))
    return compiled(dialect, query.where(visible(dialect, kind)) if limited else query)


def columns_of(kind: Kind) -> list[sa.ColumnElement[Any]]:
    """Return the columns of a record; a location that names no zone has that of the parameter `default_time_zone`."""
    table = TABLES[kind]
    default = sa.bindparam("default_time_zone", type_=sa.String())
    columns = [table.c[name] for name in shown_columns(table)]
    return [sa.func.coalesce(column, default) if column.name == "time_zone" else column for column in columns]


def visible(dialect: Dialect, kind: Kind) -> sa.ColumnElement[bool]:
    """Hold for what may be seen by ID within the locations of the list `scope`, a parameter."""
    table = TABLES[kind]
    if kind == "location":
        return dialect.is_member(table.c.id, "scope")
    is_sighted = SIGHTINGS.c.record == table.c.id
    sighted = sa.exists().where(is_sighted, dialect.is_member(SIGHTINGS.c.location, "scope")).correlate(table)
    if kind == "care_enquiry":
        return sa.or_(dialect.is_member(table.c.location, "scope"), sighted)
    names = ENQUIRIES.c.id == table.c.care_enquiry if kind == "service_user_contact" else ENQUIRIES.c.assigned_to == table.c.id
    enquired = sa.exists().where(names, dialect.is_member(ENQUIRIES.c.location, "scope")).correlate(table)
    if kind == "service_user_contact":
        return sa.or_(enquired, sighted)
    return sa.or_(dialect.shares_member(table.c.locations, "scope"), enquired, sighted)
