"""Nonces of signed requests: each is kept in the transaction of the write that it signs, so that no process repeats it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, delete

from storage.errors import NonceUsed
from storage.instants import Instant
from storage.queries.inserts import Insert

# How far the time of a request may be from ours.
SKEW = timedelta(seconds=300)
# A request from that far ahead is taken until it is as old; the rest is for hosts of which the clocks differ.
NONCE_LIFETIME = 2 * SKEW + timedelta(seconds=300)


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
_KEEP = sa.text("INSERT INTO used_nonces (key, nonce, used) VALUES (:key, :nonce, :used) ON CONFLICT DO NOTHING").bindparams(
    sa.bindparam("used", type_=Instant())
)


def use_nonce(session: Session, nonce: Nonce, now: datetime) -> None:
    """Keep a nonce with what the transaction writes; raise NonceUsed for one that was used."""
    try:
        INSERT_NONCE(session, {"key": nonce.key, "nonce": nonce.value, "used": now})
    except sa.exc.IntegrityError:
        raise NonceUsed from None


def keep_nonces(session: Session, nonces: Iterable[Nonce], now: datetime) -> None:
    """Keep nonces of changes that were refused, some of which may be kept already."""
    # In one order, so that no two processes wait for each other.
    rows = [{"key": nonce.key, "nonce": nonce.value, "used": now} for nonce in sorted(set(nonces))]
    if rows:
        session.connection().execute(_KEEP, rows)


def delete_old_nonces(session: Session, now: datetime) -> int:
    """Delete those that are too old to be sent again; return how many there were."""
    return session.exec(delete(UsedNonce).where(col(UsedNonce.used) < now - NONCE_LIFETIME)).rowcount
