"""How many documents a long list has is kept for some seconds, and shared by those who ask at once, failures included."""

import asyncio

import pytest

from resolvers.carehq_counts import CACHED, LONG, SECONDS, Counts
from storage.errors import DatabaseBusy
from tests.world import EVERYBODY, WILLOWS, limited_to


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """Counts how often it is counted."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.times = 0

    async def __call__(self) -> int:
        self.times += 1
        await asyncio.sleep(0)
        return self.number


@pytest.mark.parametrize(("number", "times"), [(LONG - 1, 3), (LONG, 2)])
async def test_how_many_a_long_list_has_is_kept_for_some_seconds(number: int, times: int) -> None:
    now, count = Seconds(), Counting(number)
    counts = Counts(now=now)

    for now.now in (0.0, SECONDS - 0.1, SECONDS):
        assert await counts.count("home_visit", {}, EVERYBODY, count) == number

    assert count.times == times


async def test_of_several_who_count_the_same_at_once_one_does() -> None:
    counts, same, other = Counts(), Counting(LONG), Counting(LONG + 1)

    found = await asyncio.gather(
        *(counts.count("home_visit", {}, EVERYBODY, same) for _ in range(10)), counts.count("user", {}, EVERYBODY, other)
    )

    assert (found, same.times, other.times) == ([LONG] * 10 + [LONG + 1], 1, 1)


async def test_few_counts_are_kept() -> None:
    counts = Counts()

    for n in range(CACHED + 5):
        await counts.count("user", {"search": str(n)}, EVERYBODY, Counting(LONG))

    assert (len(counts._counts), len(counts._running)) == (CACHED, 0)


async def test_who_counts_the_same_at_once_shares_what_comes_of_it() -> None:
    counts, counted = Counts(), 0

    async def count() -> int:
        nonlocal counted
        counted += 1
        await asyncio.sleep(0.01)
        raise DatabaseBusy

    first = asyncio.ensure_future(counts.count("user", {"search": "a"}, EVERYBODY, count))
    others = [asyncio.ensure_future(counts.count("user", {"search": "a"}, EVERYBODY, count)) for _ in range(4)]
    await asyncio.sleep(0)
    first.cancel()
    outcomes = await asyncio.gather(*others, return_exceptions=True)

    assert ([type(outcome) for outcome in outcomes], counted) == ([DatabaseBusy] * 4, 1)


async def test_a_count_is_of_one_kind_one_filter_and_one_scope() -> None:
    counts = Counts()

    async def number(count: int) -> int:
        return count

    limited = limited_to(WILLOWS)
    asked = [
        await counts.count(kind, filter, caller, lambda count=LONG + place: number(count))  # type: ignore[misc]  # its default
        for place, (kind, filter, caller) in enumerate(
            [("user", {}, EVERYBODY), ("location", {}, EVERYBODY), ("user", {"search": "a"}, EVERYBODY), ("user", {}, limited)]
        )
    ]
    again = await counts.count("user", {}, limited, lambda: number(0))

    assert (asked, again) == ([LONG, LONG + 1, LONG + 2, LONG + 3], LONG + 3)
