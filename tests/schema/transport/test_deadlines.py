"""Deadlines: each operation has its full time, kept by one timer, and a cancellation by somebody else stays one."""

import asyncio
import time

import pytest

from schema.transport.deadlines import Deadline
from schema.transport.errors import RequestError


async def time_out(deadline: Deadline) -> float:
    """Do what takes far too long; return after how many seconds it was cancelled."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(RequestError) as refused, deadline:
        await asyncio.sleep(60)
    assert refused.value.extensions == {"code": "TIMEOUT"}
    assert refused.value.message == "Given up after 0.1 seconds. Ask for less, or again later."
    return loop.time() - began


async def test_each_of_many_has_its_own_full_time() -> None:
    deadline = Deadline(0.1)

    async def begin(after: float) -> float:
        await asyncio.sleep(after)
        return await time_out(deadline)

    seconds = await asyncio.gather(*(begin(0.03 * number) for number in range(8)))

    assert [waited for waited in seconds if not 0.099 < waited < 5] == []


async def test_what_is_done_in_time_is_left_alone_and_forgotten() -> None:
    deadline = Deadline(0.5)

    for _ in range(3):
        with deadline:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.6)

    task = asyncio.current_task()
    assert task is not None
    assert (task.cancelling(), deadline.running) == (0, 0)


async def test_a_refusal_leaves_the_task_able_to_go_on() -> None:
    deadline = Deadline(0.1)

    for _ in range(2):
        await time_out(deadline)

    task = asyncio.current_task()
    assert task is not None
    assert (task.cancelling(), deadline.running) == (0, 0)


async def test_an_error_within_goes_through() -> None:
    deadline = Deadline(0.1)

    with pytest.raises(TimeoutError, match="of another"), deadline:
        raise TimeoutError("of another")

    assert deadline.running == 0


async def test_being_cancelled_by_somebody_else_stays_being_cancelled() -> None:
    deadline = Deadline(0.05)

    async def work() -> None:
        with deadline:
            await asyncio.sleep(10)

    early, when_due = asyncio.create_task(work()), asyncio.create_task(work())
    await asyncio.sleep(0)
    early.cancel()
    asyncio.get_running_loop().call_later(0.05, when_due.cancel)
    time.sleep(0.1)  # noqa: ASYNC251 - the loop finds both that the time is over and that the client has left

    outcomes = await asyncio.gather(early, when_due, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, asyncio.CancelledError]
    assert deadline.running == 0
