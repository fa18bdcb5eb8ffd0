"""Letters of the development mail folder: those of visits that were wiped are removed."""

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from storage.database import Database
from storage.events.appending import VISITS
from storage.identifiers import is_identifier
from storage.outbox.mailroom import FINISHED, UNFINISHED
from storage.outbox.messages import MESSAGES
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

FILES = 500


async def remove_letters(database: Database, folder: Path) -> int:
    """Remove the letters of all visits that were wiped, whenever that was; return how many there were."""
    files = await asyncio.to_thread(_letters_in, folder)
    removed = 0
    for start in range(0, len(files), FILES):
        some = files[start : start + FILES]
        ids = database.dialect.list_value([file.stem for file in some])
        rows: Any = await database.fetch(_wiped(database.dialect), {"ids": ids})
        wiped = {row[0] for row in rows}
        for file in some:
            if file.stem in wiped:
                file.unlink(missing_ok=True)
                removed += file.suffix == FINISHED
    return removed


def _letters_in(folder: Path) -> list[Path]:
    """Return the files whose names are those of messages."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if is_identifier(file.stem) and file.suffix in (FINISHED, UNFINISHED))


@lru_cache
def _wiped(dialect: Dialect) -> Statement:
    messages = MESSAGES.join(VISITS, VISITS.c.id == MESSAGES.c.home_visit)
    is_wiped = sa.and_(dialect.is_member(MESSAGES.c.id, "ids"), VISITS.c.anonymized.is_not(None))
    return compiled(dialect, sa.select(MESSAGES.c.id).select_from(messages).where(is_wiped))
