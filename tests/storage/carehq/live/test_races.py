"""What happens between the account's answers and storing them."""

from datetime import timedelta

import pytest

from storage.carehq.live.following import Following
from storage.errors import UpstreamRefused, UpstreamUnavailable
from storage.models import HomeVisitStatus
from tests import world
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.faulty import Fault
from tests.storage.carehq.live.test_following import BOOKING, documents
from tests.storage.carehq.live.test_writing import booked_there, events

VISITS = "/v1/home-visits"


async def test_a_page_from_before_a_change_does_not_take_it_back(followed: Followed) -> None:
    follower = followed.follower()
    await follower.follow_once()
    waiting = [True]

    async def cancel(path: str) -> None:
        if path == VISITS and waiting:
            waiting.clear()
            await followed.here.cancel(world.PENDING)

    followed.proxy.meanwhile = cancel
    await followed.there.update(world.PENDING, {"notes": "Changed there"})
    await follower.follow_once()

    visit = await followed.here.get(world.PENDING)
    assert visit is not None
    assert (visit.status, visit.notes) == (HomeVisitStatus.CANCELLED, "Changed there")
    assert events(followed, world.PENDING) == [("IMPORTED", "import"), ("CANCELLED", "everybody")]
    await follower.follow_once()
    assert events(followed, world.PENDING) == [("IMPORTED", "import"), ("CANCELLED", "everybody")]
    assert await documents(followed.database) == await documents(followed.gateway.database)


async def test_a_visit_that_vanishes_while_it_is_read_again_is_left_as_it_is(followed: Followed) -> None:
    follower = followed.follower()
    await follower.follow_once()
    waiting = [True]

    async def change_and_lose(path: str) -> None:
        if path == VISITS and waiting:
            waiting.clear()
            await followed.here.cancel(world.PENDING)
            followed.proxy.faults = [Fault.MISSING]

    followed.proxy.meanwhile = change_and_lose
    await followed.there.update(world.PENDING, {"notes": "Changed there"})
    await follower.follow_once()

    assert events(followed, world.PENDING) == [("IMPORTED", "import"), ("CANCELLED", "everybody")]


async def test_a_repeat_that_is_refused_is_no_refusal_of_what_was_done(followed: Followed) -> None:
    await followed.follower().follow_once()
    followed.proxy.faults = [Fault.DOUBLE_LAST] * 2

    visit = await followed.here.book(BOOKING)

    assert booked_there(followed) == 1
    assert events(followed, visit.id) == [("BOOKED", "everybody")]


async def test_a_key_that_is_refused_has_done_nothing(followed: Followed) -> None:
    wrong = followed.carehq.account._replace(secret="another")  # noqa: S106 - a wrong one
    followed.carehq.account = wrong

    with pytest.raises(UpstreamRefused) as refusal:
        await followed.carehq.put("home-visits", [("notes", "Never booked")])

    assert refusal.value.status == 401


async def test_a_lease_that_a_wrong_clock_has_dated_holds_nobody_up(followed: Followed) -> None:
    first = followed.follower()
    followed.clock.added = timedelta(days=3)
    await first.follow_once()
    followed.clock.added = timedelta()

    following = Following(followed.database, followed.carehq, followed.clock, poll_seconds=1)
    await following.poll()

    assert following.follower.leads


async def test_a_process_that_waits_for_another_tells_once_where_that_is_late(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    await followed.follower().follow_once()  # and is killed
    following = Following(followed.database, followed.carehq, followed.clock, poll_seconds=1)

    await following.poll()
    in_time = caplog.text
    followed.clock.added = timedelta(seconds=20)
    for _ in range(3):
        await following.poll()
    late = [record.message for record in caplog.records]
    followed.clock.added = timedelta(seconds=70)
    await following.poll()

    assert in_time == ""
    assert len(late) == 1
    assert late[0].startswith("CareHQ is not followed, and was last read to its end: ")
    assert late[0].endswith(" UTC. Another process follows it, or was killed while it did: then one goes on within a minute.")
    assert following.follower.leads


@pytest.mark.parametrize("number", [-1, 2**31, 2**64 - 1, 1.5, "3", None])
@pytest.mark.parametrize("name", ["item_count", "page_count"])
async def test_a_number_that_no_list_has_is_another_form(followed: Followed, name: str, number: object) -> None:
    followed.proxy.change = lambda _path, document: document | {name: number}

    with pytest.raises(UpstreamUnavailable, match="form"):
        await followed.follower().follow_once()
