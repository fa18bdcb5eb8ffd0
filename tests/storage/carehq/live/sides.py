"""Who acts in histories of two sides, when, and what they do."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from storage.caller import Caller, Role
from storage.carehq.documents import KINDS
from storage.carehq.exporting import attributes_of, document_of
from storage.carehq.live.answers import Answer
from storage.carehq.live.client import CareHQ
from storage.database import Database
from storage.errors import (
    HomeVisitNotFound,
    HomeVisitNotPending,
    InvalidInput,
    NotHere,
    UpstreamRefused,
    UpstreamThrottled,
    UpstreamUnavailable,
    VersionConflict,
)
from storage.lifecycle import BookingInput
from storage.models import HomeVisit, VisitHost, VisitType
from tests import world
from tests.storage.carehq.live.faulty import Fault

LINK, OFFICE, CLERK = (Caller(name, frozenset(Role)) for name in ("link", "office", "clerk"))
START = datetime(2030, 1, 1, tzinfo=UTC)
TIME = datetime(2031, 3, 3, 14, 30, tzinfo=UTC)

# That a visit is missing which is there, no network says.
FAULTS = st.lists(st.sampled_from([*(fault for fault in Fault if fault is not Fault.MISSING), *[Fault.NONE] * 2]), max_size=3)
PICKS = st.integers(0, 11)
KEYS = st.sampled_from([None, None, "k", "l", "m"])
CRASHES = st.none() | st.tuples(st.sampled_from(["request", "write", "written"]), st.integers(1, 6))
BOOKINGS = st.builds(
    BookingInput,
    care_enquiry=st.sampled_from([world.FOR_WILLOWS, world.FOR_BEECHES]),
    date_time=st.integers(0, 1).map(lambda hours: TIME + timedelta(hours=hours)),
    visit_type=st.just(VisitType.VIRTUAL),
    host=st.just(VisitHost.MANAGER),
    notes=st.sampled_from(["", "Ring twice.\nÉlan & co."]),
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "date_time": st.integers(0, 1).map(lambda hours: TIME + timedelta(hours=hours)),
        "host": st.sampled_from(list(VisitHost)[:3]),
        "assigned_to": st.sampled_from([world.ANNA, world.BEN, None]),
        "notes": st.sampled_from(["", "Other"]),
    },
)
UNAVAILABLE = (UpstreamUnavailable, UpstreamThrottled, UpstreamRefused)
REFUSALS = (HomeVisitNotFound, HomeVisitNotPending, InvalidInput, NotHere, VersionConflict)


class Clock:
    def __init__(self) -> None:
        self.now = START
        self.step = timedelta()

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def pause(self, seconds: float) -> None:
        self.advance(max(seconds, 5))
        await asyncio.sleep(0)


class Impatient(CareHQ):
    """Gives up as soon as the proxy tells that the account hangs: a busy machine is not taken for that."""

    hung: asyncio.Event

    async def _ask(self, *request: Any) -> Answer:
        self.hung.clear()
        asking, hanging = asyncio.ensure_future(super()._ask(*request)), asyncio.ensure_future(self.hung.wait())
        try:
            await asyncio.wait({asking, hanging}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return await asking
        finally:
            hanging.cancel()
            asking.cancel()
        raise UpstreamUnavailable("it does not answer in time", may_be_done=True)


def cancel_at_write(database: Database, following: "asyncio.Future[Any]", at: str, number: int) -> None:
    """Cancel what follows before so many a write, or after it was "written"; it is for the caller to restore `write`."""
    write, writes = database.write, 0

    async def counted(work: Any, state: Any = None) -> Any:
        nonlocal writes
        writes += 1
        if writes == number and at == "write":
            following.cancel()
            await asyncio.sleep(0)
        written = await write(work, state)
        if writes == number:
            following.cancel()
            await asyncio.sleep(0)
        return written

    database.__dict__["write"] = counted


async def awaited(work: Awaitable[HomeVisit]) -> HomeVisit:
    return await work


def document(visit: HomeVisit) -> dict[str, Any]:
    return document_of(KINDS["home_visits"], visit, attributes_of(KINDS["home_visits"]))


def text(value: Any) -> Any:
    return value.replace(tzinfo=None).isoformat(" ") if isinstance(value, datetime) else value


def modified(now: datetime | None) -> dict[str, Any]:
    return {} if now is None else {"modified": text(now)}
