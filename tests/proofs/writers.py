"""Many who book and change visits at once, in a process that is made to be killed.

    python -m tests.proofs.writers URL ACKNOWLEDGED NAME WRITERS

Each write that was answered is noted in the file ACKNOWLEDGED at once: the visit and the version that the write made.
"""

import asyncio
import itertools
import os
import random
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from storage.caller import Caller, Role
from storage.database import database_of
from storage.instants import clock
from storage.models import HomeVisit
from storage.repository import HomeVisits
from tests.storage.homes import VISIT_TIME, booking

WAITS = VISIT_TIME + timedelta(days=365 * 74)  # so that mail waits, however late the test is run; a move adds two years at most

Answered = Callable[[HomeVisit], None]


async def write_for_ever(visits: HomeVisits, name: str, answered: Answered) -> None:
    chance = random.Random(name)  # noqa: S311 - so that it can be repeated
    for number in itertools.count():
        key = f"{name} {os.getpid()} {number}"
        visit = await visits.book(booking(date_time=WAITS, notes=key), idempotency_key=key)
        answered(visit)
        for _ in range(chance.randrange(4)):
            answered(await visits.update(visit.id, some_change(chance)))
        if end := chance.choice([visits.cancel, visits.complete, None]):
            answered(await end(visit.id))


def some_change(chance: random.Random) -> dict[str, Any]:
    move = {"date_time": WAITS + timedelta(minutes=chance.randrange(1, 10**6))}
    return chance.choice([move, {"notes": str(chance.random())}])


async def main(url: str, acknowledged: str, name: str, writers: str) -> None:
    database = await database_of(url).open()
    visits = HomeVisits(database, Caller(name, frozenset(Role)), clock)
    notes = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def answered(visit: HomeVisit) -> None:
        os.write(notes, f"{visit.id} {visit.version}\n".encode())

    await asyncio.gather(*(write_for_ever(visits, f"{name} {number}", answered) for number in range(int(writers))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
