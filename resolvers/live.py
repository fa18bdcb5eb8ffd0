"""The live account that visits are followed from, as the settings have it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from schema.server.background import BackgroundTask
from schema.server.metrics import Metrics
from schema.server.settings import Settings, Unstartable
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

URL = "HOME_VISITS_CAREHQ_URL"
BESIDE = ("carehq_account_id", "carehq_key", "carehq_secret")


class Live(NamedTuple):
    """`make_visits` makes the repository of one change, which goes to the account first."""

    following: Following
    make_visits: Callable[..., HomeVisits]
    last_synced: Callable[[], Awaitable[datetime | None]]
    background: BackgroundTask


def live_of(settings: Settings, database: Database) -> Live:
    """Put together what follows an account; raise Unstartable where the settings do not go together."""
    account = account_of(settings)
    if settings.anonymize_older_than_days:
        raise Unstartable(f"Personal data of a followed account are wiped in CareHQ: unset {_name('anonymize_older_than_days')}.")
    if settings.smtp_url:
        raise Unstartable(f"CareHQ itself sends the emails of a followed account: unset {_name('smtp_url')}.")
    carehq = CareHQ(account)
    # Of its own, so that what is under way comes to its end, and nobody waits for as long as a follower may have to.
    changing = CareHQ(account)
    link = Link(database, changing, clock, most_under_way=most_under_way(settings.executing))
    following = Following(database, carehq, clock, poll_seconds=settings.carehq_poll_seconds)

    def make_visits(*repository: Any) -> HomeVisits:
        return LiveHomeVisits(link, *repository)

    async def run() -> None:
        async with changing:
            try:
                await _follow(following, database)
            finally:
                await asyncio.shield(link.finish())

    return Live(following, make_visits, partial(last_synced, database), BackgroundTask("following CareHQ", run))


async def follow_account(database: Database, settings: Settings) -> None:
    """Follow an account until cancelled."""
    await _follow(live_of(settings, database).following, database)


async def _follow(following: Following, database: Database) -> None:
    purging = asyncio.create_task(purge_regularly(database))
    try:
        await following.run()
    finally:
        purging.cancel()
        await asyncio.gather(purging, return_exceptions=True)


async def follow_once(database: Database, settings: Settings) -> list[str]:
    """Read what has changed since the last time; return what became of documents, a line for each kind."""
    async with CareHQ(account_of(settings)) as carehq:
        follower = Follower(database, carehq, clock)
        try:
            await follower.follow_once()
        except NotTheFollower:
            raise Unstartable("Another process follows this account just now, as a server does by itself.") from None
        finally:
            await follower.resign()
    await purge_wiped(database)
    tallies = follower.report.tallies.items()
    return [
        f"{name}: " + ", ".join(f"{number:,} {became}" for became, number in asdict(tally).items()) for name, tally in tallies
    ]


def account_of(settings: Settings) -> Account:
    """Return the account that is followed; raise Unstartable where it is not set up, or not wholly."""
    if settings.carehq_url is None:
        raise Unstartable(f"No CareHQ account is set up: set {URL}, and beside it {', '.join(map(_name, BESIDE))}.")
    missing = [_name(name) for name in BESIDE if getattr(settings, name) is None]
    if missing or settings.carehq_account_id is None or settings.carehq_key is None or settings.carehq_secret is None:
        raise Unstartable(f"{URL} is set, and not {' and '.join(missing)}: set all four, as CareHQ shows them with the key.")
    key, secret = settings.carehq_key.get_secret_value(), settings.carehq_secret.get_secret_value()
    return Account(settings.carehq_url, settings.carehq_account_id, key, secret)


def export_gauges_of(live: Live, metrics: Metrics) -> None:
    following = live.following
    metrics.gauge("carehq_lag_seconds", "Age of what was last read of the CareHQ account.", following.lag_seconds)
    metrics.gauge("carehq_vanished", "Visits kept here that CareHQ does not list.", lambda: following.follower.vanished)


def _name(setting: str) -> str:
    return f"HOME_VISITS_{setting.upper()}"
