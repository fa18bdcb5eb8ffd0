"""Counts of long lists are shared by those who ask at once, failures included."""

import asyncio

from resolvers.carehq_counts import LONG, Counts
from storage.errors import DatabaseBusy
from tests.world import EVERYBODY, WILLOWS, limited_to


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
