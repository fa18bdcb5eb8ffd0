"""What a booking would stand beside: pending visits at the same location and time that need the same host or user."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import Session

from storage.caller import Caller
from storage.database import Database
from storage.identifiers import identifier, identifiers
from storage.instants import stored
from storage.models import HomeVisit, HomeVisitStatus
from storage.queries.conflicts import MOST_CONFLICTS, nearest
from storage.queries.dialect import dialect_of
from storage.queries.statements import execute_in_session
from storage.records import HomeVisitRecord

APART = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Where and when a visit takes place, and who is needed for it; `excluding` is the visit that is no conflict of itself."""

    location: str
    date_time: datetime
    host: str | None = None
    assigned_to: str | None = None
    excluding: str | None = None

    def values(self) -> dict[str, Any]:
        return {
            "location": identifier(self.location),
            "date_time": stored(self.date_time),
            "earliest": stored(_moved(self.date_time, -APART)),
            "latest": stored(_moved(self.date_time, APART)),
            "host": self.host,
            "assigned_to": identifier(self.assigned_to),
            "excluding": identifier(self.excluding) or "",
        }


async def find_conflicts(database: Database, caller: Caller, occasion: Occasion) -> list[HomeVisit]:
    """Return the conflicts within the caller's locations, the nearest first."""
    if occasion.host is None and occasion.assigned_to is None:
        return []
    limited = caller.locations is not None
    values = occasion.values() | {"scope": database.dialect.list_value(identifiers(caller.locations or ()))}
    statement = nearest(database.dialect, occasion.host is not None, occasion.assigned_to is not None, limited)
    return _nearest_first(await database.fetch(statement, values, caller.subject), occasion.date_time)


class Conflicts:
    """The conflicts of a visit, read in the transaction that writes it."""

    def __init__(self) -> None:
        self.visits: list[HomeVisit] = []

    def read_after(self, work: Callable[[Session], HomeVisit]) -> Callable[[Session], HomeVisit]:
        """Return what does the work, then reads the conflicts of the visit as it is now: none once it is no longer pending."""

        def work_and_read(session: Session) -> HomeVisit:
            visit = work(session)
            self.visits = _read(session, visit) if visit.status is HomeVisitStatus.PENDING else []
            return visit

        return work_and_read


def _read(session: Session, visit: HomeVisit) -> list[HomeVisit]:
    occasion = Occasion(visit.location, visit.date_time, visit.host, visit.assigned_to, visit.id)
    # Whoever sees the visit sees its location.
    statement = nearest(dialect_of(session), True, visit.assigned_to is not None, False)
    return _nearest_first(execute_in_session(session, statement, occasion.values()), visit.date_time)


def _nearest_first(rows: Sequence[Any], date_time: datetime) -> list[HomeVisit]:
    visits = map(HomeVisitRecord, rows)
    return sorted(visits, key=lambda visit: (abs(visit.date_time - date_time), visit.date_time, visit.id))[:MOST_CONFLICTS]


def _moved(instant: datetime, by: timedelta) -> datetime:
    """Return the instant moved, as far as the calendar goes."""
    try:
        return instant + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if by > timedelta() else datetime.min.replace(tzinfo=UTC)
