"""A process that books with one key, many at once, or dies on the way.

    python -m tests.proofs.bookers DATABASE KEY MANY [MOMENT]

It prints the IDs of the visits that were answered with, or kills itself at MOMENT: before the commit, or after it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlmodel import Session

from storage.instants import clock
from storage.repository import HomeVisits
from storage.sqlite.database import SQLiteDatabase
from storage.writes import WriteState
from tests.proofs.writers import WAITS
from tests.storage.homes import EVERYTHING, booking

T = TypeVar("T")


class DoomedDatabase(SQLiteDatabase):
    """One whose process is gone before it can answer the first write."""

    def __init__(self, path: Path, moment: str) -> None:
        super().__init__(path)
        self._moment = moment

    async def write(self, work: Callable[[Session], T], state: WriteState | None = None) -> T:
        def work_and_die(session: Session) -> T:
            done = work(session)
            session.flush()
            if self._moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        done = await super().write(work_and_die, state)
        if self._moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return done


async def main(path: str, key: str, many: str, moment: str = "") -> None:
    database = await DoomedDatabase(Path(path), moment).open()
    visits = HomeVisits(database, EVERYTHING, clock)
    bookings = [visits.book(booking(date_time=WAITS), idempotency_key=key) for _ in range(int(many))]
    for visit in await asyncio.gather(*bookings):
        print(visit.id)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
