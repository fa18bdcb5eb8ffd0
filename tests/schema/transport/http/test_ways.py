"""The tests of this folder run by both ways."""

import pytest

from tests.schema.transport.http.served import served


async def test_a_server_answers_by_the_way_that_its_test_is_run_for(request: pytest.FixtureRequest) -> None:
    async with served() as server:
        for _ in range(3):
            await (await server.ask()).read()

    assert (server.straight_answers > 0) is ("[straight]" in request.node.name)
    assert len(server.records) == 3
