"""How long does it take to follow an account from empty, how soon is a change here, and what does a poll cost?

    python -m tests.benchmarks.following [--visits 100000] [--changes 50] [--polls 200] [--database postgresql]

The account is a server of ours over an import of so many visits, in a process of its own, on SQLite. `--database` is that of the
one that follows, which is this process.
"""

import argparse
import asyncio
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from storage.carehq.live.account import Account
from storage.carehq.live.client import CareHQ
from storage.carehq.live.follower import Follower
from storage.carehq.live.following import Following
from storage.database import Database
from storage.instants import clock
from tests import databases
from tests.benchmarks.importing import identifier, imported, make
from tests.inspection import inspect

ROOT = Path(__file__).parents[2]
APP = str(ROOT / "app.py")
LONGEST_FIRST, LONGEST_CHANGE, LARGEST_SHARE = 120.0, 5.0, 0.01
POLL_SECONDS, DEFAULT_POLL_SECONDS = 2.0, 30.0


@asynccontextmanager
async def account_over(database: Path) -> AsyncIterator[Account]:
    """Serve a database as an account."""
    names = {"KEYS_SECRET": secrets.token_urlsafe(48), "JWT_SECRET": secrets.token_urlsafe(48)}
    settings = {"DATABASE_URL": f"sqlite:///{database}", "KEYS_RATE": "100000"} | names
    environment = os.environ | {f"HOME_VISITS_{name}": value for name, value in settings.items()}
    made = subprocess.run(  # noqa: ASYNC221 - nothing else runs yet
        [sys.executable, APP, "key", "--role", "ADMIN"], env=environment, capture_output=True, text=True, check=True
    )
    account_id, key, of_key = made.stdout.split()[:3]
    command = [sys.executable, APP, "serve", "--port", "0"]
    log = (database.parent / "server.log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.PIPE, text=True)  # noqa: ASYNC220 - so
    assert process.stderr is not None
    try:
        origin = next(found[1] for line in process.stderr if (found := re.search(r"at (http://[^/]+)/graphql", line)))
        yield Account(origin, account_id, key, of_key)
    finally:
        process.terminate()
        process.wait(timeout=30)


async def first_time(database: Database, carehq: CareHQ, visits: int) -> float:
    started, cpu = time.monotonic(), time.process_time()
    follower = Follower(database, carehq, clock)
    await follower.follow_once()
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    await follower.resign()
    assert follower.report.tallies["home_visits"].new == visits
    print(f"{visits:>9,} visits from empty: {seconds:6.1f} s, {cpu:6.1f} s of CPU (load {os.getloadavg()[0]:.1f})", flush=True)
    return seconds


async def longest_change(database: Database, account: Account, changes: int) -> float:
    """Return how long a change takes at most until it is here, with a poll each two seconds."""
    following = Following(database, CareHQ(account), clock, poll_seconds=POLL_SECONDS)
    running = asyncio.ensure_future(following.run())
    lags = []
    async with CareHQ(account) as writer:
        for number in range(changes):
            await asyncio.sleep(0.37 * (number % 5))
            booked = await _book(writer, number)
            started = time.monotonic()
            while not await _is_here(database, booked):  # noqa: ASYNC110 - as whoever looks at a database
                await asyncio.sleep(0.02)
            lags.append(time.monotonic() - started)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    mean = sum(lags) / changes
    print(f"{changes} changes with a poll of {POLL_SECONDS:.0f} s: worst {max(lags):.2f} s, mean {mean:.2f} s", flush=True)
    return max(lags)


async def _book(writer: CareHQ, number: int) -> str:
    booking = {
        "care_enquiry": identifier("c", number),
        "date_time": "2031-03-03 14:30:00",
        "host": "manager",
        "visit_type": "virtual",
        "suppress_email": "true",
    }
    return str((await writer.put("home-visits", list(booking.items()))).document["_id"])


async def _is_here(database: Database, id: str) -> bool:
    statement = f"SELECT id FROM home_visits WHERE id = '{id}'"  # noqa: S608 - ours
    return bool(await asyncio.to_thread(inspect(databases.path_of(database)).query, statement))


async def share_of_polls(database: Database, carehq: CareHQ, polls: int) -> float:
    """Return the share of a core that polls cost where nothing changes, each two seconds."""
    follower = Follower(database, carehq, clock)
    await follower.follow_once()
    cpu = time.process_time()
    for _ in range(polls):
        await follower.follow_once()
    each = (time.process_time() - cpu) / polls
    await follower.resign()
    shares = {seconds: each / seconds for seconds in (POLL_SECONDS, DEFAULT_POLL_SECONDS)}
    said = ", ".join(f"{share:.2%} of a core with one each {seconds:.0f} s" for seconds, share in shares.items())
    print(f"a poll: {each * 1000:.1f} ms of CPU, {said}", flush=True)
    return shares[POLL_SECONDS]


async def measure(visits: int, changes: int, polls: int) -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        imported(folder / "there.db", make(folder, visits))
        databases.migrate(folder / "here.db")
        database = await databases.database_at(folder / "here.db").open()
        async with account_over(folder / "there.db") as account:
            async with CareHQ(account) as carehq:
                first = await first_time(database, carehq, visits)
                share = await share_of_polls(database, carehq, polls)
            change = await longest_change(database, account, changes)
        await database.close()
        databases.drop_below(folder)
    return first <= LONGEST_FIRST and change <= LONGEST_CHANGE and share <= LARGEST_SHARE


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=100_000)
    parser.add_argument("--changes", type=int, default=50)
    parser.add_argument("--polls", type=int, default=200)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    arguments = parser.parse_args()
    databases.KIND = arguments.database
    sys.exit(0 if asyncio.run(measure(arguments.visits, arguments.changes, arguments.polls)) else 1)
