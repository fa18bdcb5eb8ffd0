"""The outbox: which emails are due, kept with the booking or the move that they confirm, or not at all."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, update

from storage.identifiers import new_identifier
from storage.instants import Instant
from storage.models import CareEnquiry, ConfirmationStatus, HomeVisit, table_of
from storage.outbox.addresses import usable_address
from storage.queries.dialect import Dialect, dialect_of
from storage.queries.inserts import Insert
from storage.queries.statements import Statement, compiled, execute_in_session

GIVE_UP_AFTER = timedelta(hours=48)
# In 31 bits there is room for 68 years of seconds; where they end, letters are counted one by one.
FIRST_SECOND = datetime(2024, 1, 1, tzinfo=UTC)
LAST_SECOND = 2**31 - 2**16

WAITING = sa.text("status = 'QUEUED'")
OPEN = sa.text("status IN ('QUEUED', 'FAILED')")


class CalendarMethod(StrEnum):
    """What a letter does to a calendar, in iCalendar's own words: put a visit in or move it, or take it out."""

    REQUEST = "REQUEST"
    CANCEL = "CANCEL"


class OutboxMessage(SQLModel, table=True):
    """An email to a care seeker. It holds no personal data: the letter is made from the records when it is sent.

    One message of a visit at most is open, waiting or given up; `sequence` orders those of one visit, and calendars follow it.
    `date_time` is the time that the letter tells, `previous` the one that the care seeker was sent before, as it was when a
    courier claimed the message. It is leased to the courier that is sending it. `reasons` has a line for each of the last tries
    that failed.
    """

    __tablename__ = "outbox_messages"
    __table_args__ = (
        sa.UniqueConstraint("home_visit", "sequence"),
        sa.Index("outbox_messages_open_of_visit", "home_visit", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
        sa.Index("outbox_messages_waiting", "due", sqlite_where=WAITING, postgresql_where=WAITING),
    )

    id: str = Field(max_length=24, primary_key=True)
    home_visit: str = Field(max_length=24, foreign_key="home_visits.id")
    sequence: int
    status: ConfirmationStatus = Field(sa_type=sa.Enum(ConfirmationStatus, native_enum=False, length=32))
    date_time: datetime = Field(sa_type=Instant)
    previous: datetime | None = Field(default=None, sa_type=Instant)
    created: datetime = Field(sa_type=Instant)
    due: datetime = Field(sa_type=Instant)
    give_up: datetime = Field(sa_type=Instant)
    ended: datetime | None = Field(default=None, sa_type=Instant)
    attempts: int = 0
    leased_until: datetime | None = Field(default=None, sa_type=Instant)
    reasons: str = ""
    method: CalendarMethod = Field(
        default=CalendarMethod.REQUEST,
        sa_type=sa.Enum(CalendarMethod, native_enum=False, length=32),
        sa_column_kwargs={"server_default": CalendarMethod.REQUEST},
    )


INSERT = Insert(OutboxMessage)
MESSAGES = table_of(OutboxMessage)


def give_up_at(date_time: datetime, now: datetime) -> datetime:
    """Say how long a message may be tried: until its visit takes place, for two days at most."""
    return min(date_time, now + GIVE_UP_AFTER)


def next_sequence(last: int, now: datetime) -> int:
    """Return a number for a visit's letter after `last`, that grows with the time: a restored backup has forgotten later ones."""
    seconds = int((now - FIRST_SECOND).total_seconds())
    return max(last + 1, min(seconds, LAST_SECOND))


def initial_status(visit: HomeVisit, enquiry: CareEnquiry, *, suppressed: bool, now: datetime) -> ConfirmationStatus:
    """Decide on the email for a visit that is booked or moved."""
    if suppressed:
        return ConfirmationStatus.SUPPRESSED
    if visit.date_time <= now:
        return ConfirmationStatus.NOT_REQUIRED
    return ConfirmationStatus.QUEUED if usable_address(enquiry.email) else ConfirmationStatus.NOT_POSSIBLE


def confirm_booking(session: Session, visit: HomeVisit, now: datetime) -> None:
    """Keep that an email is due for a visit as it was just booked, where its confirmation says so."""
    if visit.confirmation is ConfirmationStatus.QUEUED:
        _enqueue(session, visit, CalendarMethod.REQUEST, next_sequence(-1, now), now)


def confirm_move(session: Session, visit: HomeVisit, enquiry: CareEnquiry, *, suppressed: bool, now: datetime) -> None:
    """Replace what waits for a visit that was just moved."""
    visit.confirmation = initial_status(visit, enquiry, suppressed=suppressed, now=now)
    _withdraw_open(session, visit, now)
    if visit.confirmation is ConfirmationStatus.QUEUED:
        _enqueue(session, visit, CalendarMethod.REQUEST, _next_sequence_of(session, visit, now), now)


def confirm_cancellation(session: Session, visit: HomeVisit, enquiry: CareEnquiry, now: datetime) -> None:
    """Keep that an email is due which takes a visit that was just cancelled out of the care seeker's calendar.

    It is not where the visit's time has passed, and where no invitation was sent, nor is on its way.
    """
    if visit.date_time <= now or not _may_be_in_calendar(session, visit, now):
        return
    if usable_address(enquiry.email) is None:
        visit.confirmation = ConfirmationStatus.NOT_POSSIBLE
        return
    visit.confirmation = ConfirmationStatus.QUEUED
    _withdraw_open(session, visit, now)
    _enqueue(session, visit, CalendarMethod.CANCEL, _next_sequence_of(session, visit, now), now)


def withdraw(session: Session, visit: HomeVisit, now: datetime) -> None:
    """Withdraw what still waits for a visit that was just cancelled, completed, anonymized, or moved by an import."""
    if visit.confirmation is ConfirmationStatus.QUEUED and _withdraw_open(session, visit, now):
        visit.confirmation = ConfirmationStatus.WITHDRAWN
    if visit.anonymized is not None:
        # A mail server may have named the care seeker in its answers.
        without_reasons = update(OutboxMessage).where(col(OutboxMessage.home_visit) == visit.id).values(reasons="")
        session.exec(without_reasons.execution_options(synchronize_session=False))


def time_in_calendar(session: Session, home_visit: str) -> datetime | None:
    """Return the time that the care seeker was last sent; None where none was, or where they were sent that it is cancelled."""
    sent = (
        sa.select(MESSAGES.c.method, MESSAGES.c.date_time)
        .where(MESSAGES.c.home_visit == home_visit, MESSAGES.c.status == ConfirmationStatus.SENT)
        .order_by(MESSAGES.c.sequence.desc())
        .limit(1)
    )
    row = session.connection().execute(sent).first()
    return row.date_time if row and row.method is CalendarMethod.REQUEST else None


def _may_be_in_calendar(session: Session, visit: HomeVisit, now: datetime) -> bool:
    if time_in_calendar(session, visit.id) is not None:
        return True
    # Whether a letter on its way arrives is known by the time a courier claims the next one.
    on_its_way = sa.exists().where(MESSAGES.c.home_visit == visit.id, MESSAGES.c.leased_until > now)
    return bool(session.connection().scalar(sa.select(on_its_way)))


def _next_sequence_of(session: Session, visit: HomeVisit, now: datetime) -> int:
    (row,) = execute_in_session(session, _last_sequence(dialect_of(session)), {"home_visit": visit.id})
    return next_sequence(-1 if row[0] is None else row[0], now)


@lru_cache
def _last_sequence(dialect: Dialect) -> Statement:
    is_of_visit = MESSAGES.c.home_visit == sa.bindparam("home_visit", type_=sa.String())
    return compiled(dialect, sa.select(sa.func.max(MESSAGES.c.sequence)).where(is_of_visit))


def _enqueue(session: Session, visit: HomeVisit, method: CalendarMethod, sequence: int, now: datetime) -> None:
    message = {
        "id": new_identifier(now),
        "home_visit": visit.id,
        "sequence": sequence,
        "status": ConfirmationStatus.QUEUED,
        "date_time": visit.date_time,
        "created": now,
        "due": now,
        "give_up": give_up_at(visit.date_time, now),
        "attempts": 0,
        "reasons": "",
        "method": method,
    }
    INSERT(session, message)


def _withdraw_open(session: Session, visit: HomeVisit, now: datetime) -> bool:
    """Withdraw what is open and not true any more; return whether there was anything."""
    is_open = sa.and_(MESSAGES.c.home_visit == visit.id, OPEN)
    if visit.cancelled is not None and visit.anonymized is None:
        is_open = sa.and_(is_open, MESSAGES.c.method == CalendarMethod.REQUEST)
    # The lease of one that is on its way is kept: what follows it has to wait for it.
    withdrawn = sa.update(MESSAGES).where(is_open).values(status=ConfirmationStatus.WITHDRAWN, ended=now)
    return bool(session.connection().execute(withdrawn).rowcount)
