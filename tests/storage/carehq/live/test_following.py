"""A database that follows an account has what the account has, whatever happens on the way."""

from datetime import UTC, datetime
from typing import Any

import pytest

from storage.carehq.live.progress import NotTheFollower
from storage.database import Database
from storage.errors import UpstreamThrottled, UpstreamUnavailable
from storage.lifecycle import BookingInput
from storage.models import VisitHost, VisitType
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.faulty import Fault

TIME = datetime(2031, 3, 3, 14, 30, tzinfo=UTC)
BOOKING = BookingInput(
    care_enquiry=world.FOR_WILLOWS, date_time=TIME, visit_type=VisitType.IN_PERSON, host=VisitHost.MANAGER, notes="Élan & co."
)


async def documents(database: Database) -> list[dict[str, Any]]:
    """Return all visits as documents of the source's, in the order of their IDs."""
    import io
    import json

    from storage.carehq.exporting import export_documents

    out = io.BytesIO()
    await export_documents(database, out)
    found: list[dict[str, Any]] = json.loads(out.getvalue())
    return found


async def test_everything_is_here_after_the_first_time(followed: Followed) -> None:
    await followed.follower().follow_once()

    assert await documents(followed.database) == await documents(followed.gateway.database)


async def test_a_change_there_is_here_after_the_next_time(followed: Followed) -> None:
    follower = followed.follower()
    await follower.follow_once()
    booked = await followed.there.book(BOOKING)
    await followed.there.cancel(world.PENDING)

    await follower.follow_once()

    assert await documents(followed.database) == await documents(followed.gateway.database)
    assert (await followed.here.get(booked.id)) is not None


async def test_what_is_read_again_is_nothing_new(followed: Followed) -> None:
    await followed.follower().follow_once()
    events = inspect(path_of(followed.database)).query("SELECT count(*) FROM home_visit_events")

    inspect(path_of(followed.database)).execute("DELETE FROM carehq_walks")
    inspect(path_of(followed.database)).execute("DELETE FROM carehq_account")
    await followed.follower().follow_once()

    assert inspect(path_of(followed.database)).query("SELECT count(*) FROM home_visit_events") == events


@pytest.mark.parametrize(
    "fault",
    [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.HALF, Fault.FAIL, Fault.FAIL_AFTER, Fault.OTHER_SHAPE, Fault.HTML, Fault.THROTTLE],
)
async def test_whatever_breaks_it_off_it_goes_on_where_it_was(followed: Followed, fault: Fault) -> None:
    follower, broken_off = followed.follower(), 0
    for passed in range(20):
        followed.proxy.faults = [Fault.NONE] * passed + [fault]
        try:
            await follower.follow_once()
        except (UpstreamUnavailable, UpstreamThrottled):
            broken_off += 1
        if followed.proxy.faults:
            break

    followed.proxy.faults = []
    await follower.follow_once()
    assert await documents(followed.database) == await documents(followed.gateway.database)
    # aiohttp itself asks again where it was not answered at all.
    assert broken_off >= (0 if fault in (Fault.CUT_BEFORE, Fault.CUT_AFTER) else 5)


async def test_one_process_at_a_time_follows(followed: Followed) -> None:
    first, second = followed.follower(), followed.follower()
    await first.follow_once()

    with pytest.raises(NotTheFollower):
        await second.follow_once()

    await first.resign()
    await second.follow_once()
