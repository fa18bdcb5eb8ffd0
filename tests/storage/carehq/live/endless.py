"""Follows an account until it is killed, by a clock that is so many seconds ahead.

`python -m tests.storage.carehq.live.endless DATABASE ORIGIN ACCOUNT KEY SECRET SECONDS`
"""

import asyncio
import sys
from datetime import timedelta

from storage.carehq.live import lists
from storage.carehq.live.account import Account
from storage.carehq.live.client import CareHQ
from storage.carehq.live.following import Following
from storage.database import database_of
from storage.instants import clock


async def main(url: str, origin: str, account_id: str, key: str, secret: str, seconds: str) -> None:
    lists.PER_PAGE = 5
    ahead = timedelta(seconds=float(seconds))
    database = await database_of(url).open()
    following = Following(database, CareHQ(Account(origin, account_id, key, secret)), lambda: clock() + ahead, poll_seconds=0.05)
    await following.run()


asyncio.run(main(*sys.argv[1:]))
