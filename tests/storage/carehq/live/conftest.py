"""An account, which is a gateway of ours over the world, and a database of its own that follows it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from storage.carehq.live.account import Account
from storage.carehq.live.client import CareHQ
from storage.carehq.live.follower import Follower
from storage.carehq.live.link import Link
from storage.carehq.live.writing import LiveHomeVisits
from storage.database import Database
from storage.instants import clock as system_clock
from storage.repository import HomeVisits
from tests import world
from tests.asking import database, world_file
from tests.databases import copied, database_at, migrate
from tests.resolvers.carehq import Gateway, gateway_over
from tests.storage.carehq.live.faulty import Faulty, faulty
from tests.storage.carehq.live.rewriting import Rewriting, rewriting

__all__ = ["database", "world_file"]

Proxied = Callable[[str], AbstractAsyncContextManager[tuple[Faulty, str]]]


class Clock:
    """The time, and what is added to it."""

    def __init__(self) -> None:
        self.added = timedelta()

    def __call__(self) -> datetime:
        return system_clock() + self.added


@dataclass
class Followed:
    """`there` are the account's visits, `here` those of who follows it; `proxy` stands between them."""

    gateway: Gateway
    proxy: Faulty
    database: Database
    carehq: CareHQ
    clock: Clock
    link: Link

    @property
    def there(self) -> HomeVisits:
        return HomeVisits(self.gateway.database, world.EVERYBODY, system_clock)

    @property
    def here(self) -> LiveHomeVisits:
        return LiveHomeVisits(self.link, self.database, world.EVERYBODY, self.clock)

    def follower(self) -> Follower:
        return Follower(self.database, self.carehq, self.clock)

    def follower_after(self) -> Follower:
        """Return one that goes on after another has died: its lease is over by then."""
        self.clock.added += timedelta(seconds=61)
        return self.follower()


@asynccontextmanager
async def followed_into(path: Path, there: Database, clock: Clock) -> AsyncIterator[Followed]:
    """Have the database of a path, which is up to date, follow another, whose gateway goes by the system's clock."""
    async with following(there, path, faulty, clock) as followed:
        yield followed


@pytest.fixture
async def rewritten(database: Database, world_file: Path, tmp_path: Path) -> AsyncIterator[Followed]:
    """Have what an account has that a test answers for."""
    async with following(database, copied(world_file, tmp_path / "mirror.db"), rewriting) as followed:
        yield followed


@pytest.fixture
def account(rewritten: Followed) -> tuple[Followed, Rewriting]:
    """Return what has what an account has that a test answers for, and that."""
    assert isinstance(rewritten.proxy, Rewriting)
    return rewritten, rewritten.proxy


@asynccontextmanager
async def following(there: Database, path: Path, proxied: Proxied, clock: Clock | None = None) -> AsyncIterator[Followed]:
    mirror, clock = await database_at(path).open(), clock or Clock()
    async with gateway_over(there) as gateway, proxied(gateway.origin) as (proxy, origin):
        key = await gateway.key()
        async with CareHQ(Account(origin, key.account_id, key.key, key.secret)) as carehq:
            followed = Followed(gateway, proxy, mirror, carehq, clock, Link(mirror, carehq, clock))
            yield followed
    await followed.database.close()


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that is up to date and empty, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    migrate(path)
    return path


@pytest.fixture
async def followed(database: Database, empty_file: Path, tmp_path: Path) -> AsyncIterator[Followed]:
    async with followed_into(copied(empty_file, tmp_path / "mirror.db"), database, Clock()) as followed:
        yield followed
