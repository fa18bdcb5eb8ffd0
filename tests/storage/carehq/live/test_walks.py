"""How a walk through an account's lists ends, whatever they and the account are like."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.carehq.live import lists
from storage.carehq.live.following import Following
from storage.errors import UpstreamThrottled, UpstreamUnavailable
from storage.instants import clock as system_clock
from storage.repository import HomeVisits
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.faulty import Fault
from tests.storage.carehq.live.test_following import BOOKING, documents

VISITS = "/v1/home-visits"


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "PER_PAGE", 5)


def events(followed: Followed) -> list[tuple[str, int]]:
    """Return of each visit here how many events it has."""
    rows = inspect(path_of(followed.database)).query("SELECT home_visit, count(*) FROM home_visit_events GROUP BY home_visit")
    return [(str(id), int(count)) for id, count in rows]


def there(followed: Followed, statement: str) -> None:
    inspect(path_of(followed.gateway.database)).execute(statement)


async def follow(followed: Followed) -> None:
    """Follow as often as a walk is broken off."""
    follower = followed.follower()
    for _ in range(20):
        try:
            await follower.follow_once()
        except (UpstreamUnavailable, UpstreamThrottled):
            continue
        return
    raise AssertionError("it never came to an end")


async def require_same(followed: Followed) -> None:
    assert await documents(followed.database) == await documents(followed.gateway.database)
    assert {count for _, count in events(followed)} <= {1}


@pytest.mark.usefixtures("short_pages")
async def test_a_list_that_becomes_shorter_is_walked_again(followed: Followed) -> None:
    pages = iter(range(1, 100))

    def shrink(path: str, document: Any) -> Any:
        if path.startswith(f"{VISITS}?attributes=_id&attributes=anonymized") and next(pages) == 3:
            there(followed, f"DELETE FROM home_visits WHERE id IN ('{world.VISIT_IDS[0]}', '{world.VISIT_IDS[1]}')")  # noqa: S608 - ours
        return document

    followed.proxy.change = shrink
    await followed.follower().follow_once()

    kept = {document["_id"] for document in await documents(followed.database)}
    assert kept == set(world.VISIT_IDS)
    assert next(pages) > 8


@pytest.mark.usefixtures("short_pages")
async def test_a_page_that_repeats_is_no_other_page(followed: Followed) -> None:
    answers: list[Any] = []

    def repeat(path: str, document: Any) -> Any:
        if path.startswith(f"{VISITS}?attributes=_id&attributes=anonymized"):
            answers.append(document)
            if len(answers) == 3:
                return answers[1] | {"page": 3}
        return document

    followed.proxy.change = repeat
    await followed.follower().follow_once()

    await require_same(followed)
    # Of five pages each: what the third left out is not left to the nightly comparison.
    assert len(answers) == 10


@pytest.mark.usefixtures("short_pages")
async def test_an_answer_to_another_request_is_none(followed: Followed) -> None:
    answers: list[Any] = []

    def mix_up(path: str, document: Any) -> Any:
        if path.startswith(f"{VISITS}?attributes"):
            answers.append(document)
            return answers[0] if len(answers) == 3 else document
        return document

    followed.proxy.change = mix_up
    with pytest.raises(UpstreamUnavailable, match="another page"):
        await followed.follower().follow_once()

    await followed.follower_after().follow_once()
    await require_same(followed)


async def test_a_document_that_cannot_be_used_is_told_and_counted(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    def spoil(_path: str, document: Any) -> Any:
        for item in document.get("items", []):
            if item["_id"] == world.VISIT_IDS[5]:
                item["host"] = "the cook"
        return document

    followed.proxy.change = spoil
    follower = followed.follower()
    await follower.follow_once()

    assert follower.report.tallies["home_visits"].new == 23 + 1
    assert world.VISIT_IDS[5] in caplog.text
    assert "host must be one of" in caplog.text


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.OTHER_SHAPE, Fault.HTML])
async def test_an_answer_that_is_none_of_the_account_changes_nothing(followed: Followed, fault: Fault) -> None:
    followed.proxy.faults = [fault]
    with pytest.raises(UpstreamUnavailable):
        await followed.follower().follow_once()

    assert await documents(followed.database) == []
    await follow_after(followed)
    await require_same(followed)


async def follow_after(followed: Followed) -> None:
    await followed.follower_after().follow_once()


async def test_who_is_asked_to_wait_waits(followed: Followed) -> None:
    following = Following(followed.database, followed.carehq, followed.clock, poll_seconds=0.01)
    followed.proxy.retry_after = "7"
    followed.proxy.faults = [Fault.THROTTLE]

    assert await following.poll() == 7

    followed.proxy.retry_after = "soon"
    followed.proxy.faults = [Fault.THROTTLE]
    assert await following.poll() == 5
    await following.poll()
    await require_same(followed)


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_clock_of_the_account_that_is_wrong_loses_nothing(followed: Followed, hours: int) -> None:
    wrong = timedelta(hours=hours)

    def clock_there() -> datetime:
        return system_clock() + wrong

    followed.proxy.clock = clock_there
    follower = followed.follower()
    await follower.follow_once()

    await HomeVisits(followed.gateway.database, world.EVERYBODY, clock_there).cancel(world.PENDING)
    await follower.follow_once()
    assert await documents(followed.database) == await documents(followed.gateway.database)

    wrong = timedelta()
    await HomeVisits(followed.gateway.database, world.EVERYBODY, clock_there).book(BOOKING)
    await follower.follow_once()
    assert await documents(followed.database) == await documents(followed.gateway.database)


async def test_what_vanished_is_told_and_kept(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    follower = followed.follower()
    await follower.follow_once()
    await followed.there.cancel(world.PENDING)
    await follower.follow_once()
    gone = world.VISIT_IDS[3:6]

    # The account is restored from an older backup.
    there(followed, f"DELETE FROM home_visits WHERE id IN {tuple(gone)}")  # noqa: S608 - ours
    there(followed, f"UPDATE home_visits SET cancelled = NULL, modified = created WHERE id = '{world.PENDING}'")  # noqa: S608 - ours
    followed.clock.added = timedelta(hours=25)
    before = await documents(followed.database)
    await follower.follow_once()

    assert await documents(followed.database) == before
    assert follower.vanished == 3
    assert f"does not list 3 visits that are kept here; nothing was deleted: {' '.join(gone)}" in caplog.text
    assert f"has 1 visits as they were before what is kept here; nothing was changed: {world.PENDING}" in caplog.text
    await followed.there.update(world.VISIT_IDS[6], {"notes": "Still followed"})
    await follower.follow_once()
    visit = await followed.here.get(world.VISIT_IDS[6])
    assert visit is not None
    assert visit.notes == "Still followed"


async def test_what_was_missed_is_found_by_when_it_was_modified(followed: Followed) -> None:
    follower = followed.follower()
    await follower.follow_once()
    # Committed long after its time was taken.
    there(followed, f"UPDATE home_visits SET notes = 'Late', modified = '2025-01-01T00:00:00' WHERE id = '{world.PENDING}'")  # noqa: S608 - ours
    await follower.follow_once()
    missed = await followed.here.get(world.PENDING)
    assert missed is not None
    assert missed.notes != "Late"

    followed.clock.added = timedelta(hours=25)
    await follower.follow_once()

    assert await documents(followed.database) == await documents(followed.gateway.database)


async def test_an_account_may_have_nothing(followed: Followed) -> None:
    there(followed, "DELETE FROM home_visits")
    for table in ("service_user_contacts", "care_enquiries", "users", "locations"):
        there(followed, f"DELETE FROM {table}")  # noqa: S608 - ours

    await followed.follower().follow_once()

    assert await documents(followed.database) == []


@pytest.fixture
def long_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which only 10 rows can be read by their pages."""
    monkeypatch.setattr(lists, "PER_PAGE", 5)
    monkeypatch.setattr(lists, "FURTHEST_PAGE", 2)


@pytest.mark.usefixtures("long_lists")
async def test_a_list_that_is_too_long_is_walked_by_time(followed: Followed) -> None:
    await followed.follower().follow_once()

    await require_same(followed)
    # One to find that out, and one when all is compared.
    assert len([path for path in followed.proxy.paths if path.startswith(VISITS) and "sort=_id" in path]) == 2


@pytest.mark.usefixtures("long_lists")
async def test_documents_of_one_second_take_as_many_pages_as_they_need(followed: Followed) -> None:
    second = datetime(2025, 1, 1, tzinfo=UTC)
    there(followed, f"UPDATE home_visits SET modified = '{second.replace(tzinfo=None).isoformat()}'")  # noqa: S608 - ours

    await followed.follower().follow_once()

    await require_same(followed)
