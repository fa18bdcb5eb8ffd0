"""What has become of a change in the account, stored with the event that tells who made it: once, whoever stores it first."""

from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session, col, select

from storage.carehq.documents import HomeVisitDocument
from storage.carehq.live import intents
from storage.carehq.live.intents import Intent
from storage.carehq.live.lists import VISITS
from storage.carehq.merging import Tally, merge
from storage.conflicts import Conflicts
from storage.errors import UpstreamInDoubt
from storage.events.appending import IMPORT, Origin, append_event
from storage.models import CareEnquiry, ConfirmationStatus, HomeVisit, HomeVisitEvent, HomeVisitEventType, IdempotencyKey
from storage.repository import INSERT_KEY


class Outcome(NamedTuple):
    """How a change is told: its type, what becomes of the confirmation, if anything, and what takes up the conflicts."""

    type: HomeVisitEventType
    confirmation: ConfirmationStatus | None = None
    conflicts: Conflicts | None = None


def store_outcome(session: Session, intent: Intent, document: HomeVisitDocument, outcome: Outcome, now: datetime) -> HomeVisit:
    """Store a document that is what came of an intent; raise UpstreamInDoubt where it is what came of another one."""
    is_booking = outcome.type is HomeVisitEventType.BOOKED
    if is_booking:
        _wait_for_other_bookings(session, document.care_enquiry)
    if intent.key and (visit := _booked_by_key(session, intent.subject, intent.key)):
        # Another process has looked for it meanwhile.
        return visit
    stored = _visit(session, document.id)
    if is_booking and stored and _is_booked(session, stored):
        raise UpstreamInDoubt
    # The follower may have stored the booking, and whatever was made of it since.
    origin = IMPORT if is_booking and stored else Origin(intent.subject, outcome.type)
    tally = Tally()
    visit = merged(session, document, now, origin, tally)
    if origin is IMPORT or not (tally.new or tally.updated):
        append_event(session, intent.subject, visit, outcome.type, [])
    if outcome.confirmation is not None:
        visit.confirmation = outcome.confirmation
    if intent.key:
        key = {"subject": intent.subject, "key": intent.key, "fingerprint": intent.fingerprint}
        INSERT_KEY(session, key | {"home_visit": visit.id, "created": now})
    intents.withdraw(session, intent.id)
    return visit


def merged(session: Session, document: HomeVisitDocument, now: datetime, origin: Origin, tally: Tally | None = None) -> HomeVisit:
    """Store a visit, and return it as it is kept then; `tally` has what became of it."""
    found = merge(session, VISITS, [document], now, origin=origin)
    if tally is not None:
        tally.add(found)
    session.flush()
    return session.exec(select(HomeVisit).where(HomeVisit.id == document.id).execution_options(populate_existing=True)).one()


def _wait_for_other_bookings(session: Session, care_enquiry: str) -> None:
    """Let who stores a booking for the same care enquiry end first, and others after this: of two, one sees the other's."""
    session.exec(select(CareEnquiry.id).where(CareEnquiry.id == care_enquiry).with_for_update(key_share=True)).all()


def _visit(session: Session, id: str) -> HomeVisit | None:
    return session.exec(select(HomeVisit).where(HomeVisit.id == id).with_for_update()).one_or_none()


def _is_booked(session: Session, visit: HomeVisit) -> bool:
    booked = select(HomeVisitEvent.id).where(
        HomeVisitEvent.home_visit == visit.id, HomeVisitEvent.type == HomeVisitEventType.BOOKED
    )
    return session.exec(booked.limit(1)).first() is not None


def _booked_by_key(session: Session, subject: str, key: str) -> HomeVisit | None:
    query = select(HomeVisit).join(IdempotencyKey, col(IdempotencyKey.home_visit) == HomeVisit.id)
    return session.exec(query.where(IdempotencyKey.subject == subject, IdempotencyKey.key == key)).one_or_none()
