"""The concurrency limit: bounded, first come first served, and never leaking."""

import asyncio
from contextlib import suppress

import pytest

from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.errors import RequestError


class Operation:
    """Enters the limiter, adds its name to `order` when admitted, and stays until it may finish."""

    def __init__(self, limiter: ConcurrencyLimiter, order: list[str], name: str) -> None:
        self.finish = asyncio.Event()
        self.task = asyncio.create_task(self._run(limiter, order, name))

    async def _run(self, limiter: ConcurrencyLimiter, order: list[str], name: str) -> None:
        async with limiter:
            order.append(name)
            await self.finish.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_queued_is_admitted_one_by_one_in_order() -> None:
    limiter, order = ConcurrencyLimiter(max_executing=1, max_queued=3), list[str]()
    operations = [Operation(limiter, order, name) for name in "abc"]
    await settled()

    steps = []
    for operation in operations:
        steps.append(("".join(order), limiter.executing, limiter.queued))
        operation.finish.set()
        await settled()

    assert steps == [("a", 1, 2), ("ab", 1, 1), ("abc", 1, 0)]
    assert (limiter.executing, limiter.queued) == (0, 0)


async def test_what_finds_the_queue_full_is_refused_at_once() -> None:
    limiter, order = ConcurrencyLimiter(max_executing=1, max_queued=1), list[str]()
    operations = [Operation(limiter, order, name) for name in "ab"]
    await settled()

    with pytest.raises(RequestError) as refused:
        await limiter.__aenter__()

    assert (refused.value.extensions, refused.value.status) == ({"code": "OVERLOADED"}, 503)
    assert (limiter.executing, limiter.queued) == (1, 1)
    for operation in operations:
        operation.task.cancel()


async def test_what_is_cancelled_in_the_queue_leaves_it() -> None:
    limiter, order = ConcurrencyLimiter(max_executing=1, max_queued=2), list[str]()
    first, second, third = (Operation(limiter, order, name) for name in "abc")
    await settled()

    second.task.cancel()
    await settled()
    queued = limiter.queued
    first.finish.set()
    await settled()

    assert queued == 1
    assert order == ["a", "c"]
    third.task.cancel()


async def test_what_is_cancelled_as_it_is_admitted_lets_the_next_in() -> None:
    limiter, order = ConcurrencyLimiter(max_executing=1, max_queued=2), list[str]()
    first, second, third = (Operation(limiter, order, name) for name in "abc")
    await settled()

    first.finish.set()
    await asyncio.sleep(0)
    second.task.cancel()
    await settled()

    assert order == ["a", "c"]
    assert (limiter.executing, limiter.queued) == (1, 0)
    third.task.cancel()


async def test_the_last_that_is_cancelled_as_it_is_admitted_leaves_none_executing() -> None:
    limiter, order = ConcurrencyLimiter(max_executing=1, max_queued=1), list[str]()
    first, second = (Operation(limiter, order, name) for name in "ab")
    await settled()

    first.finish.set()
    await asyncio.sleep(0)
    second.task.cancel()
    await settled()

    assert order == ["a"]
    assert (limiter.executing, limiter.queued) == (0, 0)


async def test_an_error_ends_an_execution() -> None:
    limiter = ConcurrencyLimiter(max_executing=1, max_queued=0)

    for _ in range(3):
        with suppress(RuntimeError):
            async with limiter:
                raise RuntimeError

    assert (limiter.executing, limiter.queued) == (0, 0)
