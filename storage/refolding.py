"""Folds notes anew that were kept by an older version, a batch at a time, from wherever it came to before."""

import asyncio
import time

import sqlalchemy as sa
from sqlmodel import Session, col, select

from storage.database import Database, Progress
from storage.folding import folded
from storage.models import HomeVisit, NotesRefolding, table_of

# A batch holds the write lock: neither many visits nor those with long notes may make it long.
VISITS = 500
CHARACTERS = 100_000

_VISITS = table_of(HomeVisit)


async def refold_all_notes(database: Database, progress: Progress | None = None, *, share: float = 1.0) -> int:
    """Fold anew what is left to be; return how many notes changed. `share` is the part of the time that it may take.

    Others write between two batches, and search all the while: keywords are looked for as both versions fold them.
    """
    changed = 0
    while True:
        started = time.monotonic()
        batch = await database.write(_refold_batch)
        if batch is None:
            return changed
        number, last, in_batch = batch
        changed += in_batch
        if progress:
            progress(number, last)
        await asyncio.sleep((time.monotonic() - started) * (1 / share - 1))


def _refold_batch(session: Session) -> tuple[int, int, int] | None:
    """Fold the next notes; return the number of the last visit so far, that of the last of all, and how many notes changed."""
    state = session.exec(select(NotesRefolding).with_for_update()).one_or_none()
    if state is None:
        return None
    last = session.exec(select(sa.func.max(col(HomeVisit.number)))).one() or 0
    notes = select(col(HomeVisit.number), HomeVisit.notes, HomeVisit.notes_folded)
    rows = session.exec(notes.where(col(HomeVisit.number) > state.number).order_by(col(HomeVisit.number)).limit(VISITS)).all()
    changes, characters, reached = list[dict[str, object]](), 0, last
    for number, text, kept in rows:
        anew = folded(text)
        if anew != kept:
            changes.append({"of": number, "text": text, "anew": anew})
        characters += len(text)
        reached = number or 0
        if characters >= CHARACTERS:
            break
    if changes:
        # Who has changed or wiped the notes since they were read has folded them too.
        is_unchanged = sa.and_(_VISITS.c.number == sa.bindparam("of"), _VISITS.c.notes == sa.bindparam("text"))
        update = sa.update(_VISITS).where(is_unchanged).values(notes_folded=sa.bindparam("anew"))
        session.connection().execute(update, changes)
    if reached == last:
        session.delete(state)
    else:
        state.number = reached
    return reached, last, len(changes)
