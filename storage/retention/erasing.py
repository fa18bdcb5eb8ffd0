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
from storage.errors import LetterUnderWay
from storage.events.appending import append_event
from storage.models import HomeVisit, HomeVisitEventType, HomeVisitStatus
from storage.outbox.mailroom import FOLDER
from storage.retention import wiping
from storage.retention.finding import Subject
from storage.retention.purging import purge

ACTOR = "erasure"
RETRY_SECONDS = 1.0
# A courier has a minute for a letter.
MAX_RETRIES = 90


class Erased(NamedTuple):
    """How many visits were cancelled, what was wiped, how many letters were removed, and where some of it may still be."""

    cancelled: int
    wiped: Wiped
    letters: int
    remains: Remains

    def __str__(self) -> str:
        cancelled = f"{self.cancelled:,} pending visit{'' if self.cancelled == 1 else 's'}"
        return f"Cancelled {cancelled}; wiped {self.wiped}; removed {self.letters:,} from the folder of letters."


async def erase(database: Database, subject: Subject, clock: Callable[[], datetime], *, mail: Path = FOLDER) -> Erased:
    """Erase a person; raise LetterUnderWay where one of their letters is being sent for longer than any is."""
    for _ in range(MAX_RETRIES):
        erased = await database.write(partial(_erase, subject, clock))
        if erased is not None:
            return Erased(*erased, *await purge(database, mail))
        await asyncio.sleep(RETRY_SECONDS)
    raise LetterUnderWay


def _erase(subject: Subject, clock: Callable[[], datetime], session: Session) -> tuple[int, Wiped] | None:
    """Return how many visits were cancelled and what was wiped; None where a letter is under way."""
    now = clock()
    enquiries = wiping.lock_enquiries(session, subject.care_enquiries)
    is_theirs = sa.or_(col(HomeVisit.care_enquiry).in_(enquiries), col(HomeVisit.service_user_contact).in_(subject.contacts))
    query = select(HomeVisit).where(is_theirs, col(HomeVisit.anonymized).is_(None)).order_by(col(HomeVisit.id))
    visits = session.exec(query.with_for_update()).all()
    if wiping.with_letters_under_way(session, [visit.id for visit in visits], now):
        session.expunge_all()
        return None
    pending = [visit for visit in visits if visit.status is HomeVisitStatus.PENDING]
    for visit in pending:
        ended = lifecycle.time_of_change(visit, now)
        append_event(session, ACTOR, visit, HomeVisitEventType.CANCELLED, lifecycle.change(visit, {"cancelled": ended}, ended))
    wiping.wipe_visits(session, visits, ACTOR, now)
    contacts = wiping.contacts_of(session, enquiries) | subject.contacts
    gone = wiping.wipe_enquiries(session, enquiries, now)
    wiped = Wiped(len(visits), len(gone), len(wiping.wipe_contacts(session, contacts, now)))
    return len(pending), wiped
