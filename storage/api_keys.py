"""Keys of the CareHQ-compatible API: who calls with each, its secret as it was encrypted, and when it was last used."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select, update

from storage.caller import OURSELVES, Caller, Role
from storage.database import Database
from storage.instants import Instant
from storage.models import table_of
from storage.nonces import Nonce, delete_old_nonces, keep_nonces, use_nonce
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.records import record_of


class APIKey(SQLModel, table=True):
    """A key with the caller that it stands for. `secret` is encrypted; a key that was revoked stays, for what it has done."""

    __tablename__ = "api_keys"

    key: str = Field(primary_key=True)
    account_id: str = Field(max_length=24)
    subject: str
    secret: str
    roles: list[str] = Field(sa_type=sa.JSON)
    locations: list[str] | None = Field(default=None, sa_type=sa.JSON(none_as_null=True))
    allows_signature_1: bool = False
    created: datetime = Field(sa_type=Instant)
    last_used: datetime | None = Field(default=None, sa_type=Instant)
    revoked: datetime | None = Field(default=None, sa_type=Instant)


KEYS = table_of(APIKey)
KeyRecord = record_of(APIKey)


def caller_of(key: APIKey) -> Caller:
    """Return whom a key stands for."""
    return Caller(key.subject, frozenset(map(Role, key.roles)), None if key.locations is None else frozenset(key.locations))


class APIKeys:
    """The keys in a database. `clock` tells when one is revoked, and how old nonces are."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def find(self, key: str, subject: str = OURSELVES) -> APIKey | None:
        """Return the key, unless it was revoked; read for the caller who has this subject."""
        rows: Sequence[Any] = await self._database.fetch(_one(self._database.dialect), {"key": key}, subject)
        found = KeyRecord(rows[0]) if rows else None
        return found if found is not None and found.revoked is None else None

    async def list(self) -> "list[APIKey]":
        """Return all keys, the oldest first, those that were revoked too."""
        rows: Sequence[Any] = await self._database.fetch(_all(self._database.dialect), {})
        return list(map(KeyRecord, rows))

    async def add(self, key: APIKey) -> None:
        def work(session: Session) -> None:
            session.add(key)

        await self._database.write(work)

    async def add_to_account(self, key: APIKey) -> str:
        """Keep a key as one of the oldest key's account, of its own where it is the first; return the account ID."""

        def work(session: Session) -> str:
            oldest = select(APIKey.account_id).order_by(col(APIKey.created), col(APIKey.key)).limit(1)
            added = APIKey(**key.model_dump())
            added.account_id = account_id = session.exec(oldest).first() or key.account_id
            session.add(added)
            return account_id

        return await self._database.write(work)

    async def revoke(self, key: str) -> bool:
        """End a key, and return whether there was one to be ended."""
        of_key = update(APIKey).where(col(APIKey.key) == key, col(APIKey.revoked).is_(None)).values(revoked=self._clock())
        return await self._database.write(lambda session: bool(session.exec(of_key).rowcount))

    async def note_use(self, used: Mapping[str, datetime], refused: Collection[Nonce] = ()) -> None:
        """Keep when keys were last used, unless a later time is kept, and nonces of changes that were refused.

        Nonces that are too old to be used again are deleted.
        """
        now = self._clock()

        def work(session: Session) -> None:
            _note_used(session, used)
            keep_nonces(session, refused, now)
            delete_old_nonces(session, now)

        await self._database.write(work)

    async def keep_nonce(self, nonce: Nonce) -> None:
        """Keep the nonce of a request that was refused, and so has written nothing; raise NonceUsed."""
        await self._database.write(lambda session: use_nonce(session, nonce, self._clock()))


def _note_used(session: Session, used: Mapping[str, datetime]) -> None:
    # In one order, so that no two processes wait for each other.
    for key, instant in sorted(used.items()):
        is_earlier = sa.or_(col(APIKey.last_used).is_(None), col(APIKey.last_used) < instant)
        session.exec(update(APIKey).where(col(APIKey.key) == key, is_earlier).values(last_used=instant))


@cache
def _one(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(*KEYS.c).where(KEYS.c.key == sa.bindparam("key", type_=sa.String())))


@cache
def _all(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(*KEYS.c).order_by(KEYS.c.created, KEYS.c.key))
