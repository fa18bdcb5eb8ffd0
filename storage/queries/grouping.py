"""How many visits are alike, as SQL: counted by one or two of their attributes; compiled once for each dialect and shape."""

from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.models import HomeVisitStatus
from storage.queries.conditions import STATUSES, VISITS
from storage.queries.dialect import SCANS, AccessPath, ConditionShape, Dialect
from storage.queries.listing import SHAPES, Shape, clauses
from storage.queries.statements import Statement, compiled, with_fallbacks


class HomeVisitGrouping(StrEnum):
    STATUS = "STATUS"
    DAY = "DAY"
    LOCATION = "LOCATION"
    HOST = "HOST"
    ASSIGNED_TO = "ASSIGNED_TO"
    VISIT_TYPE = "VISIT_TYPE"


Groupings = tuple[HomeVisitGrouping, ...]

COLUMNS = {
    HomeVisitGrouping.LOCATION: VISITS.c.location,
    HomeVisitGrouping.HOST: VISITS.c.host,
    HomeVisitGrouping.ASSIGNED_TO: VISITS.c.assigned_to,
    HomeVisitGrouping.VISIT_TYPE: VISITS.c.visit_type,
}


class GroupingShape(NamedTuple):
    """All that the SQL of counts depends on; `pieces` is how many pieces the days of the zone divide a UTC day into."""

    conditions: ConditionShape
    groupings: Groupings
    pieces: int = 1


@lru_cache(SHAPES)
def group_counts(dialect: Dialect, shape: GroupingShape) -> Statement:
    """Select groups and how many visits each has, `limit` groups at most.

    A group has a column for each grouping, but DAY, which has two: the UTC day, and the number of its piece.
    """
    paths = dialect.group_paths(shape.conditions, frozenset(shape.groupings))
    return with_fallbacks(paths, lambda path: _along(dialect, path, shape))


def piece_parameter(number: int) -> str:
    """Return the name of the parameter that is the time of day at which a piece begins; there is none for the first."""
    return f"piece_{number}"


def _along(dialect: Dialect, path: AccessPath, shape: GroupingShape) -> Statement:
    keys = [key for grouping in shape.groupings for key in _keys(dialect, grouping, shape.pieces)]
    names = [f"key_{number}" for number in range(len(keys))]
    columns: list[sa.ColumnElement[Any]] = [key.label(name) for key, name in zip(keys, names, strict=True)]
    query: sa.Select[Any] = sa.select(*columns, sa.func.count()).select_from(VISITS)
    query = query.where(*clauses(dialect, Shape(shape.conditions), path.access))
    # By label: a key that has parameters would not be the same expression twice to every database.
    query = query.group_by(*map(sa.literal_column, names))
    query = dialect.planned_whole(query).limit(sa.bindparam("limit", type_=sa.Integer())).offset(sa.literal_column("0"))
    return compiled(dialect, dialect.scanning(query, VISITS) if path.access in SCANS else query)._replace(by_values=True)


def _keys(dialect: Dialect, grouping: HomeVisitGrouping, pieces: int) -> list[sa.ColumnElement[Any]]:
    if grouping is HomeVisitGrouping.DAY:
        return [dialect.utc_day(VISITS.c.date_time), _piece(dialect, pieces)]
    if grouping is HomeVisitGrouping.STATUS:
        return [_status()]
    return [COLUMNS[grouping]]


def _piece(dialect: Dialect, pieces: int) -> sa.ColumnElement[Any]:
    last_first = range(pieces - 1, 0, -1)
    begun = [(dialect.is_at_or_after(VISITS.c.date_time, piece_parameter(number)), _literal(number)) for number in last_first]
    return sa.case(*begun, else_=_literal(0)) if begun else _literal(0)


def _status() -> sa.ColumnElement[Any]:
    *ended, _pending = ((STATUSES[status], _literal(f"'{status}'")) for status in reversed(HomeVisitStatus))
    return sa.case(*ended, else_=_literal(f"'{HomeVisitStatus.PENDING}'"))


def _literal(value: object) -> sa.ColumnElement[Any]:
    return sa.literal_column(str(value))
