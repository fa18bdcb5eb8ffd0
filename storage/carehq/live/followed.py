"""Whether a database follows an account, and how that ends."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, delete

from storage.carehq.live.progress import FollowedAccount, Walk, is_held
from storage.database import Database
from storage.models import table_of
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled


async def followed(database: Database) -> str | None:
    """Return the ID of the account that a database follows, None where it follows none."""
    rows: Sequence[Any] = await database.fetch(_account_id(database.dialect), {})
    return rows[0][0] if rows else None


def end(session: Session, now: datetime) -> bool:
    """Follow no account any more, unless somebody follows it just now; return whether that is so."""
    account = session.get(FollowedAccount, 1, with_for_update=True)
    if account is not None and is_held(account.held_until, now):
        return False
    session.exec(delete(Walk))
    session.exec(delete(FollowedAccount))
    return True


@lru_cache
def _account_id(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(table_of(FollowedAccount).c.account_id))
