"""What greedy callers get and usual ones do not lose: places, readers and refusals, counted and not timed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from resolvers.errors import present
from schema.execution.engine import Request, Result
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.operations import Operations, RequestState
from schema.transport.shares import ShareLimits, Shares
from storage.caller import Caller, Role
from storage.sqlite.database import SQLiteDatabase
from tests.app.calling import SECRET, token
from tests.conftest import StartServer
from tests.databases import migrate
from tests.storage.sqlite.handling import COUNT, close_inline_reader

SHORT, LONG, ENDLESS = 20_000, 1_000_000, 10**12  # rows that are counted in a thread: milliseconds, a tenth of a second, for ever


class SentRequest(NamedTuple):
    caller: str
    task: "asyncio.Task[str]"


class House:
    """All that shares out a process, over a database whose reads all go to threads. A request counts rows, so many as it says."""

    def __init__(self, path: Path, limits: ShareLimits, **sizes: int) -> None:
        self.begun: list[str] = []
        self.database = SQLiteDatabase(path, statement_seconds=60)
        self.shares = Shares(limits, others_wait=self.database.others_wait)
        self.database.accounts = self.shares
        self.limiter = ConcurrencyLimiter(shares=self.shares, **sizes)
        self._operations = Operations[Caller](
            execute=self._execute,
            authenticate=lambda subject: Caller(subject or "", frozenset(Role)),
            make_context=lambda caller, _id: caller,
            present_error=present,
            record=lambda _record: None,
            concurrency=self.limiter,
            execution_seconds=60,
            cost_limit=10_000,
        )

    async def _execute(self, request: Request, caller: Caller, _faults: list[Exception]) -> Result:
        self.begun.append(caller.subject)
        [[count]] = await self.database.fetch(COUNT, request.variables, caller.subject)
        return Result({"count": count}, [], True, None, cost=1)

    async def outcome(self, caller: str, rows: int) -> str:
        state = RequestState()
        running = self._operations.execute(state, lambda: Request("{ count }", None, {"to": rows}), authorization=caller)
        await self._operations.respond(state, running)
        return state.outcome

    def send(self, caller: str, rows: int, number: int = 1) -> list[SentRequest]:
        return [SentRequest(caller, asyncio.create_task(self.outcome(caller, rows))) for _ in range(number)]


def outcomes(sent: Iterable[SentRequest]) -> dict[str, dict[str, int]]:
    """Count for each caller how requests ended, those that have."""
    counted: dict[str, Counter[str]] = {}
    for caller, task in sent:
        if task.done():
            counted.setdefault(caller, Counter())[task.result()] += 1
    return {caller: dict(counter) for caller, counter in counted.items()}


async def leave(sent: Iterable[SentRequest]) -> None:
    for _, task in sent:
        task.cancel()
    await asyncio.gather(*(task for _, task in sent), return_exceptions=True)


@pytest.fixture
async def houses(tmp_path: Path) -> AsyncIterator[Any]:
    migrate(tmp_path / "visits.db")
    opened: list[House] = []

    async def open_house(limits: ShareLimits | None = None, **sizes: int) -> House:
        house = House(tmp_path / "visits.db", limits or ShareLimits(), **sizes)
        opened.append(house)
        await house.database.open()
        close_inline_reader(house.database)
        return house

    yield open_house
    for house in opened:
        assert (house.limiter.executing, house.limiter.queued) == (0, 0)
        await house.database.close()


async def test_usual_requests_are_answered_beside_any_number_of_endless_ones(houses: Any) -> None:
    house = await houses(max_executing=16, max_queued=32)
    greedy = [sent for number in range(3) for sent in house.send(f"greedy {number}", ENDLESS, 20)]
    await asyncio.sleep(0.01)
    before = outcomes(greedy)

    usual = [sent for number in range(10) for sent in house.send(f"usual {number}", SHORT)]
    async with asyncio.timeout(30):
        await asyncio.wait([task for _, task in usual])

    assert before == {"greedy 1": {"THROTTLED": 5}, "greedy 2": {"THROTTLED": 8}}
    assert outcomes(usual) == {f"usual {number}": {"ok": 1} for number in range(10)}
    # One usual request found a place, and nine made room in the queue.
    assert outcomes(greedy) == {"greedy 0": {"THROTTLED": 4}, "greedy 1": {"THROTTLED": 8}, "greedy 2": {"THROTTLED": 10}}
    await leave(greedy)


async def test_who_read_for_longer_than_their_share_is_refused_while_others_wait_and_nothing_is_begun(houses: Any) -> None:
    house = await houses(ShareLimits(rate=1, seconds=1, reader_second=1_000))
    alone = house.send("greedy", LONG)
    await asyncio.wait([alone[0].task])
    alone += house.send("greedy", SHORT)
    await asyncio.wait([alone[1].task])
    endless = [sent for number in range(3) for sent in house.send(f"busy {number}", ENDLESS)]
    await asyncio.sleep(0.01)
    house.begun.clear()

    refused = house.send("greedy", SHORT, 5)
    served = house.send("usual", SHORT)
    await asyncio.wait([served[0].task])

    assert outcomes(alone) == {"greedy": {"ok": 2}}
    assert (outcomes(refused), outcomes(served)) == ({"greedy": {"THROTTLED": 5}}, {"usual": {"ok": 1}})
    assert house.begun == ["usual"]
    await leave(endless)


async def test_one_caller_alone_is_never_refused_for_what_they_use(start_server: StartServer) -> None:
    server = start_server("--demo", JWT_SECRET=SECRET, SHARE__RATE="1", SHARE__SECONDS="1")
    headers = {"Authorization": f"Bearer {token(Role.VIEWER)}"}
    search = '{ homeVisits(first: 100) { nodes { location { homeVisits(filter: { keyword: "a" }) { totalCount } } } } }'
    statuses = Counter[int]()

    async def ask_often(session: aiohttp.ClientSession) -> None:
        for _ in range(10):
            body = {"query": search, "extensions": {"cost": True}}
            async with session.post(server.url, json=body, headers=headers) as response:
                statuses[response.status] += 1
                cost = (await response.json())["extensions"]["cost"]
        assert cost["share"] == {"available": 0, "quota": 1, "seconds": 1}

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask_often(session) for _ in range(16)))

    assert statuses == {200: 160}
