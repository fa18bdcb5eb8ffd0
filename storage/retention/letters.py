"""Letters of the development mail folder: those of visits that were wiped are removed."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.database import Database, Remains
from storage.events.appending import VISITS
from storage.identifiers import is_identifier
from storage.outbox.mailroom import FINISHED, UNFINISHED
from storage.outbox.messages import MESSAGES
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

FILES = 500


class RemovedLetters(NamedTuple):
    """How many letters were removed, and those that could not be, or of which nobody knows whom they are to."""

    letters: int = 0
    remains: Remains = Remains()


def absolute(folder: Path) -> Path:
    """Return the whole path, which says below which folder the program runs."""
    return folder.absolute()


async def remove_letters(database: Database, folder: Path) -> RemovedLetters:
    """Remove the letters of all visits that were wiped, whenever that was."""
    folder = absolute(folder)
    try:
        files = await asyncio.to_thread(_letters_in, folder)
    except OSError as error:
        return RemovedLetters(0, Remains((_obstacle(folder, error),)))
    count, obstacles, unknown = 0, list[str](), list[Path]()
    for start in range(0, len(files), FILES):
        some = files[start : start + FILES]
        ids = database.dialect.list_value([file.stem for file in some])
        rows: Any = await database.fetch(_visits_of(database.dialect), {"ids": ids})
        wiped = {row[0]: row[1] is not None for row in rows}
        unknown += [file for file in some if file.stem not in wiped]
        removed, failures = _removed([file for file in some if wiped.get(file.stem)])
        count, obstacles = count + removed, obstacles + failures
    return RemovedLetters(count, Remains(tuple(obstacles[:1]), _unknown_letters(folder, unknown)))


def _removed(files: Sequence[Path]) -> tuple[int, list[str]]:
    """Remove files; return how many were letters, and why others could not be removed."""
    letters, obstacles = 0, []
    for file in files:
        try:
            file.unlink(missing_ok=True)
            letters += file.suffix == FINISHED
        except OSError as error:
            obstacles.append(_obstacle(file, error))
    return letters, obstacles


def _obstacle(file: Path, error: OSError) -> str:
    return (
        f"{file} may hold what was wiped, and cannot be removed: {error.strerror}. Give this user permission, and run it again."
    )


def _unknown_letters(folder: Path, files: Sequence[Path]) -> tuple[str, ...]:
    if not files:
        return ()
    return (f"{folder} holds {len(files):,} letters of no visit in this database, such as {files[0].name}: delete them.",)


def _letters_in(folder: Path) -> list[Path]:
    """Return the files whose names are those of messages."""
    try:
        files = list(folder.iterdir())
    except FileNotFoundError:
        return []
    return sorted(file for file in files if is_identifier(file.stem) and file.suffix in (FINISHED, UNFINISHED))


@lru_cache
def _visits_of(dialect: Dialect) -> Statement:
    """Select of some messages that are there when their visits were wiped."""
    messages = MESSAGES.join(VISITS, VISITS.c.id == MESSAGES.c.home_visit)
    is_listed = dialect.is_member(MESSAGES.c.id, "ids")
    return compiled(dialect, sa.select(MESSAGES.c.id, VISITS.c.anonymized).select_from(messages).where(is_listed))
