"""What staff see of the outbox, and what they can do about it."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col, select

from storage.database import Database
from storage.identifiers import identifiers
from storage.instants import instant
from storage.models import ConfirmationStatus, HomeVisit
from storage.outbox.claims import NO_NOTES
from storage.outbox.messages import MESSAGES, OPEN, WAITING, OutboxMessage, give_up_at
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.records import record_of

OutboxMessageRecord = record_of(OutboxMessage)


class Figures(NamedTuple):
    """How many messages wait and were given up.

    `oldest_seconds` is the age of the message that has waited longest, 0 where none waits.
    """

    waiting: int
    oldest_seconds: float
    given_up: int


# An invitation to a pending visit, or the news that one is cancelled; of a visit that was anonymized nobody is told anything.
IS_OF_USE = sa.text("completed IS NULL AND anonymized IS NULL AND (cancelled IS NOT NULL) = (method = 'CANCEL')")
# A few of very many: said in the words of the indexes that hold only those.
IS_GIVEN_UP = sa.and_(OPEN, sa.text("status = 'FAILED'"), IS_OF_USE)
WITH_VISITS = MESSAGES.join(HomeVisit, col(HomeVisit.id) == MESSAGES.c.home_visit)


async def waiting(database: Database) -> list[OutboxMessage]:
    """Return the messages still to be sent, oldest first."""
    return [OutboxMessageRecord(row) for row in await database.fetch(_waiting(database.dialect), {})]


async def given_up(database: Database) -> list[OutboxMessage]:
    """Return the messages still of use that will not be tried again unless `retry` says so, oldest first."""
    return [OutboxMessageRecord(row) for row in await database.fetch(_given_up(database.dialect), {})]


async def figures(database: Database, now: datetime) -> Figures:
    row: Any = (await database.fetch(_figures(database.dialect), {}))[0]
    waiting, oldest, given_up = row
    return Figures(waiting, max(0.0, (now - instant(oldest)).total_seconds()) if oldest else 0.0, given_up)


async def retry(database: Database, ids: Sequence[str], now: datetime) -> list[str]:
    """Queue these messages again and return the IDs of those that were given up and are still of use."""

    def work(session: Session) -> list[str]:
        query = (
            select(OutboxMessage, HomeVisit)
            .join(HomeVisit, col(HomeVisit.id) == OutboxMessage.home_visit)
            .where(col(OutboxMessage.id).in_(identifiers(ids)), OutboxMessage.status == ConfirmationStatus.FAILED, IS_OF_USE)
            .options(*NO_NOTES)
        )
        again = session.exec(query).all()
        for message, visit in again:
            message.status = visit.confirmation = ConfirmationStatus.QUEUED
            message.due = now
            message.attempts = 0
            message.give_up = give_up_at(visit.date_time, now)
            message.ended = None
        return [message.id for message, _ in again]

    return await database.write(work)


@lru_cache
def _waiting(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(MESSAGES).where(WAITING).order_by(MESSAGES.c.created, MESSAGES.c.id))


@lru_cache
def _given_up(dialect: Dialect) -> Statement:
    query = sa.select(MESSAGES).select_from(WITH_VISITS).where(IS_GIVEN_UP)
    return compiled(dialect, query.order_by(MESSAGES.c.created, MESSAGES.c.id))


@lru_cache
def _figures(dialect: Dialect) -> Statement:
    waiting = sa.select(sa.func.count()).select_from(MESSAGES).where(WAITING)
    oldest = sa.select(sa.func.min(MESSAGES.c.created)).where(WAITING)
    given_up = sa.select(sa.func.count()).select_from(WITH_VISITS).where(IS_GIVEN_UP)
    return compiled(dialect, sa.select(*(query.scalar_subquery() for query in (waiting, oldest, given_up))))
