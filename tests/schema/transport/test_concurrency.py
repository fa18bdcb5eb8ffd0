"""The concurrency limit: bounded, shared out fairly, and never leaking."""

import asyncio

import pytest

from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.errors import RequestError
from schema.transport.shares import ShareLimits, Shares

AMY, BOB, EVE = "amy", "bob", "eve"
RATE = ShareLimits(rate=100, seconds=10)


class Operation:
    """An operation of a caller: enters the limiter, adds its name to `order` when admitted, and stays until it may finish."""

    def __init__(self, limiter: ConcurrencyLimiter, order: list[str], name: str, caller: str = AMY) -> None:
        self.finish = asyncio.Event()
        self.task = asyncio.create_task(self._run(limiter, order, name, caller))

    async def _run(self, limiter: ConcurrencyLimiter, order: list[str], name: str, caller: str) -> None:
        if (queued := limiter.enter(caller)) is not None:
            await queued
        try:
            order.append(name)
            await self.finish.wait()
        finally:
            limiter.leave(caller, 1)

    @property
    def refusal(self) -> tuple[str, int] | None:
        """Return code and status of the error that it ended with."""
        error = self.task.exception() if self.task.done() and not self.task.cancelled() else None
        return (error.extensions["code"], error.status) if isinstance(error, RequestError) and error.extensions else None


class Crowd:
    """Operations of several callers at one limiter; each is named by its caller and a number."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self.limiter = limiter
        self.order: list[str] = []
        self.operations: dict[str, Operation] = {}

    async def send(self, caller: str, number: int = 1) -> list[Operation]:
        sent = []
        for _ in range(number):
            name = f"{caller}{sum(name.startswith(caller) for name in self.operations)}"
            self.operations[name] = Operation(self.limiter, self.order, name, caller)
            sent.append(self.operations[name])
            await settled()
        return sent

    async def finish(self, name: str) -> None:
        self.operations[name].finish.set()
        await settled()

    @property
    def refusals(self) -> dict[str, tuple[str, int]]:
        return {name: refusal for name, operation in self.operations.items() if (refusal := operation.refusal)}

    async def end(self) -> None:
        for operation in self.operations.values():
            operation.task.cancel()
        await asyncio.gather(*(operation.task for operation in self.operations.values()), return_exceptions=True)
        assert (self.limiter.executing, self.limiter.queued) == (0, 0)
        assert (self.limiter._executing_of, self.limiter._queues) == ({}, {})


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


async def test_callers_who_wait_are_admitted_in_turn() -> None:
    crowd = Crowd(ConcurrencyLimiter(max_executing=1, max_queued=10))
    for caller, number in ((AMY, 4), (BOB, 2), (EVE, 1)):
        await crowd.send(caller, number)

    for _ in range(7):
        await crowd.finish(crowd.order[-1])

    assert crowd.order == ["amy0", "amy1", "bob0", "eve0", "amy2", "bob1", "amy3"]
    await crowd.end()


async def test_a_caller_takes_no_more_places_than_are_left_and_one() -> None:
    crowd = Crowd(ConcurrencyLimiter(max_executing=64, max_queued=128))

    executing = []
    for caller in (AMY, BOB, EVE):
        await crowd.send(caller, 40)
        executing.append(sum(name.startswith(caller) for name in crowd.order))
    late = await crowd.send("late")

    assert executing == [33, 16, 8]
    assert crowd.order[-1] == "late0"
    assert (crowd.limiter.executing, crowd.limiter.queued, crowd.refusals, late[0].refusal) == (58, 63, {}, None)
    await crowd.end()


async def test_what_finds_the_queue_full_is_refused_at_once() -> None:
    crowd = Crowd(ConcurrencyLimiter(max_executing=1, max_queued=2))

    await crowd.send(AMY, 4)

    assert crowd.refusals == {"amy3": ("OVERLOADED", 503)}
    assert (crowd.limiter.executing, crowd.limiter.queued) == (1, 2)
    await crowd.end()


async def test_where_the_queue_is_full_who_has_most_in_it_makes_room() -> None:
    crowd = Crowd(ConcurrencyLimiter(max_executing=1, max_queued=4))

    await crowd.send(AMY, 5)
    await crowd.send(BOB, 3)
    await crowd.send(EVE, 1)

    throttled = ("THROTTLED", 429)
    assert crowd.refusals == {"amy4": throttled, "amy3": throttled, "bob2": throttled, "amy2": throttled}
    assert (crowd.limiter.executing, crowd.limiter.queued) == (1, 4)
    await crowd.end()


async def test_who_comes_when_each_in_the_queue_has_one_is_told_that_the_server_is_busy() -> None:
    crowd = Crowd(ConcurrencyLimiter(max_executing=1, max_queued=2))

    for caller in (AMY, AMY, BOB, EVE):
        await crowd.send(caller)

    assert crowd.refusals == {"eve0": ("OVERLOADED", 503)}
    await crowd.end()


async def test_only_while_others_wait_is_refused_who_has_overdrawn_their_share() -> None:
    crowd = Crowd(ConcurrencyLimiter(max_executing=1, max_queued=9, shares=Shares(RATE, clock=lambda: 0.0)))
    crowd.limiter.shares.charge(AMY, 1_001)

    await crowd.send(AMY, 3)
    alone = crowd.refusals
    await crowd.send(BOB)
    await crowd.send(AMY)
    await crowd.send(BOB)

    assert (alone, crowd.refusals) == ({}, {"amy3": ("THROTTLED", 429)})
    assert (crowd.limiter.executing, crowd.limiter.queued) == (1, 4)
    await crowd.end()


async def test_who_waits_for_a_reader_counts_among_others() -> None:
    shares = Shares(RATE, others_wait=lambda subject: subject != BOB, clock=lambda: 0.0)
    crowd = Crowd(ConcurrencyLimiter(shares=shares))
    for caller in (AMY, BOB):
        shares.charge(caller, 1_001)

    for caller in (AMY, BOB, EVE):
        await crowd.send(caller)

    assert (crowd.order, crowd.refusals) == (["bob0", "eve0"], {"amy0": ("THROTTLED", 429)})
    await crowd.end()


async def test_a_caller_is_charged_when_an_operation_ends() -> None:
    crowd = Crowd(ConcurrencyLimiter(shares=Shares(RATE, clock=lambda: 0.0)))
    await crowd.send(AMY, 2)
    before = crowd.limiter.shares.share(AMY).available

    await crowd.finish("amy0")

    assert (before, crowd.limiter.shares.share(AMY).available) == (1_000, 999)
    await crowd.end()


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


@pytest.mark.parametrize("steps", [0, 1])
async def test_what_is_cancelled_as_it_is_admitted_lets_the_next_in(steps: int) -> None:
    limiter, order = ConcurrencyLimiter(max_executing=1, max_queued=2), list[str]()
    first, second, third = (Operation(limiter, order, name) for name in "abc")
    await settled()

    first.finish.set()
    for _ in range(steps):
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


async def test_what_is_cancelled_as_it_makes_room_leaves_nothing() -> None:
    crowd = Crowd(ConcurrencyLimiter(max_executing=1, max_queued=2))
    await crowd.send(AMY, 3)

    crowd.operations["bob0"] = Operation(crowd.limiter, crowd.order, "bob0", BOB)
    await asyncio.sleep(0)
    crowd.operations["amy2"].task.cancel()
    await settled()

    assert crowd.operations["amy2"].task.cancelled()
    assert (crowd.limiter.executing, crowd.limiter.queued) == (1, 2)
    await crowd.end()
