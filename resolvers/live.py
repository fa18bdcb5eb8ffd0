"""The live account that visits are followed from, and that changes go through to, as the settings have it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from schema.server.account import account_to_follow, check_account
from schema.server.background import BackgroundTask
from schema.server.metrics import Metrics
from schema.server.settings import Settings, Unstartable
from storage.carehq.importing import ImportReport
from storage.carehq.live.account import Account
from storage.carehq.live.client import CareHQ
from storage.carehq.live.follower import Follower
from storage.carehq.live.following import Following, last_synced
from storage.carehq.live.link import Link, most_under_way
from storage.carehq.live.progress import NotTheFollower
from storage.carehq.live.writing import LiveHomeVisits
from storage.database import Database
from storage.instants import clock
from storage.repository import HomeVisits
from storage.retention.followed import purge_regularly, purge_wiped


class Live(NamedTuple):
    """`make_visits` makes the repository of one change, which goes to the account first, while `background` runs."""

    following: Following
    make_visits: Callable[..., HomeVisits]
    last_synced: Callable[[], Awaitable[datetime | None]]
    background: list[BackgroundTask]


def live_of(settings: Settings, database: Database) -> Live:
    """Put together what follows an account and changes it; raise Unstartable where the settings do not go together."""
    account = account_to_follow(settings)
    # Changes have a client of their own: they do not wait where the follower is asked to.
    carehq = CareHQ(account)
    link = Link(database, carehq, clock, most_under_way=most_under_way(settings.executing))
    following = Following(database, CareHQ(account), clock, poll_seconds=settings.carehq_poll_seconds)

    def make_visits(*repository: Any) -> HomeVisits:
        return LiveHomeVisits(link, *repository)

    background = [
        BackgroundTask("changes of CareHQ", partial(_keep_open, carehq, link)),
        BackgroundTask("following CareHQ", following.run),
        BackgroundTask("files of what CareHQ has wiped", partial(purge_regularly, database)),
    ]
    return Live(following, make_visits, partial(last_synced, database), background)


async def _keep_open(carehq: CareHQ, link: Link) -> None:
    """Keep the client of changes open until cancelled, and until those that have begun are done."""
    async with carehq:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.shield(link.finish())


async def follow_account(database: Database, settings: Settings) -> None:
    """Follow an account until cancelled."""
    await check_account(database, account_to_follow(settings))
    purging = asyncio.create_task(purge_regularly(database))
    try:
        await live_of(settings, database).following.run()
    finally:
        purging.cancel()
        await asyncio.gather(purging, return_exceptions=True)


async def follow_once(database: Database, account: Account) -> ImportReport:
    """Read what has changed since the last time, and return what became of documents."""
    await check_account(database, account)
    async with CareHQ(account) as carehq:
        follower = Follower(database, carehq, clock)
        try:
            await follower.follow_once()
        except NotTheFollower:
            raise Unstartable("Another process follows this account just now, as a server does by itself.") from None
        finally:
            await follower.resign()
    await purge_wiped(database)
    return follower.report


def export_gauges_of(live: Live, metrics: Metrics) -> None:
    following, follower = live.following, live.following.follower
    metrics.common_gauge("carehq_lag_seconds", "Age of what was last read of the CareHQ account.", following.lag_seconds)
    metrics.counter("carehq_refused", "Documents of CareHQ that could not be used.", lambda: follower.report.refused)
    metrics.gauge(
        "carehq_vanished", "Visits kept here that CareHQ does not list.", lambda: follower.vanished if follower.leads else 0
    )
