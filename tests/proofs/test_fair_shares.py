"""Promise 25: one caller cannot starve the others."""

import asyncio
import itertools
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from storage.caller import Role
from storage.demo import FIRST_NAMES, LAST_NAMES, NOTES
from tests.app.calling import SECRET, token
from tests.benchmarks.reads import LOCATION, NODE, visits
from tests.conftest import RunCommand, Server, StartServer

VISITS, LOCATIONS = 20_000, 200
QUIET_SECONDS, ATTACK_SECONDS = 5.0, 20.0
USUAL, GREEDY, CONNECTIONS = 10, 3, 6
PAUSE = 0.05  # between the requests of a usual caller
TIMES_QUIET, SLOWEST_SECONDS = 10, 0.5

LIST = "query List($filter: HomeVisitFilter) { homeVisits(filter: $filter, orderBy: [{ field: DATE_TIME }], first: 20) "
USUAL_QUERIES: list[dict[str, Any]] = [
    {"query": f"{LIST} {{ nodes {{ {NODE} }} pageInfo {{ hasNextPage endCursor }} }} }}"},
    {"query": f"{LIST} {{ totalCount nodes {{ {NODE} }} }} }}", "variables": {"filter": {"location": [LOCATION.format(7)]}}},
    {"query": f"{LIST} {{ nodes {{ {NODE} }} }} }}", "variables": {"filter": {"keyword": "bello"}}},
    {
        "query": f"{LIST} {{ totalCount nodes {{ {NODE} }} }} }}",
        "variables": {"filter": {"keyword": "mabel costa", "status": ["PENDING"]}},
    },
]


def dearest(number: int) -> dict[str, Any]:
    """Return searches below a hundred locations, such as no index helps with; each time others, so that nothing is cached."""
    lists = " ".join(
        f'a{alias}: homeVisits(filter: {{ keyword: "{chr(97 + (number + alias) % 26)}{alias % 10}" }}, first: 1) {{ totalCount }}'
        for alias in range(28)
    )
    return {"query": f"{{ homeVisits(first: 100) {{ nodes {{ location {{ {lists} }} }} }} }}"}


def documents() -> Iterator[dict[str, str | None]]:
    """Make visits with notes as people write them, and the name of somebody whom some hundred know."""
    pick = random.Random(25)  # noqa: S311 - the same ones every time
    for visit in visits(VISITS, LOCATIONS):
        sentences = [sentence for sentence in pick.sample(NOTES, 3) if sentence]
        yield {**visit, "notes": " ".join([*sentences, f"Knows {pick.choice(FIRST_NAMES)} {pick.choice(LAST_NAMES)}."])}


@pytest.fixture
def server(tmp_path: Path, run_command: RunCommand, start_server: StartServer) -> Server:
    file = tmp_path / "home_visits.json"
    file.write_text("\n".join(map(json.dumps, documents())))
    assert run_command("import", str(file)).code == 0
    return start_server(JWT_SECRET=SECRET)


class Caller:
    """A caller with a connection; notes the outcome and the seconds of each request."""

    def __init__(self, server: Server, subject: str) -> None:
        self.outcomes: list[tuple[str, float]] = []
        self._url = server.url
        self._headers = {"Authorization": f"Bearer {token(Role.VIEWER, subject=subject)}"}

    async def ask(self, session: aiohttp.ClientSession, query: dict[str, Any]) -> None:
        started = time.perf_counter()
        async with session.post(self._url, json=query, headers=self._headers) as response:
            answer = await response.json()
        codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
        self.outcomes.append((codes[0] if codes else "ok", time.perf_counter() - started))

    async def ask_often(self, session: aiohttp.ClientSession, queries: Iterator[dict[str, Any]], pause: float) -> None:
        for query in queries:
            await self.ask(session, query)
            await asyncio.sleep(pause)


async def usual_outcomes(server: Server, seconds: float) -> list[tuple[str, float]]:
    """Return the outcomes of usual callers in these seconds."""
    callers = [Caller(server, f"usual {number}") for number in range(USUAL)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(
                    *(
                        caller.ask_often(
                            session, itertools.cycle(USUAL_QUERIES[number % 4 :] + USUAL_QUERIES[: number % 4]), PAUSE
                        )
                        for number, caller in enumerate(callers)
                    )
                )
    return [outcome for caller in callers for outcome in caller.outcomes]


@asynccontextmanager
async def greedy_callers(server: Server) -> AsyncIterator[list[Caller]]:
    """Have greedy callers ask the dearest searches on several connections each, and mind no refusal."""
    callers = [Caller(server, f"greedy {number}") for number in range(GREEDY)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        asking = [
            asyncio.create_task(caller.ask_often(session, map(dearest, itertools.count(connection * 1_000)), 0))
            for caller in callers
            for connection in range(CONNECTIONS)
        ]
        try:
            yield callers
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)


def p95(outcomes: list[tuple[str, float]]) -> float:
    return statistics.quantiles([seconds for _, seconds in outcomes], n=20)[-1]


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


@pytest.mark.slow
@pytest.mark.alone
async def test_three_greedy_callers_do_not_starve_ten_usual_ones(server: Server, tell: Callable[..., None]) -> None:
    await usual_outcomes(server, 1)
    quiet = await usual_outcomes(server, QUIET_SECONDS)
    async with greedy_callers(server) as greedy:
        await asyncio.sleep(1)
        beside = await usual_outcomes(server, ATTACK_SECONDS)

    searches = Counter(code for caller in greedy for code, _ in caller.outcomes)
    tell(
        f"{len(beside)} usual requests beside {GREEDY} greedy callers on {CONNECTIONS} connections each",
        quiet_p95=milliseconds(p95(quiet)),
        p95=milliseconds(p95(beside)),
        slowest=milliseconds(max(seconds for _, seconds in beside)),
        median=milliseconds(statistics.median(seconds for _, seconds in beside)),
        of_greedy=dict(searches),
    )
    assert Counter(code for code, _ in beside).keys() == {"ok"}
    assert p95(beside) <= min(TIMES_QUIET * p95(quiet), SLOWEST_SECONDS)
