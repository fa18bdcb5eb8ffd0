"""The pending visits that another would stand beside, as SQL: the nearest before its time and the nearest from it on."""

from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from storage.models import HomeVisitStatus
from storage.queries.conditions import STATUSES, VISITS
from storage.queries.dialect import Dialect
from storage.queries.listing import COLUMNS
from storage.queries.statements import Statement, compiled

MOST_CONFLICTS = 20


@lru_cache
def nearest(dialect: Dialect, by_host: bool, by_user: bool, limited: bool) -> Statement:
    """Select up to `MOST_CONFLICTS` at each side of `date_time` within `earliest` and `latest`, in no order.

    `limited`: within the locations of the list `scope`.
    """
    time = VISITS.c.date_time
    before = _first(dialect, (by_host, by_user, limited), [time > _of(time, "earliest"), time < _of(time)], time.desc())
    after = _first(dialect, (by_host, by_user, limited), [time >= _of(time), time < _of(time, "latest")], time)
    sides = [sa.select(*side.subquery(name).c) for name, side in (("before", before), ("after", after))]
    return compiled(dialect, sa.union_all(*sides))


def _first(
    dialect: Dialect, form: tuple[bool, bool, bool], bounds: list[sa.ColumnElement[bool]], order: sa.ColumnElement[Any]
) -> sa.Select[Any]:
    by_host, by_user, limited = form
    host, user, location, id = VISITS.c.host, VISITS.c.assigned_to, VISITS.c.location, VISITS.c.id
    # What is pending at the location then is little, and less than what a user has.
    is_users = dialect.without_index(user) == _of(user)
    alike = [*([host == _of(host)] if by_host else []), *([is_users] if by_user else [])]
    conditions = [
        location == _of(location),
        STATUSES[HomeVisitStatus.PENDING],
        *bounds,
        sa.or_(*alike),
        id != _of(id, "excluding"),
    ]
    if limited:
        conditions.append(dialect.is_member(dialect.without_index(location), "scope"))
    query = sa.select(*(VISITS.c[name] for name in COLUMNS)).where(*conditions).order_by(order, id)
    return query.limit(sa.literal_column(str(MOST_CONFLICTS))).offset(sa.literal_column("0"))


def _of(column: sa.ColumnElement[Any], name: str | None = None) -> sa.BindParameter[Any]:
    return sa.bindparam(name or str(column.key), type_=column.type)
