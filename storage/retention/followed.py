"""Databases that follow a CareHQ account: personal data are wiped there, and here by what follows."""

import asyncio
import logging
import random
from pathlib import Path

from storage.carehq.live.followed import followed
from storage.database import Database
from storage.errors import DatabaseUnusable, NotHere
from storage.outbox.mailroom import FOLDER
from storage.retention.marks import unpurged
from storage.retention.purging import purge

PURGE_SECONDS = 600.0

log = logging.getLogger(__name__)


async def require_not_followed(database: Database) -> None:
    """Raise NotHere for a database that follows an account, also where no account is set up just now."""
    if account_id := await followed(database):
        raise NotHere(
            f"This database follows the CareHQ account {account_id}. Nothing was wiped: anonymize in CareHQ, and it is wiped "
            "here as soon as that is read."
        )


async def purge_regularly(database: Database, *, interval_seconds: float = PURGE_SECONDS, mail: Path = FOLDER) -> None:
    """Purge files of what was wiped in the account, and so here, once an interval, until cancelled: nothing else does so."""
    while True:
        await asyncio.sleep(interval_seconds * random.uniform(0.75, 1))  # noqa: S311 - jitter is no secret
        await purge_wiped(database, mail)


async def purge_wiped(database: Database, mail: Path = FOLDER) -> None:
    """Purge files once, if there is anything to purge; log what remains."""
    try:
        if await unpurged(database):
            purged = await purge(database, mail)
            for sentence in purged.remains.sentences():
                log.warning("%s", sentence)
    except DatabaseUnusable as unusable:
        log.warning("Files were not purged of what was wiped, which is done later: %s", unusable)
