"""Databases that follow a CareHQ account: personal data are wiped there, and here by what follows."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from storage.carehq.live.progress import FollowedAccount
from storage.database import Database
from storage.errors import NotHere
from storage.models import table_of
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

ACCOUNT = table_of(FollowedAccount)


async def require_not_followed(database: Database) -> None:
    """Raise NotHere for a database that follows an account, also where no account is set up just now."""
    rows: Sequence[Any] = await database.fetch(_account(database.dialect), {})
    if rows:
        raise NotHere(
            f"This database follows the CareHQ account {rows[0][0]}. Nothing was wiped: anonymize in CareHQ, and it is wiped "
            "here as soon as that is read."
        )


@lru_cache
def _account(dialect: Dialect) -> Statement:
    return compiled(dialect, sa.select(ACCOUNT.c.account_id))
