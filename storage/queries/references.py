"""What visits refer to, as SQL: care enquiries, locations, users and contacts, by the list of their IDs."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa

from storage.models import CareEnquiry, Location, ServiceUserContact, User, table_of
from storage.queries.conditions import VISITS
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.records import CareEnquiryRecord, LocationRecord, ServiceUserContactRecord, UserRecord

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


@lru_cache
def by_id(dialect: Dialect, kind: Kind, limited: bool) -> Statement:
    """Select the records of a list of IDs; where `limited`, those that may be seen within the locations of the list `scope`."""
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
