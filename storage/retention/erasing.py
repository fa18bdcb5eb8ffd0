"""Erasing one person: what is pending is cancelled, and all of it wiped at once, in one transaction."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col, select

from storage import lifecycle
from storage.database import Database, Remains, Wiped
from storage.errors import DatabaseBusy, LetterUnderWay
from storage.events.appending import append_event
from storage.models import HomeVisit, HomeVisitEventType, HomeVisitStatus
from storage.outbox.mailroom import FOLDER
from storage.retention import wiping
from storage.retention.finding import Person
from storage.retention.followed import require_not_followed
from storage.retention.purging import purge
from storage.retention.retrying import MAX_RETRIES, RETRY_SECONDS

ACTOR = "erasure"


class Erased(NamedTuple):
    """How many visits were cancelled, what was wiped, how many letters were removed, and where some of it may still be."""

    cancelled: int
    wiped: Wiped
    letters: int
    remains: Remains

    def __str__(self) -> str:
        cancelled = f"{self.cancelled:,} pending visit{'' if self.cancelled == 1 else 's'}"
        return f"Cancelled {cancelled}; wiped {self.wiped}; removed {self.letters:,} from the folder of letters."


async def erase(database: Database, person: Person, clock: Callable[[], datetime], *, mail: Path = FOLDER) -> Erased:
    """Erase a person; raise LetterUnderWay, or DatabaseBusy, where others are in the way for longer than a letter takes.

    Raises NotHere where an account is followed.
    """
    await require_not_followed(database)
    for retries_left in reversed(range(MAX_RETRIES)):
        try:
            erased = await database.write(partial(_erase, person, clock))
            break
        except (LetterUnderWay, DatabaseBusy):
            if not retries_left:
                raise
            await asyncio.sleep(RETRY_SECONDS)
    return Erased(*erased, *await purge(database, mail))


def _erase(person: Person, clock: Callable[[], datetime], session: Session) -> tuple[int, Wiped]:
    """Return how many visits were cancelled and what was wiped; raise LetterUnderWay."""
    now = clock()
    enquiries = wiping.lock_enquiries(session, person.care_enquiries)
    names_them = col(HomeVisit.service_user_contact).in_(person.contacts)
    visits = _wipe_visits(session, sa.or_(col(HomeVisit.care_enquiry).in_(enquiries), names_them), now)
    contacts = wiping.lock_contacts(session, person.contacts)
    # Whoever has booked meanwhile for one of the contacts held them until now.
    visits = visits.plus(_wipe_visits(session, names_them, now))
    wiped_enquiries = wiping.wipe_enquiries(session, enquiries, now)
    wiped_contacts = wiping.wipe_contacts(session, contacts, now)
    came_along = wiping.without_family(session, visits.contacts | wiping.contacts_of(session, enquiries))
    wiped_contacts |= wiping.wipe_unneeded_contacts(session, came_along - wiped_contacts, now, now)
    return visits.cancelled, Wiped(visits.wiped, len(wiped_enquiries), len(wiped_contacts))


class _WipedVisits(NamedTuple):
    """How many visits were cancelled and wiped, and which contacts they named."""

    cancelled: int
    wiped: int
    contacts: set[str]

    def plus(self, other: "_WipedVisits") -> "_WipedVisits":
        return _WipedVisits(self.cancelled + other.cancelled, self.wiped + other.wiped, self.contacts | other.contacts)


def _wipe_visits(session: Session, condition: sa.ColumnElement[bool], now: datetime) -> _WipedVisits:
    """Cancel what is pending of the visits that meet a condition, and wipe all of them."""
    query = select(HomeVisit).where(condition, col(HomeVisit.anonymized).is_(None)).order_by(col(HomeVisit.id))
    visits = session.exec(query.with_for_update()).all()
    if wiping.with_letters_under_way(session, [visit.id for visit in visits], now):
        raise LetterUnderWay
    contacts = wiping.contacts_named_by(visits)
    pending = [visit for visit in visits if visit.status is HomeVisitStatus.PENDING]
    for visit in pending:
        ended = lifecycle.time_of_change(visit, now)
        append_event(session, ACTOR, visit, HomeVisitEventType.CANCELLED, lifecycle.change(visit, {"cancelled": ended}, ended))
    wiping.wipe_visits(session, visits, ACTOR, now)
    return _WipedVisits(len(pending), len(visits), contacts)
