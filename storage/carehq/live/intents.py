"""Intents: what is about to be asked of the account, committed before it is. They hold no personal data.

While one is under way the follower does not store what came of it, so that its event tells who did what. A booking of which
nobody knows whether the account has taken it is not sent again before the account would refuse what was sent then.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, delete, select

from storage.instants import Instant

# As long as a change may be under way: its requests, and storing what came of it.
UNDER_WAY = timedelta(seconds=45)
# A signature is good for five minutes by the account's clock, which may be five behind; what arrives by then may take its time.
SETTLED_AFTER = timedelta(minutes=11)
# As long as idempotency keys hold.
KEPT_FOR = timedelta(hours=24)


class Intent(SQLModel, table=True):
    """A change by `subject`. `key` and `fingerprint` are those of a booking that is safe to repeat.

    `home_visit` is the one to be changed, `care_enquiry` whom one is booked for.
    """

    __tablename__ = "carehq_intents"
    __table_args__ = (sa.Index("carehq_intents_of_key", "subject", "key", unique=True),)

    id: str = Field(primary_key=True)
    subject: str
    key: str | None = None
    fingerprint: str | None = None
    care_enquiry: str | None = None
    home_visit: str | None = None
    started: datetime = Field(sa_type=Instant, index=True)


def of_key(session: Session, subject: str, key: str) -> Intent | None:
    query = select(Intent).where(Intent.subject == subject, Intent.key == key).with_for_update()
    return session.exec(query).one_or_none()


def is_settled(intent: Intent, now: datetime) -> bool:
    """Tell whether what was sent then, and is not to be found in the account, will not be there later either.

    A clock that shows an earlier time, another host's or one that was set back, says nothing about that.
    """
    return now >= intent.started + SETTLED_AFTER


def is_under_way(intent: Intent, now: datetime) -> bool:
    return abs(now - intent.started) < UNDER_WAY


def withdraw(session: Session, id: str) -> None:
    """Delete an intent: what came of it is known."""
    session.exec(delete(Intent).where(col(Intent.id) == id))


def delete_old(session: Session, now: datetime) -> int:
    """Delete those that nobody asks for any more, or that a clock far ahead has dated; return how many there were."""
    is_old = sa.or_(col(Intent.started) < now - KEPT_FOR, col(Intent.started) > now + KEPT_FOR)
    return session.exec(delete(Intent).where(is_old)).rowcount


def others_under_way(session: Session, intent: Intent, now: datetime) -> bool:
    """Tell whether somebody else changes the same visit just now, or books for the same care enquiry."""
    recent = select(Intent.home_visit, Intent.care_enquiry).where(_is_recent(now), Intent.id != intent.id)
    place = intent.home_visit, intent.care_enquiry
    return any(tuple(other) == place for other in session.exec(recent))


def are_concerned(session: Session, documents: Iterable[Any], now: datetime, *, apart_from: str = "") -> bool:
    """Tell whether some of these visits may be what comes of a change that is under way, other than the one named."""
    recent = select(Intent.home_visit, Intent.care_enquiry).where(_is_recent(now), Intent.id != apart_from)
    concerned = {id for ids in session.exec(recent) for id in ids if id is not None}
    return any(document.id in concerned or document.care_enquiry in concerned for document in documents)


def _is_recent(now: datetime) -> sa.ColumnElement[bool]:
    # The clocks of hosts differ.
    return sa.and_(col(Intent.started) > now - UNDER_WAY, col(Intent.started) < now + UNDER_WAY)
