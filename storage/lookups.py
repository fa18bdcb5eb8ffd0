"""What a booking or an update has to know first: read by one statement each, in the transaction that writes."""

import json
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from storage.caller import Caller
from storage.conditions import VISITS, json_list
from storage.database import sent
from storage.identifiers import identifier, identifiers
from storage.listing import COLUMNS
from storage.models import CareEnquiry, HomeVisit, IdempotencyKey, ServiceUserContact
from storage.records import CareEnquiryRecord, HomeVisitRecord, ServiceUserContactRecord
from storage.references import TABLES, in_sight
from storage.statements import Statement, compiled

ENQUIRIES, CONTACTS, USERS = TABLES["care_enquiry"], TABLES["service_user_contact"], TABLES["user"]
KEYS: sa.Table = IdempotencyKey.__table__  # type: ignore[attr-defined]  # every table model has one


class BookedBefore(NamedTuple):
    """`home_visit` is None where the caller may see it no more."""

    fingerprint: str
    home_visit: HomeVisit | None


class Named(NamedTuple):
    """The records that an input names, as far as there are any and the caller may see them."""

    care_enquiry: CareEnquiry | None
    service_user_contact: ServiceUserContact | None
    user_known: bool


def booked_before(session: Session, caller: Caller, key: str) -> BookedBefore | None:
    values = {"subject": caller.subject, "key": key, "scope": _scope(caller)}
    rows = sent(session, _booked_before(caller.locations is not None), values)
    if not rows:
        return None
    fingerprint, *visit = rows[0]
    return BookedBefore(fingerprint, HomeVisitRecord(visit) if visit[0] is not None else None)


def named(session: Session, caller: Caller, *, care_enquiry: str, service_user_contact: str | None, user: str | None) -> Named:
    """Look records up by ID, within the caller's scope: a visit would stand at the location of its enquiry."""
    return _found(session, caller, caller.locations is not None, care_enquiry, service_user_contact, user)


def named_by_visit(session: Session, caller: Caller, visit: HomeVisit, *, user: str | None) -> Named:
    """Look up the enquiry of a visit in sight, wherever it stands by now, and whether a user is known."""
    return _found(session, caller, False, visit.care_enquiry, None, user)


def _found(session: Session, caller: Caller, limited: bool, *ids: str | None) -> Named:
    values: dict[str, Any] = dict(zip(("care_enquiry", "contact", "user"), map(identifier, ids), strict=True))
    (row,) = sent(session, _named(limited), values | {"scope": _scope(caller)})
    split = len(ENQUIRIES.columns)
    enquiry, contact, user = row[:split], row[split:-1], row[-1]
    return Named(
        CareEnquiryRecord(enquiry) if enquiry[0] is not None else None,
        ServiceUserContactRecord(contact) if contact[0] is not None else None,
        user is not None,
    )


def _scope(caller: Caller) -> str:
    return json.dumps(identifiers(caller.locations or ()))


@lru_cache
def _booked_before(limited: bool) -> Statement:
    booked = VISITS.c.id == KEYS.c.home_visit
    found = KEYS.outerjoin(VISITS, sa.and_(booked, _at_theirs(VISITS)) if limited else booked)
    query = sa.select(KEYS.c.fingerprint, *(VISITS.c[name] for name in COLUMNS)).select_from(found)
    return compiled(query.where(KEYS.c.subject == _given("subject"), KEYS.c.key == _given("key")))


@lru_cache
def _named(limited: bool) -> Statement:
    enquiry, contact = ENQUIRIES.c.id == _given("care_enquiry"), CONTACTS.c.id == _given("contact")
    if limited:
        enquiry, contact = sa.and_(enquiry, _at_theirs(ENQUIRIES)), sa.and_(contact, in_sight("service_user_contact"))
    once = sa.select(sa.literal_column("1")).subquery()
    found = once.outerjoin(ENQUIRIES, enquiry).outerjoin(CONTACTS, contact).outerjoin(USERS, USERS.c.id == _given("user"))
    return compiled(sa.select(*ENQUIRIES.columns, *CONTACTS.columns, USERS.c.id).select_from(found))


def _at_theirs(table: sa.FromClause) -> sa.ColumnElement[bool]:
    return table.c.location.in_(json_list(_given("scope")))


def _given(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.String())
