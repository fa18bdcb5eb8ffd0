"""Purging: once personal data were wiped from tables, what files still hold of them."""

from pathlib import Path

from storage.database import Database, Remains
from storage.errors import DatabaseUnusable
from storage.outbox.mailroom import FOLDER
from storage.retention.letters import RemovedLetters, absolute, remove_letters
from storage.retention.marks import remove_marks, unpurged


async def purge(database: Database, mail: Path = FOLDER) -> RemovedLetters:
    """Remove what was wiped from the files of the database, where it was since the last purge, and from the folder of letters.

    What cannot be done just now is among what remains: a repeat does it.
    """
    try:
        marks = await unpurged(database)
        remains = await database.purge() if marks else Remains()
        if not remains.to_repeat:
            await remove_marks(database, marks)
    except (DatabaseUnusable, OSError) as error:
        remains = Remains((f"The database's files may hold what was wiped: {sentence_of(error)} Run it again.",))
    remains = remains.plus(_copies(database))
    try:
        letters = await remove_letters(database, mail)
    except DatabaseUnusable as error:
        letters = RemovedLetters(0, Remains((f"{absolute(mail)} may hold what was wiped: {sentence_of(error)} Run it again.",)))
    return RemovedLetters(letters.letters, remains.plus(letters.remains))


def _copies(database: Database) -> Remains:
    try:
        return Remains(to_delete=tuple(f"{file} may hold what was wiped: delete it." for file in database.other_copies()))
    except OSError as error:
        return Remains((f"Copies of the database may hold what was wiped, and cannot be looked for: {error.strerror}.",))


def sentence_of(error: Exception) -> str:
    """Return what has failed, without what some say next: that nothing was changed."""
    return f"{str(error).partition('. ')[0].rstrip('.')}."
