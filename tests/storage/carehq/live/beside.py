"""What tests of several changes at once share: another process, events, and changes that are stopped on their way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from storage.carehq.live.link import Link
from storage.carehq.live.writing import LiveHomeVisits
from storage.database import Database
from storage.lifecycle import BookingInput
from storage.models import VisitHost, VisitType
from tests import world
from tests.databases import database_at, path_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.rewriting import Rewriting

TIME = datetime(2031, 3, 3, 14, 30, tzinfo=UTC)
BOOKING = BookingInput(
    care_enquiry=world.FOR_WILLOWS, date_time=TIME, visit_type=VisitType.IN_PERSON, host=VisitHost.MANAGER, notes="Élan & co."
)


@pytest.fixture
async def elsewhere(account: tuple[Followed, Rewriting], tmp_path: Path) -> AsyncIterator[LiveHomeVisits]:
    """Return the visits as another process has them."""
    followed, _ = account
    database = await database_at(path_of(followed.database)).open()
    yield visits(followed, database)
    await database.close()


def visits(followed: Followed, database: Database) -> LiveHomeVisits:
    return LiveHomeVisits(Link(database, followed.carehq, followed.clock), database, world.EVERYBODY, followed.clock)


def events(followed: Followed, id: str) -> list[tuple[str, str]]:
    """Return type and actor of each event of a visit here."""
    rows = inspect(path_of(followed.database)).query(
        f"SELECT type, actor FROM home_visit_events WHERE home_visit = '{id}' ORDER BY number"  # noqa: S608 - the test's own
    )
    return [(str(type), str(actor)) for type, actor in rows]


def count(database: Database, table: str) -> int:
    [(rows,)] = inspect(path_of(database)).query(f"SELECT count(*) FROM {table}")  # noqa: S608 - the test's own
    return int(rows)


class Barrier:
    """Holds changes before the account hears of them: `arrived` when there is one, until `go_on`; then `answer`, if any."""

    def __init__(self, proxy: Rewriting, answer: Callable[[web.Request], web.StreamResponse] | None = None) -> None:
        self.arrived, self.go_on = asyncio.Event(), asyncio.Event()
        self._answer = answer
        proxy.before = self._hold

    async def _hold(self, request: web.Request) -> web.StreamResponse | None:
        if request.method == "GET":
            return None
        self.arrived.set()
        await asyncio.wait_for(self.go_on.wait(), 30)
        return self._answer(request) if self._answer else None
