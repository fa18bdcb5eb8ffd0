"""Events into the log, each in the transaction of the change that it tells of; nobody else inserts any."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from storage.changes import note_events
from storage.identifiers import new_identifier
from storage.models import HomeVisit, HomeVisitEvent, HomeVisitEventType, table_of
from storage.queries.dialect import Dialect, dialect_of
from storage.queries.inserts import Insert


class Origin(NamedTuple):
    """Who changes visits by the source's documents, and by what operation."""

    actor: str
    type: HomeVisitEventType


IMPORT = Origin("import", HomeVisitEventType.IMPORTED)

# What an event says of each field: its name, its value before and after.
Changes = list[list[str | None]]

EVENTS, VISITS = table_of(HomeVisitEvent), table_of(HomeVisit)

_LAST = sa.select(sa.func.coalesce(sa.func.max(EVENTS.c.sequence), sa.literal_column("0"))).scalar_subquery()


def _numbered(dialect: Dialect) -> Mapping[str, sa.ColumnElement[Any]]:
    """Return the number of a single new event, where it gets one when it is inserted."""
    return {} if dialect.numbers_after_commit else {"sequence": _LAST + sa.literal_column("1")}


INSERT_EVENT = Insert(HomeVisitEvent, computed=_numbered)


def append_event(session: Session, actor: str, visit: HomeVisit, type: HomeVisitEventType, changes: Changes) -> None:
    """Append what `actor` has changed about a visit, which is as it is from now on."""
    INSERT_EVENT(session, _event(vars(visit), actor, type, changes, visit.modified))
    note_events(session)


def append_import_changes(
    session: Session, visits: Sequence[tuple[Mapping[str, Any], Changes]], now: datetime, origin: Origin
) -> None:
    """Append what documents have changed about visits, each as it was from then on."""
    if visits:
        INSERT_EVENT.several(session, [_event(visit, origin.actor, origin.type, changes, now) for visit, changes in visits])
        note_events(session)


def _event(visit: Mapping[str, Any], actor: str, type: HomeVisitEventType, changes: Changes, at: datetime) -> dict[str, Any]:
    return {
        "id": new_identifier(at),
        "at": at,
        "actor": actor,
        "type": type,
        "home_visit": visit["id"],
        "care_enquiry": visit["care_enquiry"],
        "location": visit["location"],
        "version": visit["version"],
        "changes": changes,
    }


def append_imported(session: Session, ids: Sequence[str], now: datetime, origin: Origin) -> None:
    """Append the events of new visits, all by one statement, in the order of their rows.

    They are numbered at once, where it takes a lock until the commit: to number a million rows later takes longer than to insert
    them. Nothing of these visits can wait for a number.
    """
    dialect = dialect_of(session)
    dialect.lock_numbers(session)
    event = {
        EVENTS.c.id: dialect.new_identifier(sa.literal(now, EVENTS.c.at.type)),
        EVENTS.c.sequence: _LAST + sa.func.row_number().over(order_by=VISITS.c.number),
        EVENTS.c.at: sa.literal(now, EVENTS.c.at.type),
        EVENTS.c.actor: sa.literal(origin.actor),
        EVENTS.c.type: sa.literal(origin.type, EVENTS.c.type.type),
        EVENTS.c.home_visit: VISITS.c.id,
        EVENTS.c.care_enquiry: VISITS.c.care_enquiry,
        EVENTS.c.location: VISITS.c.location,
        EVENTS.c.version: VISITS.c.version,
        EVENTS.c.changes: sa.literal([], EVENTS.c.changes.type),
    }
    new = sa.select(*event.values()).where(VISITS.c.id.in_(ids)).order_by(VISITS.c.number)
    session.connection().execute(sa.insert(EVENTS).from_select(list(event), new))
    note_events(session)


def move_events(session: Session, visits: Sequence[Mapping[str, Any]]) -> None:
    """Have the events of visits stand where the visits do: who sees a visit sees its events."""
    if not visits:
        return
    moved = sa.update(EVENTS).where(EVENTS.c.home_visit == sa.bindparam("of"))
    values: dict[str, Any] = {"location": sa.bindparam("to_location"), "care_enquiry": sa.bindparam("to_care_enquiry")}
    rows = [{"of": visit["id"], **{f"to_{name}": visit[name] for name in values}} for visit in visits]
    session.connection().execute(moved.values(values), rows)
