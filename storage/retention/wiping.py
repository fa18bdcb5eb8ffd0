"""The wipe: closed visits and those whom nobody needs any more, in one transaction with the events that tell of it.

Rows are locked in one order: care enquiries, visits, messages, contacts. Whoever books holds enquiry and contact as well: either
the wipe sees the new visit, and leaves them as they are, or the booking sees that they were wiped.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from storage import lifecycle
from storage.carehq.live.intents import Intent
from storage.database import Wiped
from storage.events.appending import VISITS, append_event
from storage.models import (
    CareEnquiry,
    HomeVisit,
    HomeVisitEvent,
    HomeVisitEventType,
    IdempotencyKey,
    ServiceUserContact,
    table_of,
)
from storage.names import NAMELESS
from storage.outbox.claims import CLOCK_SKEW, LEASE
from storage.outbox.messages import MESSAGES, withdraw
from storage.retention.marks import mark

ENQUIRIES, CONTACTS, KEYS = table_of(CareEnquiry), table_of(ServiceUserContact), table_of(IdempotencyKey)
INTENTS = table_of(Intent)
_NOBODY = {"first_name": None, "last_name": None, "email": None, "phone": None}
_WIPED: dict[sa.Table, dict[str, Any]] = {
    ENQUIRIES: {"name_folded": NAMELESS, "search_folded": ""},
    CONTACTS: {"search_folded": ""},
}


def is_due() -> sa.ColumnElement[bool]:
    """Hold for visits that were closed before the parameter `cutoff`, and are not wiped yet."""
    return sa.and_(VISITS.c.anonymized.is_(None), sa.func.coalesce(VISITS.c.cancelled, VISITS.c.completed) < _cutoff())


def is_recent() -> sa.ColumnElement[bool]:
    """Hold for visits that are pending, or were closed since the parameter `cutoff`, wiped or not."""
    # The source anonymizes pending visits as well.
    ended = sa.func.coalesce(VISITS.c.cancelled, VISITS.c.completed, VISITS.c.anonymized)
    return ~sa.func.coalesce(ended < _cutoff(), sa.false())


def is_unneeded(table: sa.Table, *, after_wipe: bool = True) -> sa.ColumnElement[bool]:
    """Hold for enquiries that had visits, and for contacts, which are not wiped and which no visit refers to that is needed.

    That is one which is recent or not wiped; or recent alone, where what is due is still to be wiped.
    """
    is_needed = sa.or_(VISITS.c.anonymized.is_(None), is_recent()) if after_wipe else is_recent()
    is_left = sa.and_(table.c.anonymized.is_(None), ~_has_visit(table, is_needed))
    return sa.and_(is_left, _has_visit(table)) if table is ENQUIRIES else is_left


def _has_visit(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    reference = VISITS.c.care_enquiry if table is ENQUIRIES else VISITS.c.service_user_contact
    return sa.exists(
        sa.select(sa.literal_column("1")).select_from(VISITS).where(reference == table.c.id, *conditions).correlate(table)
    )


def _cutoff() -> sa.BindParameter[datetime]:
    return sa.bindparam("cutoff", type_=VISITS.c.cancelled.type)


def wipe_due(session: Session, ids: Collection[str], cutoff: datetime, actor: str, now: datetime) -> tuple[Wiped, int]:
    """Wipe those of these visits that are due; return what was wiped, and how many are left as others use them just now."""
    enquiries = session.connection().scalars(sa.select(VISITS.c.care_enquiry).where(VISITS.c.id.in_(ids))).all()
    locked = lock_enquiries(session, enquiries)
    query = select(HomeVisit).where(col(HomeVisit.id).in_(ids), is_due()).order_by(col(HomeVisit.id)).with_for_update()
    due = session.exec(query, params={"cutoff": cutoff}).all()
    in_use = with_letters_under_way(session, [visit.id for visit in due], now)
    # An import may just have moved it to another enquiry.
    unused = [visit for visit in due if visit.id not in in_use and visit.care_enquiry in locked]
    contacts = contacts_named_by(unused)
    wipe_visits(session, unused, actor, now)
    wiped = wipe_unneeded(session, {visit.care_enquiry for visit in unused}, contacts, cutoff, now)
    return wiped._replace(visits=len(unused)), len(due) - len(unused)


def wipe_unneeded(
    session: Session, enquiries: Collection[str], contacts: Collection[str], cutoff: datetime, now: datetime
) -> Wiped:
    """Wipe those of these care enquiries and contacts, and those contacts of the enquiries, that no visit needs any more."""
    unneeded = wipe_enquiries(session, _unneeded(session, ENQUIRIES, enquiries, cutoff), now)
    contacts = {*contacts, *contacts_of(session, unneeded)}
    return Wiped(0, len(unneeded), len(wipe_unneeded_contacts(session, contacts, cutoff, now)))


def wipe_unneeded_contacts(session: Session, ids: Collection[str], cutoff: datetime, now: datetime) -> set[str]:
    return _wipe(session, CONTACTS, _unneeded(session, CONTACTS, ids, cutoff), now)


def lock_enquiries(session: Session, ids: Iterable[str]) -> set[str]:
    return _lock(session, ENQUIRIES, ids)


def with_letters_under_way(session: Session, visits: Collection[str], now: datetime) -> set[str]:
    """Return those of the visits of which a courier is sending a letter; none begins to until the transaction ends."""
    leases = sa.select(MESSAGES.c.home_visit, MESSAGES.c.leased_until).where(MESSAGES.c.home_visit.in_(visits))
    rows = session.connection().execute(leases.order_by(MESSAGES.c.id).with_for_update()).all()
    latest = now + LEASE + CLOCK_SKEW
    return {visit for visit, leased_until in rows if leased_until is not None and now < leased_until <= latest}


def wipe_visits(session: Session, visits: Sequence[HomeVisit], actor: str, now: datetime) -> None:
    """Wipe closed visits, which are locked, and all that is kept of each: events, messages and idempotency keys."""
    for visit in visits:
        entries = lifecycle.anonymize(visit, now)
        withdraw(session, visit, now)
        append_event(session, actor, visit, HomeVisitEventType.ANONYMIZED, entries)
    wipe_traces(session, [visit.id for visit in visits], now)


def wipe_traces(session: Session, visits: Collection[str], now: datetime) -> None:
    """Wipe what is kept beside visits that were wiped: events, idempotency keys and intents to change them."""
    if not visits:
        return
    mark(session, now)
    _wipe_events(session, visits)
    # Who chooses a key may have made it of anything, and from the hash of a form its values can be guessed.
    session.connection().execute(sa.delete(KEYS).where(KEYS.c.home_visit.in_(visits)))
    session.connection().execute(sa.delete(INTENTS).where(INTENTS.c.home_visit.in_(visits)))


def wipe_traces_of_enquiries(session: Session, enquiries: Collection[str]) -> None:
    """Wipe what is kept beside care enquiries that were wiped: intents to book for them, with keys that callers have chosen."""
    if enquiries:
        session.connection().execute(sa.delete(INTENTS).where(INTENTS.c.care_enquiry.in_(enquiries)))


def _wipe_events(session: Session, visits: Collection[str]) -> None:
    for event in session.exec(select(HomeVisitEvent).where(col(HomeVisitEvent.home_visit).in_(visits))):
        wiped = lifecycle.without_personal_values(event.changes)
        if wiped != event.changes:
            event.changes = wiped
    session.flush()


def wipe_enquiries(session: Session, ids: Collection[str], now: datetime) -> set[str]:
    """Wipe the details of care enquiries, which are locked; return those that had not been wiped yet."""
    wipe_traces_of_enquiries(session, ids)
    return _wipe(session, ENQUIRIES, ids, now)


def wipe_contacts(session: Session, ids: Collection[str], now: datetime) -> set[str]:
    """Wipe the details of contacts, which are locked; return those that had not been wiped yet."""
    return _wipe(session, CONTACTS, ids, now)


def contacts_of(session: Session, enquiries: Collection[str]) -> set[str]:
    return set(session.connection().scalars(sa.select(CONTACTS.c.id).where(CONTACTS.c.care_enquiry.in_(enquiries))))


def contacts_named_by(visits: Iterable[HomeVisit]) -> set[str]:
    return {visit.service_user_contact for visit in visits if visit.service_user_contact is not None}


def without_family(session: Session, contacts: Collection[str]) -> set[str]:
    """Return those of the contacts who belong to no care enquiry, or to one that was wiped."""
    query = sa.select(CONTACTS.c.id).outerjoin(ENQUIRIES, ENQUIRIES.c.id == CONTACTS.c.care_enquiry)
    belongs_to_none = sa.or_(CONTACTS.c.care_enquiry.is_(None), ENQUIRIES.c.anonymized.is_not(None))
    return set(session.connection().scalars(query.where(CONTACTS.c.id.in_(contacts), belongs_to_none)))


def _unneeded(session: Session, table: sa.Table, ids: Iterable[str], cutoff: datetime) -> set[str]:
    """Lock some enquiries, or contacts; return those that nobody needs any more."""
    query = sa.select(table.c.id).where(table.c.id.in_(_lock(session, table, ids)), is_unneeded(table))
    return set(session.connection().scalars(query, {"cutoff": cutoff}))


def lock_contacts(session: Session, ids: Iterable[str]) -> set[str]:
    return _lock(session, CONTACTS, ids)


def _lock(session: Session, table: sa.Table, ids: Iterable[str]) -> set[str]:
    query = sa.select(table.c.id).where(table.c.id.in_(set(ids))).order_by(table.c.id).with_for_update()
    return set(session.connection().scalars(query))


def _wipe(session: Session, table: sa.Table, ids: Collection[str], now: datetime) -> set[str]:
    connection = session.connection()
    new = set(connection.scalars(sa.select(table.c.id).where(table.c.id.in_(ids), table.c.anonymized.is_(None))))
    if new:
        mark(session, now)
    connection.execute(sa.update(table).where(table.c.id.in_(new)).values(_NOBODY | _WIPED[table] | {"anonymized": now}))
    # What had nothing to be found by, the database takes for folded by an older version.
    is_unfolded = sa.and_(table.c.id.in_(new), table.c.search_folded.is_(None))
    connection.execute(sa.update(table).where(is_unfolded).values(_WIPED[table]))
    return new
