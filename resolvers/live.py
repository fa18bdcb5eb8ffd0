"""The live account that visits are followed from, as the settings have it."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from schema.server.background import BackgroundTask
from schema.server.metrics import Metrics
from schema.server.settings import Settings, Unstartable
from storage.carehq.live.account import Account
from storage.carehq.live.client import CareHQ
from storage.carehq.live.exchange import Link
from storage.carehq.live.following import Following
from storage.carehq.live.writing import LiveHomeVisits
from storage.database import Database
from storage.instants import clock
from storage.repository import HomeVisits

URL = "HOME_VISITS_CAREHQ_URL"
BESIDE = ("carehq_account_id", "carehq_key", "carehq_secret")


class Live(NamedTuple):
    """`make_visits` makes the repository of one change, which goes to the account first."""

    following: Following
    make_visits: Callable[..., HomeVisits]
    background: BackgroundTask


def live_of(settings: Settings, database: Database) -> Live:
    """Put together what follows an account; raise Unstartable where the settings do not go together."""
    account = account_of(settings)
    if settings.anonymize_older_than_days:
        raise Unstartable(f"Personal data of a followed account are wiped in CareHQ: unset {_name('anonymize_older_than_days')}.")
    if settings.smtp_url:
        raise Unstartable(f"CareHQ itself sends the emails of a followed account: unset {_name('smtp_url')}.")
    carehq = CareHQ(account)
    link = Link(database, carehq, clock)
    following = Following(database, carehq, clock, poll_seconds=settings.carehq_poll_seconds)

    def make_visits(*repository: Any) -> HomeVisits:
        return LiveHomeVisits(link, *repository)

    return Live(following, make_visits, BackgroundTask("following CareHQ", following.run))


def account_of(settings: Settings) -> Account:
    """Return the account that is followed; raise Unstartable where it is not set up, or not wholly."""
    if settings.carehq_url is None:
        raise Unstartable(f"No CareHQ account is set up: set {URL}, and beside it {', '.join(map(_name, BESIDE))}.")
    missing = [_name(name) for name in BESIDE if getattr(settings, name) is None]
    if missing or settings.carehq_account_id is None or settings.carehq_key is None or settings.carehq_secret is None:
        raise Unstartable(f"{URL} is set, and not {' and '.join(missing)}: set all four, as CareHQ shows them with the key.")
    key, secret = settings.carehq_key.get_secret_value(), settings.carehq_secret.get_secret_value()
    return Account(settings.carehq_url, settings.carehq_account_id, key, secret)


def export_gauges_of(following: Following, metrics: Metrics) -> None:
    metrics.gauge("carehq_lag_seconds", "Age of what was last read of CareHQ.", lambda: _finite(following.lag_seconds()))
    metrics.gauge("carehq_vanished", "Visits kept here that CareHQ does not list.", lambda: following.follower.vanished)


def _finite(seconds: float) -> float:
    return math.inf if math.isnan(seconds) else seconds


def _name(setting: str) -> str:
    return f"HOME_VISITS_{setting.upper()}"
