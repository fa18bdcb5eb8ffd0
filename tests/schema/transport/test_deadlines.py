"""The deadline of what executes: kept to the moment by one timer, and no cover for being cancelled by somebody else."""

import asyncio
import time

import pytest

from schema.transport.deadlines import Deadline
from schema.transport.errors import RequestError


async def late(deadline: Deadline, seconds: float) -> float:
    """Return after how long it was over, for what would take `seconds`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(RequestError) as refused, deadline:
        await asyncio.sleep(seconds)
    assert refused.value.extensions == {"code": "TIMEOUT"}
    assert refused.value.message == "Given up after 0.1 seconds. Ask for less, or again later."
    return loop.time() - began


async def test_each_of_many_has_its_own_full_time() -> None:
    deadline = Deadline(0.1)

    async def begin(after: float) -> float:
        await asyncio.sleep(after)
        return await late(deadline, 10)

    seconds = await asyncio.gather(*(begin(0.03 * number) for number in range(8)))

    assert [one for one in seconds if not 0.099 < one < 0.16] == []


async def test_what_is_done_in_time_is_left_alone_and_forgotten() -> None:
    deadline = Deadline(0.05)

    for _ in range(3):
        with deadline:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.06)

    task = asyncio.current_task()
    assert task is not None
    assert (task.cancelling(), deadline.running) == (0, 0)


async def test_a_refusal_leaves_the_task_able_to_go_on() -> None:
    deadline = Deadline(0.1)

    seconds = [await late(deadline, 10), await late(deadline, 10)]

    task = asyncio.current_task()
    assert task is not None
    assert (task.cancelling(), len(seconds)) == (0, 2)


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

    left, left_when_over = asyncio.create_task(work()), asyncio.create_task(work())
    await asyncio.sleep(0)
    left.cancel()
    asyncio.get_running_loop().call_later(0.05, left_when_over.cancel)
    time.sleep(0.1)  # noqa: ASYNC251 - the loop finds both that the time is over and that the client has left

    done = await asyncio.gather(left, left_when_over, return_exceptions=True)

    assert [type(one) for one in done] == [asyncio.CancelledError, asyncio.CancelledError]
    assert deadline.running == 0
