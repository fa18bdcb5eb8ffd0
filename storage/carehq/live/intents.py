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
# A signature is good for five minutes, and what arrives by then may take its time.
SETTLED_AFTER = timedelta(minutes=6)
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
    """Tell whether what was sent then, and is not to be found in the account, will not be there later either."""
    return not intent.started <= now < intent.started + SETTLED_AFTER


def withdraw(session: Session, id: str) -> None:
    """Delete an intent: what came of it is known."""
    session.exec(delete(Intent).where(col(Intent.id) == id))


def delete_old(session: Session, now: datetime) -> int:
    """Delete those that nobody asks for any more; return how many there were."""
    return session.exec(delete(Intent).where(col(Intent.started) < now - KEPT_FOR)).rowcount


def are_concerned(session: Session, documents: Iterable[Any], now: datetime) -> bool:
    """Tell whether some of these visits may be what comes of a change that is under way."""
    recent = select(Intent.home_visit, Intent.care_enquiry).where(
        col(Intent.started) > now - UNDER_WAY, col(Intent.started) <= now
    )
    concerned = {id for ids in session.exec(recent) for id in ids if id is not None}
    return any(document.id in concerned or document.care_enquiry in concerned for document in documents)
