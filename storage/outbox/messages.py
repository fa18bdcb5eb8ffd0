"""The outbox: which emails are due, kept with the booking or the move that they confirm, or not at all."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, update

from storage.identifiers import new_identifier
from storage.instants import Instant
from storage.models import CareEnquiry, ConfirmationStatus, HomeVisit
from storage.outbox.addresses import usable_address
from storage.queries.inserts import Insert

GIVE_UP_AFTER = timedelta(hours=48)

WAITING = sa.text("status = 'QUEUED'")
OPEN = sa.text("status IN ('QUEUED', 'FAILED')")


class OutboxMessage(SQLModel, table=True):
    """An email to a care seeker. It holds no personal data: the letter is made from the records when it is sent.

    One message of a visit at most is open, waiting or given up; `sequence` orders those of one visit.
    `previous` is the time that the visit was moved from. A message is leased to the courier that is sending it.
    `reasons` has a line for each of the last tries that failed.
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


INSERT = Insert(OutboxMessage)


def give_up_at(date_time: datetime, now: datetime) -> datetime:
    """Say how long a message may be tried: until its visit takes place, unless that was past when it became due."""
    return min(date_time, now + GIVE_UP_AFTER) if date_time > now else now + GIVE_UP_AFTER


def initial_status(enquiry: CareEnquiry, *, suppressed: bool) -> ConfirmationStatus:
    """Decide on the email for a visit that is booked or moved."""
    if suppressed:
        return ConfirmationStatus.SUPPRESSED
    return ConfirmationStatus.QUEUED if usable_address(enquiry.email) else ConfirmationStatus.NOT_POSSIBLE


def enqueue(session: Session, visit: HomeVisit, *, previous: datetime | None, now: datetime) -> None:
    """Keep that an email is due for a visit as it was just booked, or moved from the time `previous`."""
    message = {
        "id": new_identifier(now),
        "home_visit": visit.id,
        # A calendar follows only numbers that grow, gaps or not; moves that were not confirmed count as well.
        "sequence": visit.version - 1,
        "status": ConfirmationStatus.QUEUED,
        "date_time": visit.date_time,
        "previous": previous,
        "created": now,
        "due": now,
        "give_up": give_up_at(visit.date_time, now),
        "attempts": 0,
        "reasons": "",
    }
    INSERT(session, message)


def confirm_move(
    session: Session, visit: HomeVisit, enquiry: CareEnquiry, *, previous: datetime, suppressed: bool, now: datetime
) -> None:
    """Replace what waits for a visit that was just moved from the time `previous`."""
    visit.confirmation = initial_status(enquiry, suppressed=suppressed)
    _withdraw_open(session, visit, now)
    if visit.confirmation is ConfirmationStatus.QUEUED:
        enqueue(session, visit, previous=previous, now=now)


def withdraw(session: Session, visit: HomeVisit, now: datetime) -> None:
    """Withdraw what still waits for a visit that was just cancelled, completed or anonymized."""
    if visit.confirmation is ConfirmationStatus.QUEUED:
        visit.confirmation = ConfirmationStatus.WITHDRAWN
        _withdraw_open(session, visit, now)
    if visit.anonymized is not None:
        # A mail server may have named the care seeker in its answers.
        forgotten = update(OutboxMessage).where(col(OutboxMessage.home_visit) == visit.id).values(reasons="")
        session.exec(forgotten.execution_options(synchronize_session=False))


def _withdraw_open(session: Session, visit: HomeVisit, now: datetime) -> None:
    # The lease of one that is on its way is kept: what follows it has to wait for it.
    withdrawn = (
        update(OutboxMessage)
        .where(col(OutboxMessage.home_visit) == visit.id, OPEN)
        .values(status=ConfirmationStatus.WITHDRAWN, ended=now)
    )
    session.exec(withdrawn.execution_options(synchronize_session=False))
