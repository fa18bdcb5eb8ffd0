"""What a booking or an update has to check first: read by one statement each, in the transaction that writes."""

from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from storage.caller import Caller
from storage.identifiers import identifier, identifiers
from storage.models import CareEnquiry, HomeVisit, IdempotencyKey, ServiceUserContact, table_of
from storage.queries.conditions import VISITS
from storage.queries.dialect import Dialect, dialect_of
from storage.queries.listing import COLUMNS
from storage.queries.references import TABLES, visible
from storage.queries.statements import Statement, compiled, execute_in_session
from storage.records import CareEnquiryRecord, HomeVisitRecord, ServiceUserContactRecord, shown_columns

ENQUIRIES, CONTACTS, USERS = TABLES["care_enquiry"], TABLES["service_user_contact"], TABLES["user"]
KEYS = table_of(IdempotencyKey)
ENQUIRY_COLUMNS, CONTACT_COLUMNS = shown_columns(ENQUIRIES), shown_columns(CONTACTS)


class IdempotentBooking(NamedTuple):
    """What a key was used for. `home_visit` is None where the caller may see it no more."""

    fingerprint: str
    home_visit: HomeVisit | None


class Referenced(NamedTuple):
    """The records that an input names, as far as there are any and the caller may see them."""

    care_enquiry: CareEnquiry | None
    service_user_contact: ServiceUserContact | None
    user_is_visible: bool


def find_idempotent_booking(session: Session, caller: Caller, key: str) -> IdempotentBooking | None:
    dialect = dialect_of(session)
    values = {"subject": caller.subject, "key": key, "scope": _scope(dialect, caller)}
    rows = execute_in_session(session, _idempotent_booking(dialect, caller.locations is not None), values)
    if not rows:
        return None
    fingerprint, *visit = rows[0]
    return IdempotentBooking(fingerprint, HomeVisitRecord(visit) if visit[0] is not None else None)


def referenced(
    session: Session, caller: Caller, *, care_enquiry: str, service_user_contact: str | None, user: str | None
) -> Referenced:
    """Look records up by ID, within the caller's scope: a visit would stand at the location of its enquiry."""
    return _look_up(session, caller, True, care_enquiry, service_user_contact, user)


def referenced_by_visit(session: Session, caller: Caller, visit: HomeVisit, *, user: str | None) -> Referenced:
    """Look up the enquiry of a visit that the caller sees, whatever its location by now, and a user within the caller's scope."""
    return _look_up(session, caller, False, visit.care_enquiry, None, user)


def _look_up(session: Session, caller: Caller, enquiry_limited: bool, *ids: str | None) -> Referenced:
    dialect = dialect_of(session)
    values: dict[str, Any] = dict(zip(("care_enquiry", "contact", "user"), map(identifier, ids), strict=True))
    limited = caller.locations is not None
    statement = _referenced(dialect, limited, limited and enquiry_limited)
    (row,) = execute_in_session(session, statement, values | {"scope": _scope(dialect, caller)})
    split = len(ENQUIRY_COLUMNS)
    enquiry, contact, user = row[:split], row[split:-1], row[-1]
    return Referenced(
        CareEnquiryRecord(enquiry) if enquiry[0] is not None else None,
        ServiceUserContactRecord(contact) if contact[0] is not None else None,
        user is not None,
    )


def _scope(dialect: Dialect, caller: Caller) -> Any:
    return dialect.list_value(identifiers(caller.locations or ()))


@lru_cache
def _idempotent_booking(dialect: Dialect, limited: bool) -> Statement:
    is_booked = VISITS.c.id == KEYS.c.home_visit
    joined = KEYS.outerjoin(VISITS, sa.and_(is_booked, _in_scope(dialect, VISITS)) if limited else is_booked)
    query = sa.select(KEYS.c.fingerprint, *(VISITS.c[name] for name in COLUMNS)).select_from(joined)
    return compiled(dialect, query.where(KEYS.c.subject == _parameter("subject"), KEYS.c.key == _parameter("key")))


@lru_cache
def _referenced(dialect: Dialect, limited: bool, enquiry_limited: bool) -> Statement:
    enquiries = sa.select(*(ENQUIRIES.c[name] for name in ENQUIRY_COLUMNS)).where(ENQUIRIES.c.id == _parameter("care_enquiry"))
    contacts = sa.select(*(CONTACTS.c[name] for name in CONTACT_COLUMNS)).where(CONTACTS.c.id == _parameter("contact"))
    user = USERS.c.id == _parameter("user")
    if enquiry_limited:
        enquiries = enquiries.where(_in_scope(dialect, ENQUIRIES))
    if limited:
        contacts = contacts.where(visible(dialect, "service_user_contact"))
        user = sa.and_(user, visible(dialect, "user"))
    # Nobody anonymizes the enquiry, or moves it, before what is decided by it is committed.
    enquiry = enquiries.with_for_update(read=True).subquery("care_enquiries")
    # Nor does anybody wipe the contact. The reference of the new visit would wait for whoever does, and not see that it was done.
    contact = contacts.with_for_update(read=True, key_share=True).subquery("service_user_contacts")
    once = sa.select(sa.literal_column("1")).subquery()
    joined = once.outerjoin(enquiry, sa.true()).outerjoin(contact, sa.true()).outerjoin(USERS, user)
    return compiled(dialect, sa.select(*enquiry.c, *contact.c, USERS.c.id).select_from(joined))


def _in_scope(dialect: Dialect, table: sa.FromClause) -> sa.ColumnElement[bool]:
    return dialect.is_member(table.c.location, "scope")


def _parameter(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.String())
