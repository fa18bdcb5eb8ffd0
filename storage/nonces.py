"""Nonces of signed requests: each is kept in the transaction of the write that it signs, so that no process repeats it."""

from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, delete

from storage.errors import NonceUsed
from storage.instants import Instant
from storage.queries.inserts import Insert

# Twice as long as a request's time may be from ours: afterwards it is too old in any case.
NONCE_LIFETIME = timedelta(seconds=600)


class UsedNonce(SQLModel, table=True):
    """What a write was signed with, whether it was done or refused."""

    __tablename__ = "used_nonces"

    key: str = Field(primary_key=True)
    nonce: str = Field(primary_key=True)
    used: datetime = Field(sa_type=Instant, index=True)


class Nonce(NamedTuple):
    """A value that a key may sign one request with."""

    key: str
    value: str


INSERT_NONCE = Insert(UsedNonce)


def use_nonce(session: Session, nonce: Nonce, now: datetime) -> None:
    """Keep a nonce with what the transaction writes; raise NonceUsed for one that was used."""
    try:
        INSERT_NONCE(session, {"key": nonce.key, "nonce": nonce.value, "used": now})
    except sa.exc.IntegrityError:
        raise NonceUsed from None


def delete_old_nonces(session: Session, now: datetime) -> int:
    """Delete those that are too old to be sent again; return how many there were."""
    return session.exec(delete(UsedNonce).where(col(UsedNonce.used) < now - NONCE_LIFETIME)).rowcount
