"""The list of each client that has WebSockets follows changes, loses none and sees none twice, wherever it is cut off."""

import asyncio
import json
import os
import random
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.clients.bench import Bench, PutOnBench
from tests.clients.cutting import cutting
from tests.clients.examples import APOLLO, CODEGEN, GQL, RELAY, URQL, Example
from tests.clients.test_clients import ask, book_the_first_four_days_of_may, rows
from tests.conftest import Server

pytestmark = pytest.mark.slow

CUTS = 8
PATIENCE = 30
NEWEST = "{ homeVisitEvents(last: 1) { pageInfo { endCursor } } }"
SINCE = """query ($location: [ID!], $after: String) {
  homeVisitEvents(first: 100, filter: { location: $location }, after: $after) { nodes { sequence } pageInfo { endCursor } }
}"""
LISTED = """query ($location: [ID!]) {
  homeVisits(filter: { location: $location, status: [PENDING], startDate: "2031-05-01" }, first: 100) {
    nodes { id dateTime status allowedOperations careEnquiry { careSeeker { firstName } } }
  }
}"""
BOOK = """mutation ($careEnquiry: ID!, $dateTime: DateTime!) {
  bookHomeVisit(input: { careEnquiry: $careEnquiry, dateTime: $dateTime, host: NURSE, visitType: VIRTUAL }) { __typename }
}"""
MOVE = "mutation ($id: ID!, $dateTime: DateTime!) { updateHomeVisit(input: { id: $id, dateTime: $dateTime }) { __typename } }"
CANCEL = "mutation ($id: ID!) { cancelHomeVisit(input: { id: $id }) { __typename } }"


class Clerk:
    """Books, moves and cancels visits of one place, at random."""

    def __init__(self, url: str, visit: Any, chance: random.Random) -> None:
        self._url = url
        self._care_enquiry = visit["careEnquiry"]["id"]
        self._location = visit["location"]["id"]
        self._chance = chance

    async def listed(self) -> list[dict[str, Any]]:
        page = await ask(self._url, LISTED, location=[self._location])
        nodes: list[dict[str, Any]] = page["homeVisits"]["nodes"]
        return nodes

    async def change(self) -> None:
        moment = f"2031-06-{self._chance.randrange(1, 31):02}T{self._chance.randrange(24):02}:00:00Z"
        visit = self._chance.choice(await self.listed())
        match self._chance.choice(("book", "move", "cancel")):
            case "move":
                await ask(self._url, MOVE, id=visit["id"], dateTime=moment)
            case "cancel":
                await ask(self._url, CANCEL, id=visit["id"])
        # However many are cancelled, some are left.
        await ask(self._url, BOOK, careEnquiry=self._care_enquiry, dateTime=moment)

    async def sequences(self, after: str) -> list[int]:
        sequences: list[int] = []
        while nodes := (page := (await ask(self._url, SINCE, location=[self._location], after=after))["homeVisitEvents"])[
            "nodes"
        ]:
            sequences += [node["sequence"] for node in nodes]
            after = page["pageInfo"]["endCursor"]
        return sequences


class LiveList:
    """The list as its process prints it: what came, and what it shows."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self.sequences: list[int] = []

    async def read(self, until: Callable[[str], bool]) -> str:
        """Read what is printed up to a line; return it."""
        async with asyncio.timeout(PATIENCE):
            while line := (await self._output.readline()).decode():
                if line.strip().isdecimal():
                    self.sequences.append(int(line))
                if until(line.strip()):
                    return line
        raise AssertionError("the list has ended")

    async def rows(self) -> list[str]:
        self._input.write(b"\n")
        shown: list[str] = json.loads(await self.read(lambda line: line.startswith("[")))
        return shown


@asynccontextmanager
async def opened(bench: Bench, example: Example, **settings: str) -> AsyncIterator[LiveList]:
    process = await bench.start(example.live, stdin=asyncio.subprocess.PIPE, **settings)
    assert process.stdin is not None
    assert process.stderr is not None
    live = LiveList(process)
    try:
        await live.read(lambda line: line == "open")
        yield live
        process.stdin.close()
        assert (await process.stderr.read()).decode() == ""
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            print((await process.stderr.read()).decode())
            await process.wait()


@pytest.mark.parametrize("example", [CODEGEN, RELAY, APOLLO, URQL, GQL], ids=lambda example: example.folder)
async def test_a_list_that_is_cut_off_at_random_loses_no_change_and_sees_none_twice(
    example: Example, running_server: Server, put_on_bench: PutOnBench
) -> None:
    chance = random.Random(example.folder)  # noqa: S311 - so that it can be repeated
    bench = await put_on_bench(example.folder)
    await bench.succeed(example.generate)
    visit = await book_the_first_four_days_of_may(running_server.url)
    after = (await ask(running_server.url, NEWEST))["homeVisitEvents"]["pageInfo"]["endCursor"]
    clerk = Clerk(running_server.url, visit, chance)

    async with (
        cutting(running_server.port, chance) as (proxy, url),
        opened(bench, example, HOME_VISITS_URL=url, LOCATION=visit["location"]["id"]) as live,
    ):
        before = await live.rows()
        async with asyncio.timeout(PATIENCE):
            while proxy.cuts < CUTS:
                await clerk.change()
                await asyncio.sleep(chance.uniform(0, 0.1))
                if chance.random() < 0.4:
                    proxy.cut()
        await clerk.change()
        sequences = await clerk.sequences(after)
        await live.read(lambda line: line == str(sequences[-1]))
        await asyncio.sleep(0.5)
        shown = await live.rows()

    assert before == rows(visit["careEnquiry"]["careSeeker"]["firstName"], 1, 2, 3, 4)
    assert live.sequences == sequences
    assert shown == sorted(
        " ".join([node["dateTime"], node["careEnquiry"]["careSeeker"]["firstName"], node["status"], *node["allowedOperations"]])
        for node in await clerk.listed()
    )
