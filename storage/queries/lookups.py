"""What a booking or an update has to know first: read by one statement each, in the transaction that writes."""

import json
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from storage.caller import Caller
from storage.identifiers import identifier, identifiers
from storage.models import CareEnquiry, HomeVisit, IdempotencyKey, ServiceUserContact
from storage.queries.conditions import VISITS, json_list
from storage.queries.listing import COLUMNS
from storage.queries.references import TABLES, visible
from storage.queries.statements import Statement, compiled
from storage.records import CareEnquiryRecord, HomeVisitRecord, ServiceUserContactRecord
from storage.sqlite.database import execute_in_session

ENQUIRIES, CONTACTS, USERS = TABLES["care_enquiry"], TABLES["service_user_contact"], TABLES["user"]
KEYS: sa.Table = IdempotencyKey.__table__  # type: ignore[attr-defined]  # every table model has one


class IdempotentBooking(NamedTuple):
    """`home_visit` is None where the caller may see it no more."""

    fingerprint: str
    home_visit: HomeVisit | None


class Referenced(NamedTuple):
    """The records that an input names, as far as there are any and the caller may see them."""

    care_enquiry: CareEnquiry | None
    service_user_contact: ServiceUserContact | None
    user_known: bool


def find_idempotent_booking(session: Session, caller: Caller, key: str) -> IdempotentBooking | None:
    values = {"subject": caller.subject, "key": key, "scope": _scope(caller)}
    rows = execute_in_session(session, _find_idempotent_booking(caller.locations is not None), values)
    if not rows:
        return None
    fingerprint, *visit = rows[0]
    return IdempotentBooking(fingerprint, HomeVisitRecord(visit) if visit[0] is not None else None)


def referenced(
    session: Session, caller: Caller, *, care_enquiry: str, service_user_contact: str | None, user: str | None
) -> Referenced:
    """Look records up by ID, within the caller's scope: a visit would stand at the location of its enquiry."""
    return _found(session, caller, caller.locations is not None, care_enquiry, service_user_contact, user)


def referenced_by_visit(session: Session, caller: Caller, visit: HomeVisit, *, user: str | None) -> Referenced:
    """Look up the enquiry of a visit in sight, wherever it stands by now, and whether a user is known."""
    return _found(session, caller, False, visit.care_enquiry, None, user)


def _found(session: Session, caller: Caller, limited: bool, *ids: str | None) -> Referenced:
    values: dict[str, Any] = dict(zip(("care_enquiry", "contact", "user"), map(identifier, ids), strict=True))
    (row,) = execute_in_session(session, _named(limited), values | {"scope": _scope(caller)})
    split = len(ENQUIRIES.columns)
    enquiry, contact, user = row[:split], row[split:-1], row[-1]
    return Referenced(
        CareEnquiryRecord(enquiry) if enquiry[0] is not None else None,
        ServiceUserContactRecord(contact) if contact[0] is not None else None,
        user is not None,
    )


def _scope(caller: Caller) -> str:
    return json.dumps(identifiers(caller.locations or ()))


@lru_cache
def _find_idempotent_booking(limited: bool) -> Statement:
    booked = VISITS.c.id == KEYS.c.home_visit
    found = KEYS.outerjoin(VISITS, sa.and_(booked, _at_theirs(VISITS)) if limited else booked)
    query = sa.select(KEYS.c.fingerprint, *(VISITS.c[name] for name in COLUMNS)).select_from(found)
    return compiled(query.where(KEYS.c.subject == _given("subject"), KEYS.c.key == _given("key")))


@lru_cache
def _named(limited: bool) -> Statement:
    enquiry, contact = ENQUIRIES.c.id == _given("care_enquiry"), CONTACTS.c.id == _given("contact")
    if limited:
        enquiry, contact = sa.and_(enquiry, _at_theirs(ENQUIRIES)), sa.and_(contact, visible("service_user_contact"))
    once = sa.select(sa.literal_column("1")).subquery()
    found = once.outerjoin(ENQUIRIES, enquiry).outerjoin(CONTACTS, contact).outerjoin(USERS, USERS.c.id == _given("user"))
    return compiled(sa.select(*ENQUIRIES.columns, *CONTACTS.columns, USERS.c.id).select_from(found))


def _at_theirs(table: sa.FromClause) -> sa.ColumnElement[bool]:
    return table.c.location.in_(json_list(_given("scope")))


def _given(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.String())
