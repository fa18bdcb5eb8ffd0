"""The queue before execution: bounded, in order, and without a place that gets lost."""

import asyncio
from contextlib import suppress

import pytest

from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.errors import RequestError


class Visitor:
    """Someone who comes in, stays until told to leave, and is noted in `order` when in."""

    def __init__(self, admission: ConcurrencyLimiter, order: list[str], name: str) -> None:
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(admission, order, name))

    async def _visit(self, admission: ConcurrencyLimiter, order: list[str], name: str) -> None:
        async with admission:
            order.append(name)
            await self.leave.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_who_wait_come_in_one_by_one_in_the_order_they_came() -> None:
    admission, order = ConcurrencyLimiter(executing=1, waiting=3), list[str]()
    visitors = [Visitor(admission, order, name) for name in "abc"]
    await settled()

    seen = []
    for visitor in visitors:
        seen.append(("".join(order), admission.executing, admission.waiting))
        visitor.leave.set()
        await settled()

    assert seen == [("a", 1, 2), ("ab", 1, 1), ("abc", 1, 0)]
    assert (admission.executing, admission.waiting) == (0, 0)


async def test_who_finds_the_queue_full_is_told_at_once() -> None:
    admission, order = ConcurrencyLimiter(executing=1, waiting=1), list[str]()
    visitors = [Visitor(admission, order, name) for name in "ab"]
    await settled()

    with pytest.raises(RequestError) as refused:
        await admission.__aenter__()

    assert (refused.value.extensions, refused.value.status) == ({"code": "OVERLOADED"}, 503)
    assert (admission.executing, admission.waiting) == (1, 1)
    for visitor in visitors:
        visitor.task.cancel()


async def test_who_leaves_the_queue_frees_the_seat() -> None:
    admission, order = ConcurrencyLimiter(executing=1, waiting=2), list[str]()
    first, second, third = (Visitor(admission, order, name) for name in "abc")
    await settled()

    second.task.cancel()
    await settled()
    waiting = admission.waiting
    first.leave.set()
    await settled()

    assert waiting == 1
    assert order == ["a", "c"]
    third.task.cancel()


async def test_a_place_given_to_someone_who_leaves_in_that_moment_goes_to_the_next() -> None:
    admission, order = ConcurrencyLimiter(executing=1, waiting=2), list[str]()
    first, second, third = (Visitor(admission, order, name) for name in "abc")
    await settled()

    first.leave.set()
    await asyncio.sleep(0)
    second.task.cancel()
    await settled()

    assert order == ["a", "c"]
    assert (admission.executing, admission.waiting) == (1, 0)
    third.task.cancel()


async def test_a_place_given_to_the_last_who_leaves_in_that_moment_is_free() -> None:
    admission, order = ConcurrencyLimiter(executing=1, waiting=1), list[str]()
    first, second = (Visitor(admission, order, name) for name in "ab")
    await settled()

    first.leave.set()
    await asyncio.sleep(0)
    second.task.cancel()
    await settled()

    assert order == ["a"]
    assert (admission.executing, admission.waiting) == (0, 0)


async def test_no_place_is_lost_to_an_error() -> None:
    admission = ConcurrencyLimiter(executing=1, waiting=0)

    for _ in range(3):
        with suppress(RuntimeError):
            async with admission:
                raise RuntimeError

    assert (admission.executing, admission.waiting) == (0, 0)
