"""However many ask for what is answered straight, the loop has turns for the others."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from schema.execution.engine import Request, Result
from schema.transport.http.turns import SLICE
from tests.schema.transport.http.served import AMY, Work, at_once, post, served
from tests.schema.transport.http.streams import Wire, settle

HELLO = post(b'{"query":"{ hello }"}')
WORK = Work()


def take_long(request: Request, make_context: Callable[[], object]) -> Result | None:
    ends_at = perf_counter() + SLICE / 3
    while perf_counter() < ends_at:
        pass
    return WORK.at_once(request, make_context)


async def test_straight_answers_take_a_bounded_part_of_each_turn_of_the_loop() -> None:
    options = at_once(WORK, lambda _authorization: AMY)._replace(execute=take_long)
    async with served(at_once=options, execute=WORK.execute) as server:
        wires = [Wire(cast(Any, server.runner.server)()) for _ in range(10)]
        for wire in wires:
            await settle(wire)
        counts = []
        for _ in range(2):
            for wire in wires:
                wire.receive(HELLO)
            counts.append(server.straight_answers)
            for wire in wires:
                await settle(wire)
        sent = [wire.sent.count(b"Hello, world!") for wire in wires]
        for wire in wires:
            wire.abort()
        await asyncio.sleep(0)

    assert 1 <= counts[0] <= 3
    assert 1 <= counts[1] - counts[0] <= 3
    assert sent == [2] * 10
