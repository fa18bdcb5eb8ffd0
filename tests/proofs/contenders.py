"""A process that ends visits in every way there is, all at once, each expecting the visit as it was booked.

    python -m tests.proofs.contenders URL

For each visit whose ID comes on a line of standard input, a line goes out: a JSON object of who tried, and what became of it.
"""

import asyncio
import json
import random
import sys
from collections.abc import Awaitable

from storage.database import database_of
from storage.errors import Refusal
from storage.instants import clock
from storage.models import HomeVisit
from storage.repository import HomeVisits
from tests.storage.homes import EVERYTHING


async def outcome(attempt: Awaitable[HomeVisit]) -> str:
    try:
        await attempt
    except Refusal as refusal:
        return type(refusal).__name__
    return "won"


async def contend(visits: HomeVisits, id: str) -> dict[str, str]:
    attempts = {
        "cancel": visits.cancel(id, expected_version=1),
        "complete": visits.complete(id, expected_version=1),
        "update": visits.update(id, {"notes": "Ring twice."}, expected_version=1),
    }
    names = random.sample(list(attempts), len(attempts))  # whoever asks first has the best chance
    outcomes = await asyncio.gather(*(outcome(attempts[name]) for name in names))
    return dict(zip(names, outcomes, strict=True))


async def main(url: str) -> None:
    database = await database_of(url).open()
    visits = HomeVisits(database, EVERYTHING, clock)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await contend(visits, line.strip())), flush=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
