"""The tables. Names are the source's own; an ID of another record stands under the name of what it refers to."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from storage.instants import Instant
from storage.names import NAMELESS

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class VisitType(StrEnum):
    IN_PERSON = "IN_PERSON"
    VIRTUAL = "VIRTUAL"


class VisitHost(StrEnum):
    MANAGER = "MANAGER"
    DEPUTY_MANAGER = "DEPUTY_MANAGER"
    ADMINISTRATOR = "ADMINISTRATOR"
    RECEPTIONIST = "RECEPTIONIST"
    SENIOR_CARER = "SENIOR_CARER"
    CARER = "CARER"
    CUSTOMER_RELATIONS_ADVISER = "CUSTOMER_RELATIONS_ADVISER"
    NURSE = "NURSE"
    OTHER = "OTHER"


class HomeVisitStatus(StrEnum):
    PENDING = "PENDING"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"


class HomeVisitEventType(StrEnum):
    BOOKED = "BOOKED"
    UPDATED = "UPDATED"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    ANONYMIZED = "ANONYMIZED"
    IMPORTED = "IMPORTED"


class ConfirmationStatus(StrEnum):
    NOT_REQUIRED = "NOT_REQUIRED"
    SUPPRESSED = "SUPPRESSED"
    NOT_POSSIBLE = "NOT_POSSIBLE"
    QUEUED = "QUEUED"
    SENT = "SENT"
    WITHDRAWN = "WITHDRAWN"
    FAILED = "FAILED"


# SQLite numbers rows by itself only in a column of exactly this type.
BIG: Any = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Folded names sort by the code points of their characters, on every database alike.
NAME: Any = sa.String(collation="C").with_variant(sa.String(), "sqlite")
UNFOLDED = sa.text("search_folded IS NULL")


def is_storable(text: str) -> bool:
    """Tell whether every database takes the text: without NUL, and without half a character (a lone surrogate)."""
    return "\0" not in text and not LONE_SURROGATE.search(text)


def _id(**options: Any) -> Any:
    return Field(max_length=24, **options)


def _reference(to: str, **options: Any) -> Any:
    return Field(max_length=24, foreign_key=f"{to}.id", **options)


def _instant(**options: Any) -> Any:
    return Field(sa_type=Instant, **options)


def _folded_name() -> Any:
    return Field(default=NAMELESS, sa_type=NAME, sa_column_kwargs={"server_default": NAMELESS})


def _enum(kind: type[StrEnum], **options: Any) -> Any:
    return Field(sa_type=sa.Enum(kind, native_enum=False, length=32), **options)


def _unfolded(table: str) -> sa.Index:
    """Return the index of the rows whose names were written by an older version, and are still to be folded."""
    return sa.Index(f"{table}_unfolded", "id", sqlite_where=UNFOLDED, postgresql_where=UNFOLDED)


metadata = SQLModel.metadata


def table_of(model: type[SQLModel]) -> sa.Table:
    table: sa.Table = model.__table__  # type: ignore[attr-defined]  # every table model has one
    return table


class User(SQLModel, table=True):
    __tablename__ = "users"
    __table_args__ = (sa.Index("users_by_name", "name_folded", "id"), _unfolded("users"))

    id: str = _id(primary_key=True)
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    locations: list[str] | None = Field(default=None, sa_type=sa.JSON(none_as_null=True))
    location_role: VisitHost | None = _enum(VisitHost, default=None)
    suspended: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    name_folded: str = _folded_name()
    search_folded: str | None = None


class Location(SQLModel, table=True):
    __tablename__ = "locations"
    __table_args__ = (sa.Index("locations_by_name", "name_folded", "id"), _unfolded("locations"))

    id: str = _id(primary_key=True)
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    time_zone: str | None = None
    name_folded: str = _folded_name()
    search_folded: str | None = None


class CareEnquiry(SQLModel, table=True):
    __tablename__ = "care_enquiries"
    __table_args__ = (
        sa.Index("care_enquiries_of_user", "assigned_to", "location"),
        sa.Index("care_enquiries_of_location", "location", "id"),
        sa.Index("care_enquiries_of_location_by_name", "location", "name_folded", "id"),
        sa.Index("care_enquiries_by_name", "name_folded", "id"),
        _unfolded("care_enquiries"),
    )

    id: str = _id(primary_key=True)
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    assigned_to: str | None = _reference("users", default=None)
    location: str | None = _reference("locations", default=None)
    anonymized: datetime | None = _instant(default=None)
    name_folded: str = _folded_name()
    search_folded: str | None = None


class ServiceUserContact(SQLModel, table=True):
    __tablename__ = "service_user_contacts"
    __table_args__ = (
        sa.Index("service_user_contacts_of_care_enquiry", "care_enquiry", "id"),
        _unfolded("service_user_contacts"),
    )

    id: str = _id(primary_key=True)
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    care_enquiry: str | None = _reference("care_enquiries", default=None)
    search_folded: str | None = None
    anonymized: datetime | None = _instant(default=None)


# The columns from which is derived what is no column.
DERIVED_FROM = {"status": ("cancelled", "completed")}


class DerivedAttributes:
    """Attributes of a visit that are computed from its columns, alike in records to read and in those to write."""

    __slots__ = ()

    @property
    def status(self: Any) -> HomeVisitStatus:
        if self.cancelled is not None:
            return HomeVisitStatus.CANCELLED
        return HomeVisitStatus.PENDING if self.completed is None else HomeVisitStatus.COMPLETED


PENDING = sa.text("cancelled IS NULL AND completed IS NULL")
UNASSIGNED = sa.text("cancelled IS NULL AND completed IS NULL AND assigned_to IS NULL")
UNCONFIRMED = sa.text("confirmation = 'FAILED'")
HAS_CONTACT = sa.text("service_user_contact IS NOT NULL")


_VERSION = sa.Column("version", sa.Integer, nullable=False)


class HomeVisit(DerivedAttributes, SQLModel, table=True):
    __tablename__ = "home_visits"
    # Every UPDATE is guarded by the version that was read.
    __mapper_args__ = {"version_id_col": _VERSION, "version_id_generator": False}
    __table_args__ = (
        sa.CheckConstraint("cancelled IS NULL OR completed IS NULL", name="not_both"),
        sa.Index("home_visits_by_time", "date_time", "id"),
        sa.Index("home_visits_by_created", "created", "id"),
        sa.Index("home_visits_by_modified", "modified", "id"),
        sa.Index("home_visits_of_location", "location", "date_time", "id"),
        sa.Index("home_visits_of_user_at", "assigned_to", "date_time", "id", "location"),
        sa.Index("home_visits_of_care_enquiry", "care_enquiry", "date_time", "id"),
        sa.Index(
            "home_visits_of_contact",
            "service_user_contact",
            "date_time",
            "id",
            sqlite_where=HAS_CONTACT,
            postgresql_where=HAS_CONTACT,
        ),
        sa.Index(
            "home_visits_pending_of_location", "location", "date_time", "id", sqlite_where=PENDING, postgresql_where=PENDING
        ),
        sa.Index(
            "home_visits_unassigned", "assigned_to", "date_time", "id", sqlite_where=UNASSIGNED, postgresql_where=UNASSIGNED
        ),
        sa.Index("home_visits_unconfirmed", "date_time", "id", sqlite_where=UNCONFIRMED, postgresql_where=UNCONFIRMED),
    )

    # The index of keywords finds rows by this number; SQLite's implicit one changes when the file is vacuumed.
    number: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    id: str = _id(unique=True)
    care_enquiry: str = _reference("care_enquiries")
    location: str = _reference("locations")
    date_time: datetime = _instant()
    visit_type: VisitType = _enum(VisitType)
    host: VisitHost = _enum(VisitHost)
    notes: str = ""
    assigned_to: str | None = _reference("users", default=None)
    service_user_contact: str | None = _reference("service_user_contacts", default=None)
    created: datetime = _instant()
    modified: datetime = _instant()
    cancelled: datetime | None = _instant(default=None)
    completed: datetime | None = _instant(default=None)
    anonymized: datetime | None = _instant(default=None)
    version: int = Field(default=1, sa_column=_VERSION)
    confirmation: ConfirmationStatus = _enum(ConfirmationStatus, default=ConfirmationStatus.NOT_REQUIRED)
    notes_folded: str = ""


class Sighting(SQLModel, table=True):
    """What is seen at a location because of a visit alone: neither its enquiry nor its contact's stands at this location.

    Without it, to find out that a caller may not see a record would take all the visits that name it. The database keeps it by
    triggers.
    """

    __tablename__ = "sightings"
    __table_args__ = (sa.Index("sightings_at_location", "location", "record"),)

    record: str = _id(primary_key=True)
    location: str = _id(primary_key=True)
    home_visit: str = _reference("home_visits", primary_key=True, index=True)


UNNUMBERED = sa.text("sequence IS NULL")
# What an import itself finds the last number by, and others what has none: these stay while it runs.
NUMBERING_INDEXES = frozenset({"home_visit_events_by_sequence", "home_visit_events_unnumbered"})


class HomeVisitEvent(SQLModel, table=True):
    """A change of a visit, kept for good. `changes` lists [field, before, after].

    `number` is the order of insertion. `sequence` has no gaps; it is null until the event is numbered, which on SQLite is when it
    is inserted. What is numbered has an ID.
    """

    __tablename__ = "home_visit_events"
    __table_args__ = (
        sa.Index("home_visit_events_by_id", "id", unique=True),
        sa.Index("home_visit_events_by_sequence", "sequence", unique=True),
        sa.Index("home_visit_events_unnumbered", "number", sqlite_where=UNNUMBERED, postgresql_where=UNNUMBERED),
        sa.Index("home_visit_events_of_visit", "home_visit", "sequence"),
        # Each has all that a list of events is filtered by besides: what does not match is passed in the index alone.
        sa.Index("home_visit_events_at_location", "location", "sequence", "type", "actor", "at"),
        sa.Index("home_visit_events_of_actor", "actor", "sequence", "type", "at"),
        sa.Index("home_visit_events_of_type", "type", "sequence", "at"),
        sa.Index("home_visit_events_by_time", "at", "sequence"),
    )

    number: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    id: str | None = _id(default=None)
    sequence: int | None = Field(default=None, sa_type=BIG)
    at: datetime = _instant()
    actor: str
    type: HomeVisitEventType = _enum(HomeVisitEventType)
    home_visit: str = _reference("home_visits")
    care_enquiry: str = _id()
    location: str = _id()
    version: int
    changes: list[list[str | None]] = Field(default_factory=list, sa_type=sa.JSON)


class IdempotencyKey(SQLModel, table=True):
    """A key that makes a booking safe to repeat. `fingerprint` is the SHA-256 of the input that it was first used with."""

    __tablename__ = "idempotency_keys"

    subject: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str
    home_visit: str = _reference("home_visits")
    created: datetime = _instant(index=True)


class UnpurgedWipe(SQLModel, table=True):
    """There is one of each transaction that wiped personal data, until the files of the database were purged after it."""

    __tablename__ = "unpurged_wipes"

    id: str = _id(primary_key=True)


class NotesRefolding(SQLModel, table=True):
    """There is one while notes are left that an older version folded. Those of visits up to this number were folded anew."""

    __tablename__ = "notes_refolding"

    id: int = Field(default=1, primary_key=True)
    number: int = 0
