"""A list of visits that updates itself; prints what comes, and its rows for each line of input, as JSON."""

import asyncio
import json
import os
import sys
from typing import Any

from follow import follow
from gateway import connect, operation
from say import describe

LOCATION = [os.environ["LOCATION"]]
START = "2031-05-01"
FILTER = {"location": LOCATION, "status": ["PENDING"], "startDate": START}

visits: dict[str, dict[str, Any]] = {}


async def main() -> None:
    """Show the list, and keep it up to date."""
    after = await load()
    following = asyncio.create_task(update(after))
    print("open", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(sorted(map(describe, visits.values()))), flush=True)
    following.cancel()
    await asyncio.wait([following])


async def load() -> str | None:
    """Load the list, and return after what changes come that it may not have."""
    async with connect() as session:
        newest = await session.execute(operation("NewestChange"))
        screen = await session.execute(operation("VisitsScreen", filter=FILTER, first=100))
    visits.update({edge["node"]["id"]: edge["node"] for edge in screen["homeVisits"]["edges"]})
    after: str | None = newest["homeVisitEvents"]["pageInfo"]["endCursor"]
    return after


async def update(after: str | None) -> None:
    """Add what is one of the list's visits now, and take away any other."""
    async for change in follow({"location": LOCATION}, after):
        visit = change["homeVisit"]
        if visit["status"] == "PENDING" and f"{visit['dateTime']:%Y-%m-%d}" >= START:
            visits[visit["id"]] = visit
        else:
            visits.pop(visit["id"], None)
        print(change["sequence"], flush=True)


if __name__ == "__main__":
    asyncio.run(main())
