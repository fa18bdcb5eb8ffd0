"""A response on its way out: written as JSON whatever is in it, and compressed where that pays."""

import asyncio
import gzip
import json
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from schema.execution.engine import Request, Result
from tests.schema.transport.http.served import served


async def test_an_answer_that_is_not_json_is_a_masked_500() -> None:
    async def answer(request: Request, context: object, _faults: list[Exception]) -> Result:
        return Result({"hello": object()}, [], True, None)

    async with served(execute=answer) as server:
        response = await server.ask()

    assert response.status == 500
    assert [type(record.failure) for record in server.records] == [TypeError]


@pytest.mark.parametrize("value", [2**64, 10**1000, "\ud800"])
async def test_values_that_the_fast_writer_of_json_refuses_are_written_all_the_same(value: object) -> None:
    async def answer(request: Request, context: object, _faults: list[Exception]) -> Result:
        return Result({"value": value}, [], True, None)

    async with served(execute=answer) as server:
        response = await server.ask()
        body = json.loads(await response.text())

    assert response.status == 200
    assert body == {"data": {"value": value}}


@pytest.mark.parametrize("size", [1400, 100_000])
async def test_a_response_of_more_than_a_packet_is_compressed(size: int) -> None:
    body = {"query": f"{{ long(characters: {size - 20}) }}"}

    async with served() as server:
        response = await server.ask(body, Accept_Encoding="gzip, deflate, br")
        received = await response.read()

    assert len(gzip.decompress(received)) == size
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Content-Length"] == str(len(received))


class CountingExecutor(ThreadPoolExecutor):
    """Counts what is submitted to it."""

    submitted = 0

    def submit(self, *args: Any, **options: Any) -> Future[Any]:
        self.submitted += 1
        return super().submit(*args, **options)


@pytest.mark.parametrize(("size", "submitted"), [(64 * 1024 - 1, 0), (64 * 1024, 1)])
async def test_a_large_response_is_compressed_beside_the_event_loop(size: int, submitted: int) -> None:
    threads = CountingExecutor()

    async with served() as server:
        asyncio.get_running_loop().set_default_executor(threads)
        response = await server.ask({"query": f"{{ long(characters: {size - 20}) }}"}, Accept_Encoding="gzip")
        received = await response.read()

    assert len(gzip.decompress(received)) == size
    assert threads.submitted == submitted


@pytest.mark.parametrize(("size", "accepted"), [(1399, "gzip"), (1400, "identity"), (1400, "br"), (1400, "gzip;q=0, *")])
async def test_a_response_that_is_small_or_for_no_gzip_is_sent_as_it_is(size: int, accepted: str) -> None:
    body = {"query": f"{{ long(characters: {size - 20}) }}"}

    async with served() as server:
        response = await server.ask(body, Accept_Encoding=accepted)
        received = await response.read()

    assert len(received) == size
    assert "Content-Encoding" not in response.headers
