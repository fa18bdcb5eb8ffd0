"""Forms of lists that come for the first time are compiled one in each turn of the event loop, so that others have theirs."""

import asyncio
import itertools
from collections.abc import Awaitable

import pytest

from storage.queries import counts, listing
from storage.queries.paging import Window
from storage.queries.statements import CompilingTurn
from storage.repository import HomeVisits
from tests.storage.homes import WILLOW

FIRST_TEN = Window.of(None, None, None, None)
ORDERS = list(itertools.permutations([("date_time", False), ("created", True), ("modified", False)]))


@pytest.fixture(autouse=True)
def nothing_compiled() -> None:
    for cache in (listing.page, listing.one, counts.count):
        cache.cache_clear()


async def turns_of(*reads: Awaitable[object]) -> int:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    await asyncio.gather(*reads)
    counting.cancel()
    return turns


# Elsewhere a read takes turns of its own.
@pytest.mark.sqlite
async def test_pages_of_many_forms_give_way_to_others_between_them(visits: HomeVisits) -> None:
    first = await turns_of(*(visits.page({}, order, FIRST_TEN) for order in ORDERS))
    again = await turns_of(*(visits.page({}, order, FIRST_TEN) for order in ORDERS))

    assert first >= len(ORDERS) > again


@pytest.mark.sqlite
async def test_nested_lists_counts_and_single_visits_do_so_too(visits: HomeVisits) -> None:
    names = ("date_time", "created", "modified", "host", "visit_type", "version")
    pages = [await visits.page({"host": ["NURSE"] * n, "cancelled": n > 1}, [], FIRST_TEN) for n in range(3)]

    assert await turns_of(*(visits.pages("location", [WILLOW], {}, order, FIRST_TEN) for order in ORDERS)) >= len(ORDERS)
    assert await turns_of(*(visits.get(WILLOW, frozenset([name])) for name in names)) >= len(names)
    assert await turns_of(*(page.total_count() for page in pages)) >= len(pages)


async def test_what_was_compiled_on_a_loop_that_is_closed_keeps_nobody_waiting() -> None:
    turn, loop = CompilingTurn(), asyncio.new_event_loop()

    def compile_and_stop() -> None:
        asyncio._set_running_loop(loop)
        turn.take()
        asyncio._set_running_loop(None)
        loop.close()

    await asyncio.to_thread(compile_and_stop)

    assert turn.is_taken
    async with asyncio.timeout(5):
        await turn.wait()


def test_outside_of_a_loop_nobody_is_kept_waiting() -> None:
    turn = CompilingTurn()

    turn.take()

    assert not turn.is_taken
