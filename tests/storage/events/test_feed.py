"""Those who follow the feed see each event once and in order, whenever they come, however slow they are; one reads for all."""

import asyncio
import random
from pathlib import Path

import pytest

from storage.caller import Caller
from storage.database import Database
from storage.errors import DatabaseUnusable, InvalidPage
from storage.events import feed as feeds
from storage.events import followers
from storage.events.cursors import BEGINNING
from storage.repository import HomeVisits
from tests.databases import database_at
from tests.storage.events.following import book, follow, live, running_feed, take
from tests.storage.homes import EVERYTHING, FROST, NOBODY, ROWAN, WILLOW, Clock, limited_to


async def test_without_a_cursor_one_follows_from_now(database: Database, visits: HomeVisits) -> None:
    await book(visits, 2)
    async with running_feed(database) as feed:
        follower = await follow(feed)

        await book(visits, 2)

        assert await take(follower, 2) == [3, 4]


async def test_with_a_cursor_what_was_missed_comes_first(
    database: Database, visits: HomeVisits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "PAGE", 2)
    await book(visits, 5)
    async with running_feed(database) as feed:
        first = await follow(feed, EVERYTHING, BEGINNING)
        cursors = [(await anext(first)).cursor for _ in range(5)]
        again = await follow(feed, EVERYTHING, cursors[1])

        await book(visits)

        assert await take(again, 4) == [3, 4, 5, 6]
        assert await take(first, 1) == [6]


async def test_a_follower_that_waits_is_woken_by_an_event(database: Database, visits: HomeVisits) -> None:
    async with running_feed(database) as feed:
        (waiting,) = await live(feed, await follow(feed))

        await book(visits)

        assert await waiting == [1]


@pytest.mark.parametrize(("page", "queue"), [(1, 1), (2, 3), (50, 100)])
async def test_at_the_seam_nothing_is_lost_and_nothing_comes_twice(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, page: int, queue: int
) -> None:
    """Twelve followers come at odd moments, each from where it likes, and are slow at times, while three write."""
    monkeypatch.setattr(followers, "PAGE", page)
    monkeypatch.setattr(feeds, "BATCH", 4)
    chance = random.Random(page)  # noqa: S311 - the same moments each time
    total = 60
    cursors = [(0, BEGINNING)]

    async def read(follower_after: tuple[int, str], pauses: list[float]) -> list[int]:
        sequence, after = follower_after
        follower = await feed.follow(EVERYTHING, {}, after)
        seen = []
        for pause in pauses[: total - sequence]:
            edge = await anext(follower)
            seen.append(edge.node.sequence)
            cursors.append((edge.node.sequence, edge.cursor))
            await asyncio.sleep(pause)
        await follower.aclose()
        return seen

    async with running_feed(database, queue=queue) as feed, asyncio.timeout(60):
        writers = [asyncio.create_task(book(HomeVisits(database, EVERYTHING, clock), total // 3)) for _ in range(3)]
        readers, starts = [], []
        for _ in range(12):
            start = chance.choice(cursors)
            starts.append(start[0])
            pauses = [chance.choice([0, 0, 0, 0.002, 0.01]) for _ in range(total)]
            readers.append(asyncio.create_task(read(start, pauses)))
            await asyncio.sleep(chance.choice([0, 0.003, 0.02]))
        await asyncio.gather(*writers)
        seen = await asyncio.gather(*readers)

    assert seen == [list(range(start + 1, total + 1)) for start in starts]


async def test_one_that_falls_behind_is_told_and_reads_what_was_dropped(database: Database, visits: HomeVisits) -> None:
    async with running_feed(database, queue=3) as feed:
        slow, quick = await follow(feed), await follow(feed)
        overflows: list[str] = []
        slow.on_overflow = lambda: overflows.append("slow")
        waiting = await live(feed, slow, quick)
        await book(visits)
        await asyncio.gather(*waiting)
        for number in range(2, 8):
            await book(visits)
            assert await take(quick, 1) == [number]

        assert overflows == ["slow"]
        assert await take(slow, 6) == [2, 3, 4, 5, 6, 7]
        (waiting_again,) = await live(feed, slow)
        await book(visits)
        assert await waiting_again == [8]
        assert overflows == ["slow"]


async def test_a_stream_that_finishes_ends_after_what_it_has_buffered(database: Database, visits: HomeVisits) -> None:
    async with running_feed(database) as feed:
        follower = await follow(feed)
        (waiting,) = await live(feed, follower)
        await book(visits)
        await waiting
        other = await follow(feed)
        (seen,) = await live(feed, other)
        await book(visits)
        assert await seen == [2]

        follower.finish()

        assert [edge.node.sequence async for edge in follower] == [2]


async def test_one_that_waits_ends_when_it_is_finished(database: Database) -> None:
    async with running_feed(database) as feed:
        follower = await follow(feed)
        (waiting,) = await live(feed, follower)

        follower.finish()

        with pytest.raises(StopAsyncIteration):
            await waiting


SEEN: dict[str, tuple[Caller, dict[str, list[str]], list[int]]] = {
    "everything": (EVERYTHING, {}, [1, 2, 3, 4]),
    "a scope": (limited_to(ROWAN), {}, [2, 4]),
    "no location at all": (limited_to(), {}, []),
    "a location": (EVERYTHING, {"location": [WILLOW]}, [1, 3]),
    "a location beyond the scope": (limited_to(ROWAN), {"location": [WILLOW]}, []),
    "an enquiry": (EVERYTHING, {"care_enquiry": [FROST, NOBODY]}, [2, 4]),
    "a type": (EVERYTHING, {"type": ["CANCELLED"]}, [3, 4]),
    "an actor": (EVERYTHING, {"actor": ["clerk", "nobody"]}, [1, 2, 3, 4]),
    "nobody": (EVERYTHING, {"actor": []}, []),
    "what is no ID": (EVERYTHING, {"home_visit": ["no ID"]}, []),
}


@pytest.mark.parametrize(("caller", "filter", "expected"), SEEN.values(), ids=SEEN)
@pytest.mark.parametrize("is_live", [True, False], ids=["live", "missed"])
async def test_scope_and_filter_hold_for_what_is_live_and_what_was_missed(
    database: Database, visits: HomeVisits, caller: Caller, filter: dict[str, list[str]], expected: list[int], is_live: bool
) -> None:
    async with running_feed(database) as feed:
        follower = await follow(feed, caller, BEGINNING, **filter)
        seen: list[int] = []

        async def read() -> None:
            async for edge in follower:
                seen.append(edge.node.sequence)  # noqa: PERF401 - what was seen when it is cancelled counts

        reading = asyncio.create_task(read())
        if is_live:
            await asyncio.sleep(0.1)
        else:
            reading.cancel()
        ids = await book(visits) + await book(visits, enquiry=FROST)
        for id in ids:
            await visits.cancel(id)
        if not is_live:
            follower = await follow(feed, caller, BEGINNING, **filter)
            reading = asyncio.create_task(read())
        everything = await follow(feed, EVERYTHING, BEGINNING)
        assert await take(everything, 4) == [1, 2, 3, 4]
        await asyncio.sleep(0.1)
        reading.cancel()

        assert seen == expected


async def test_one_visit_is_followed_by_its_id(database: Database, visits: HomeVisits) -> None:
    first, second = await book(visits, 2)
    async with running_feed(database) as feed:
        (waiting,) = await live(feed, await follow(feed, home_visit=[f" {second} "]))
        await visits.cancel(first)
        await visits.cancel(second)

        assert await waiting == [4]


async def statements_once_quiet(database: Database) -> int:
    """Return how many statements there were once there are no more: each who follows reads when it begins."""
    count = -1
    while count != database.statement_count:
        count = database.statement_count
        await asyncio.sleep(0.25)
    return count


async def test_one_reads_for_all_who_follow(database: Database, visits: HomeVisits) -> None:
    async with running_feed(database) as feed:
        waiting = await live(feed, *[await follow(feed) for _ in range(30)])
        before = await statements_once_quiet(database)

        await book(visits)

        assert await asyncio.gather(*waiting) == [[1]] * 30
        # The booking's own and the reader's, which on PostgreSQL numbers the event first: not one for each who follows.
        assert database.statement_count - before < 10


async def test_nothing_is_read_while_nobody_follows(database: Database, visits: HomeVisits) -> None:
    async with running_feed(database) as feed:
        follower = await follow(feed)
        (waiting,) = await live(feed, follower)
        await book(visits)
        await waiting
        await follower.aclose()
        del follower, waiting
        await book(visits)
        before = await statements_once_quiet(database)

        await book(visits, 3)
        await asyncio.sleep(0.05)

        assert database.statement_count == before
        assert len(feed.live) == 0


async def test_a_feed_that_ends_follows_the_database_no_more(database: Database) -> None:
    async with running_feed(database) as feed:
        (waiting,) = await live(feed, await follow(feed))
        was_followed = bool(database.followers)
    is_followed = bool(database.followers)
    waiting.cancel()

    assert (was_followed, is_followed) == (True, False)


async def test_who_comes_after_a_pause_misses_nothing_of_it(database: Database, visits: HomeVisits) -> None:
    async with running_feed(database) as feed:
        first = await follow(feed)
        (waiting,) = await live(feed, first)
        await book(visits)
        await waiting
        edge_before = await feed.follow(EVERYTHING, {}, BEGINNING)
        cursor = (await anext(edge_before)).cursor
        for follower in (first, edge_before):
            await follower.aclose()
        del first, waiting, edge_before, follower
        await book(visits, 2)
        await asyncio.sleep(0.05)

        assert await take(await follow(feed, EVERYTHING, cursor), 2) == [2, 3]


@pytest.mark.parametrize("cursor", ["", "e|1|", "ZXwxfA==", "x" * 1000])
async def test_what_is_no_cursor_is_refused_before_anything_is_followed(database: Database, cursor: str) -> None:
    async with running_feed(database) as feed:
        with pytest.raises(InvalidPage):
            await follow(feed, EVERYTHING, cursor)


async def test_a_list_that_is_too_long_is_refused(database: Database) -> None:
    async with running_feed(database) as feed:
        with pytest.raises(InvalidPage, match="at most 250"):
            await follow(feed, location=[WILLOW] * 251)


async def test_a_database_that_was_away_costs_those_who_follow_nothing(
    database: Database, visits: HomeVisits, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = database.fetch

    async def away(*_: object) -> None:
        raise DatabaseUnusable("Away.")

    async with running_feed(database) as feed:
        follower = await follow(feed)
        (waiting,) = await live(feed, follower)
        with monkeypatch.context() as broken:
            broken.setattr(database, "fetch", away)
            await book(visits, 3)
            await asyncio.sleep(0.05)
        assert database.fetch == fetch
        await book(visits)

        assert await waiting == [1]
        assert await take(follower, 3) == [2, 3, 4]


async def test_another_process_is_followed_as_well(database: Database, visits: HomeVisits, path: Path, clock: Clock) -> None:
    other = await database_at(path).open()
    try:
        async with running_feed(database) as feed:
            (waiting,) = await live(feed, await follow(feed))

            await book(HomeVisits(other, EVERYTHING, clock))

            assert await waiting == [1]
    finally:
        await other.close()
