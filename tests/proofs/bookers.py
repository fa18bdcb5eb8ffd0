"""A process that books with one key, many at once, or dies on the way.

    python -m tests.proofs.bookers URL MANY [MOMENT]

For each key that comes on a line of standard input, a line goes out with the IDs of the visits that were answered with; or it
kills itself at MOMENT: before the commit, or after it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

from sqlmodel import Session

from storage.database import Database, database_of
from storage.instants import clock
from storage.repository import HomeVisits
from storage.writes import WriteState
from tests.proofs.writers import WAITS
from tests.storage.homes import EVERYTHING, booking

T = TypeVar("T")


def doom(database: Database, moment: str) -> None:
    """Let the process be gone before it can answer its first write."""
    write = database.write

    async def write_and_die(work: Callable[[Session], T], state: WriteState | None = None) -> T:
        def work_and_die(session: Session) -> T:
            done = work(session)
            session.flush()
            if moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        done = await write(work_and_die, state)
        os.kill(os.getpid(), signal.SIGKILL)
        return done

    database.write = write_and_die  # type: ignore[method-assign]  # whichever database it is


async def main(url: str, many: str, moment: str = "") -> None:
    database = await database_of(url).open()
    if moment:
        doom(database, moment)
    visits = HomeVisits(database, EVERYTHING, clock)
    loop = asyncio.get_running_loop()
    while key := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        bookings = [visits.book(booking(date_time=WAITS), idempotency_key=key) for _ in range(int(many))]
        print(*(visit.id for visit in await asyncio.gather(*bookings)), flush=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
