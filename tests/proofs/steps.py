"""One write after the other, each with a word before it is asked for and one when it is answered.

python -m tests.proofs.steps URL WRITES
"""

import asyncio
import os
import sys

from storage.database import database_of
from storage.instants import clock
from storage.repository import HomeVisits
from tests.storage.homes import EVERYTHING, booking


async def main(url: str, writes: str) -> None:
    database = await database_of(url).open()
    visits = HomeVisits(database, EVERYTHING, clock)
    await visits.book(booking())  # the first write begins the log
    for number in range(int(writes)):
        os.write(1, b"called\n")
        await visits.book(booking(), idempotency_key=str(number))
        os.write(1, b"answered\n")
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
