"""How a message is sent at most once while a lease holds: claimed by one courier, then marked with what became of it."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import aliased, defer
from sqlmodel import Session, col, select

from storage.instants import Instant, rfc3339
from storage.models import CareEnquiry, ConfirmationStatus, HomeVisit, HomeVisitStatus, Location
from storage.outbox.addresses import usable_address
from storage.outbox.messages import CalendarMethod, OutboxMessage, give_up_at, next_sequence, time_in_calendar
from storage.outbox.wording import read_alike
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

LEASE = timedelta(seconds=60)
FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(hours=1)
# How far the clocks of those who send may be apart. What is due or leased until later than it could be by any of them, was
# written while a clock was wrong.
CLOCK_SKEW = timedelta(minutes=5)
LATEST_DUE = LONGEST_DELAY * 5 / 4 + CLOCK_SKEW
MAX_REASONS = 10
# Anything else was decided about a visit after its last message.
UNSENT = frozenset({ConfirmationStatus.QUEUED, ConfirmationStatus.WITHDRAWN, ConfirmationStatus.FAILED})

# A letter never quotes the notes: they are not even read.
NO_NOTES = [defer(getattr(HomeVisit, name), raiseload=True) for name in ("notes", "notes_folded")]


class Claimed(NamedTuple):
    """A message, and the records that its letter is made from. Nobody else sends it until `message.leased_until`."""

    message: OutboxMessage
    visit: HomeVisit
    enquiry: CareEnquiry
    location: Location


class _Terminal(NamedTuple):
    status: ConfirmationStatus
    reason: str = ""


class Moments(NamedTuple):
    """What decides whether a message is due: `now`, what was due by `due_by`, and how late one can be due or be leased until."""

    now: datetime
    due_by: datetime
    latest_due: datetime
    latest_lease: datetime

    @classmethod
    def at(cls, now: datetime, due_by: datetime, lease: timedelta) -> "Moments":
        return cls(now, due_by, now + LATEST_DUE, now + lease + CLOCK_SKEW)


def _is_due() -> sa.ColumnElement[bool]:
    now, due_by, latest_due, latest_lease = (sa.bindparam(name, type_=Instant()) for name in Moments._fields)
    other = aliased(OutboxMessage)
    is_being_sent = sa.exists().where(
        col(other.home_visit) == OutboxMessage.home_visit,
        col(other.id) != OutboxMessage.id,
        col(other.leased_until) > now,
        col(other.leased_until) <= latest_lease,
    )
    return sa.and_(
        # Spelt out, not a parameter: the index on what waits serves only conditions that say so.
        col(OutboxMessage.status) == sa.literal_column("'QUEUED'"),
        sa.or_(col(OutboxMessage.due) <= due_by, col(OutboxMessage.due) > latest_due, col(OutboxMessage.created) > latest_lease),
        sa.or_(
            col(OutboxMessage.leased_until).is_(None),
            col(OutboxMessage.leased_until) <= now,
            col(OutboxMessage.leased_until) > latest_lease,
        ),
        ~is_being_sent,
    )


@lru_cache
def any_due(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(sa.exists().where(_is_due())))


NEXT_DUE = (
    select(OutboxMessage, HomeVisit, CareEnquiry, Location)
    .join(HomeVisit, col(HomeVisit.id) == OutboxMessage.home_visit)
    .join(CareEnquiry, col(CareEnquiry.id) == HomeVisit.care_enquiry)
    .join(Location, col(Location.id) == HomeVisit.location)
    .options(*NO_NOTES)
    .where(_is_due())
    .order_by(col(OutboxMessage.due), col(OutboxMessage.id))
    .limit(1)
    # Two couriers take two messages, and neither waits for the other.
    .with_for_update(skip_locked=True, of=OutboxMessage)
)


def claim(session: Session, now: datetime, *, due_by: datetime, lease: timedelta = LEASE) -> Claimed | None:
    """Take the message that has been due for longest, or close it where it must not be sent: then its status says so."""
    row = session.exec(NEXT_DUE, params=Moments.at(now, due_by, lease)._asdict()).first()
    if row is None:
        return None
    claimed = Claimed(*row)
    message, visit = claimed.message, claimed.visit
    _bring_to_the_present(message, now)
    in_calendar = time_in_calendar(session, visit.id)
    if terminal := _terminal_status(claimed, in_calendar, now):
        _close(message, terminal.status, now, terminal.reason)
        visit.confirmation = terminal.status
        return claimed
    _decide_what_it_tells(message, in_calendar, now)
    message.attempts += 1
    message.leased_until = now + lease
    return claimed


def _bring_to_the_present(message: OutboxMessage, now: datetime) -> None:
    """Take a message that was queued while a clock was ahead for one that is queued now: its letter has that date."""
    if message.created > now + CLOCK_SKEW:
        message.created = now
        message.give_up = give_up_at(message.date_time, now)


def _terminal_status(claimed: Claimed, in_calendar: datetime | None, now: datetime) -> _Terminal | None:
    message, visit, enquiry, _ = claimed
    if not _is_true(message, visit) or enquiry.anonymized is not None:
        return _Terminal(ConfirmationStatus.WITHDRAWN)
    if not _is_news(message, in_calendar):
        return _Terminal(ConfirmationStatus.NOT_REQUIRED)
    if message.give_up <= now:
        return _Terminal(ConfirmationStatus.FAILED, "There was no time left to send it.")
    if usable_address(enquiry.email) is None:
        return _Terminal(ConfirmationStatus.FAILED, "The care seeker has no usable email address any more.")
    return None


def _is_true(message: OutboxMessage, visit: HomeVisit) -> bool:
    if message.method is CalendarMethod.CANCEL:
        return visit.status is HomeVisitStatus.CANCELLED
    return visit.status is HomeVisitStatus.PENDING and visit.date_time == message.date_time


def _is_news(message: OutboxMessage, in_calendar: datetime | None) -> bool:
    if message.method is CalendarMethod.CANCEL:
        return in_calendar is not None
    return in_calendar is None or not read_alike(in_calendar, message.date_time)


def _decide_what_it_tells(message: OutboxMessage, in_calendar: datetime | None, now: datetime) -> None:
    if message.method is CalendarMethod.REQUEST:
        message.previous = in_calendar
    elif in_calendar is not None:
        message.date_time = in_calendar
    # A backup that is restored may hold it although it was sent since, and others after it. Copies have one number.
    if not message.attempts and not message.reasons:
        message.sequence = next_sequence(message.sequence - 1, now)


def next_attempt(attempts: int, now: datetime, jitter: float) -> datetime:
    """Say when to try again after so many attempts; `jitter`, from 0 to 1, spreads those that failed together."""
    # Doubling without end would overflow.
    delay = min(FIRST_DELAY * (1 << min(attempts - 1, 10)), LONGEST_DELAY)
    return now + delay * (1 + jitter / 4)


def mark_sent(session: Session, claimed: Claimed, now: datetime) -> None:
    """Record that the mail server took it, even where it was withdrawn meanwhile, or the lease was lost."""
    message, visit, newest = _reload(session, claimed)
    if message.leased_until == claimed.message.leased_until:
        message.leased_until = None
    if message.status is ConfirmationStatus.SENT:
        return
    _close(message, ConfirmationStatus.SENT, now)
    if newest and visit.confirmation in UNSENT:
        visit.confirmation = ConfirmationStatus.SENT
    if not newest and visit.confirmation is ConfirmationStatus.NOT_REQUIRED:
        _decide_again(session, visit, now)


def _decide_again(session: Session, visit: HomeVisit, now: datetime) -> None:
    """Queue the last message again where it was not required beside one that was sent by a courier whose lease was lost."""
    last = select(OutboxMessage).where(OutboxMessage.home_visit == visit.id).order_by(col(OutboxMessage.sequence).desc())
    message = session.exec(last).first()
    if message and message.status is ConfirmationStatus.NOT_REQUIRED:
        message.status = visit.confirmation = ConfirmationStatus.QUEUED
        message.due, message.ended = now, None


def mark_unsent(session: Session, claimed: Claimed, reason: str, now: datetime, retry_at: datetime | None) -> bool:
    """Record why it was not sent, and when to try again (None: never); return whether it is given up."""
    message, visit, _ = _reload(session, claimed)
    if message.leased_until != claimed.message.leased_until:
        return False
    message.leased_until = None
    if message.status is not ConfirmationStatus.QUEUED:
        return False
    if retry_at is not None and retry_at < message.give_up:
        message.due = retry_at
        _append_reason(message, now, reason)
        return False
    _close(message, ConfirmationStatus.FAILED, now, reason)
    visit.confirmation = ConfirmationStatus.FAILED
    return True


def _reload(session: Session, claimed: Claimed) -> tuple[OutboxMessage, HomeVisit, bool]:
    later = aliased(OutboxMessage)
    followed = sa.exists().where(col(later.home_visit) == OutboxMessage.home_visit, col(later.sequence) > OutboxMessage.sequence)
    query = (
        select(OutboxMessage, HomeVisit, ~followed)
        .join(HomeVisit, col(HomeVisit.id) == OutboxMessage.home_visit)
        .where(OutboxMessage.id == claimed.message.id)
        .options(*NO_NOTES)
    )
    row: Any = session.exec(query).one()
    return row[0], row[1], row[2]


def _close(message: OutboxMessage, status: ConfirmationStatus, now: datetime, reason: str = "") -> None:
    message.status = status
    message.ended = now
    if reason:
        _append_reason(message, now, reason)


def _append_reason(message: OutboxMessage, now: datetime, reason: str) -> None:
    lines = [*message.reasons.splitlines(), f"{rfc3339(now)} {reason}"]
    message.reasons = "\n".join(lines[-MAX_REASONS:])
