"""Asks a server as its callers do, checks what it answers, and measures the CPU time that it takes."""

import os
import sqlite3
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from tests.benchmarks.questions import Question, expected, met
from tests.benchmarks.reads import NODE

PAGE = (
    "query Page($filter: HomeVisitFilter, $orderBy: [HomeVisitOrder!], $first: Int, $last: Int, $after: String, $before: String) "
    "{ homeVisits(filter: $filter, orderBy: $orderBy, first: $first, last: $last, after: $after, before: $before) "
    f"{{ edges {{ cursor node {{ {NODE} }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
)
COUNT = "query Count($filter: HomeVisitFilter) { homeVisits(filter: $filter) { totalCount } }"


class Refused(Exception):
    """An answer with errors."""


class Took(NamedTuple):
    """Milliseconds of the server's CPU, and of the client's time."""

    cpu: float
    waited: float


class Client:
    """Asks a server, as one of the callers, and checks its answers by a file with the same visits, where there is one.

    `processes` are the server and PostgreSQL, where that is what it reads.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        processes: list[int],
        tokens: dict[str, str],
        database: sqlite3.Connection | None,
    ) -> None:
        self._session = session
        self.processes = processes
        self._url = url
        self._tokens = tokens
        self._database = database

    async def ask(self, query: str, variables: dict[str, Any], caller: str = "all") -> tuple[Any, Took]:
        """Return the list and what it took."""
        headers = {"Authorization": f"Bearer {self._tokens[caller]}"}
        before, started = cpu_milliseconds(self.processes), time.perf_counter()
        async with self._session.post(self._url, json={"query": query, "variables": variables}, headers=headers) as response:
            answer = await response.json()
        waited = 1000 * (time.perf_counter() - started)
        took = Took(cpu_milliseconds(self.processes) - before, waited)
        if "errors" in answer:
            raise Refused(f"{variables}: {answer['errors']}")
        (data,) = answer["data"].values()
        return data, took

    async def page(self, question: Question, times: int = 5, **cursor: str) -> tuple[Any, Took]:
        taken = [await self.ask(PAGE, question.variables | cursor, question.caller) for _ in range(times)]
        return taken[0][0], usual([took for _, took in taken])

    async def checked_page(self, question: Question, skipped: int = 0, **cursor: str) -> tuple[Any, Took]:
        page, took = await self.page(question, **cursor)
        if self._database is None:
            return page, took
        ids = [row[0] for row in self._database.execute(*expected(question, skipped))]
        shown, more = ids[: question.size], len(ids) > question.size
        shown = shown[::-1] if question.backward else shown
        info = page["pageInfo"]
        answered = [edge["node"]["id"] for edge in page["edges"]], info["hasPreviousPage" if question.backward else "hasNextPage"]
        if answered != (shown, more):
            sys.exit(f"{question}: the answer is not what plain SQL finds:\n{answered}\n{(shown, more)}")
        return page, took

    async def checked_count(self, question: Question, times: int = 5) -> Took:
        taken = [await self.ask(COUNT, {"filter": question.filter}, question.caller) for _ in range(times)]
        if self._database is None:
            return usual([took for _, took in taken])
        where, values = met(question)
        counted = self._database.execute(f"SELECT count(*) FROM home_visits NOT INDEXED WHERE {where}", values).fetchone()[0]  # noqa: S608 - its own names
        if {counted} != {answer["totalCount"] for answer, _ in taken}:
            sys.exit(f"{question}: {taken} are counted where there are {counted}")
        return usual([took for _, took in taken])


def usual(taken: list[Took]) -> Took:
    return Took(*(statistics.median(values) for values in zip(*taken, strict=True)))


def cpu_milliseconds(processes: list[int]) -> float:
    """Return what all threads of processes and their children have run for, as the scheduler counts it: finer than clock ticks.

    Children that have ended, such as PostgreSQL's parallel workers, are counted in clock ticks.
    """
    total = 0.0
    for process in processes:
        ended = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[13:15]
        total += sum(map(int, ended)) * 1000 / os.sysconf("SC_CLK_TCK")
        for member in (process, *map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())):
            with suppress(FileNotFoundError):  # it has ended just now
                threads = Path(f"/proc/{member}/task").glob("*/schedstat")
                total += sum(int(thread.read_text().split()[0]) for thread in threads) / 1_000_000
    return total
