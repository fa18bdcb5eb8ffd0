"""A process that books and moves visits, many at once, until it is ended.

python -m tests.storage.events.writers URL NAME WRITERS
"""

import asyncio
import itertools
import sys
from datetime import timedelta

from storage.caller import Caller, Role
from storage.database import database_of
from storage.instants import clock
from storage.repository import HomeVisits
from tests.storage.homes import VISIT_TIME, booking


async def write(visits: HomeVisits) -> None:
    for number in itertools.count():
        visit = await visits.book(booking())
        for minute in range(number % 3):
            await visits.update(visit.id, {"date_time": VISIT_TIME + timedelta(minutes=minute + 1)})


async def main(url: str, name: str, writers: str) -> None:
    database = await database_of(url).open()
    visits = HomeVisits(database, Caller(name, frozenset(Role)), clock)
    await asyncio.gather(*(write(visits) for _ in range(int(writers))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
