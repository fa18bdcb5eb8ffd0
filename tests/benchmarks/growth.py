"""Does it stay as fast when it grows: every screen, search and page with a million visits, measured through the server.

    python -m tests.benchmarks.growth [--visits 1000000] [--database FILE] [--postgresql URL] [--draws 200]

Makes visits of families to 300 homes over ten years and imports them; with `--database` into that file, which is taken as it
is when it is there already. Prints each figure beside its target, and fails where one is missed. Each answer is checked by
plain SQL that uses no index. Milliseconds are those of the server's CPU, medians of 5 requests one after the other: what a
client waits where nothing else runs, and alike where something does. What it waited is told beside them.

With `--postgresql` they are imported there as well, unless the database has visits already, and PostgreSQL is measured; its own
CPU counts too. It must run on this machine, and the role must be a superuser. Answers are checked by the file.
"""

import argparse
import asyncio
import os
import secrets
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import sqlalchemy as sa

from tests.benchmarks.families import identifier, make
from tests.benchmarks.questions import CALLERS, LATEST, TIME, Question, draws, expected, met, screens, searches, unindexed
from tests.benchmarks.reads import NODE, ROOT, free_port, run

PAGE = (
    "query Page($filter: HomeVisitFilter, $orderBy: [HomeVisitOrder!], $first: Int, $last: Int, $after: String, $before: String) "
    "{ homeVisits(filter: $filter, orderBy: $orderBy, first: $first, last: $last, after: $after, before: $before) "
    f"{{ edges {{ cursor node {{ {NODE} }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
)
COUNT = "query Count($filter: HomeVisitFilter) { homeVisits(filter: $filter) { totalCount } }"
OURS = [sys.executable, str(ROOT / "app.py"), "serve", "--port"]
IMPORT_SECONDS, IMPORT_MIB, SERVER_MIB = 120, 160, 160
SCREEN_MS, ANY_MS, COUNT_MS, DEEP, START = 20, 500, 5, 1.2, 1.3
DEEP_ROW = 0.9


class Figures:
    """Prints figures, and knows which are above their targets."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def add(self, name: str, figure: float, most: float, unit: str, waited: float | None = None) -> None:
        line = f"{figure:8.1f} {unit}, at most {most:g}{'' if waited is None else f' (waited {waited:.1f})'}   {name}"
        if figure > most:
            self.missed.append(line)
        print(f"{line}{'   MISSED' if figure > most else ''}", flush=True)


class Took(NamedTuple):
    """Milliseconds of the server's CPU, and of the client's time."""

    cpu: float
    waited: float


class Client:
    """Asks a server, as one of the callers, and checks its answers by a file with the same visits.

    `processes` are the server and PostgreSQL, where that is what it reads.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, processes: list[int], tokens: dict[str, str], database: sqlite3.Connection
    ) -> None:
        self._session = session
        self._processes = processes
        self._url = url
        self._tokens = tokens
        self._database = database

    async def ask(self, query: str, variables: dict[str, Any], caller: str = "all") -> tuple[Any, Took]:
        """Return the list and what it took."""
        headers = {"Authorization": f"Bearer {self._tokens[caller]}"}
        before, started = cpu_milliseconds(self._processes), time.perf_counter()
        async with self._session.post(self._url, json={"query": query, "variables": variables}, headers=headers) as response:
            answer = await response.json()
        waited = 1000 * (time.perf_counter() - started)
        took = Took(cpu_milliseconds(self._processes) - before, waited)
        if "errors" in answer:
            sys.exit(f"{variables}: {answer['errors']}")
        return answer["data"]["homeVisits"], took

    async def page(self, question: Question, times: int = 5, **cursor: str) -> tuple[Any, Took]:
        taken = [await self.ask(PAGE, question.variables | cursor, question.caller) for _ in range(times)]
        return taken[0][0], usual([took for _, took in taken])

    async def checked_page(self, question: Question, skipped: int = 0, **cursor: str) -> tuple[Any, Took]:
        page, took = await self.page(question, **cursor)
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


def postmaster(url: str) -> int:
    """Return the process of PostgreSQL."""
    with sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg")).connect() as connection:
        text: str = connection.scalar(sa.text("SELECT pg_read_file('postmaster.pid')"))
        return int(text.split(maxsplit=1)[0])


def has_visits(url: str) -> bool:
    with sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg")).connect() as connection:
        return connection.scalar(sa.text("SELECT to_regclass('home_visits')")) is not None


def import_all(folder: Path, count: int, environment: dict[str, str], figures: Figures) -> None:
    command = [sys.executable, str(ROOT / "app.py"), "import", *map(str, make(folder, count))]
    started = time.monotonic()
    importer = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, code, used = os.wait4(importer.pid, 0)
    if code:
        sys.exit(f"the import failed: {code}")
    figures.add(f"import of {count:,} visits", time.monotonic() - started, IMPORT_SECONDS * max(count, 100_000) / 1_000_000, "s")
    figures.add("memory of the import", used.ru_maxrss / 1024, IMPORT_MIB, "MiB")


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield server
    finally:
        server.terminate()
        server.wait(timeout=30)


async def first_answer(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> None:
    for _ in range(3_000):
        try:
            async with session.post(url, json={"query": "{ __typename }"}, headers=headers) as response:
                await response.read()
                return
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.01)
    sys.exit(f"{url} does not answer")


async def start_seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return how long it takes from the start of a process to its first answer: of three times, the shortest."""
    taken = []
    for _ in range(3):
        port, started = free_port(), time.perf_counter()
        with running([*command, str(port)], environment):
            async with aiohttp.ClientSession() as session:
                await first_answer(session, f"http://127.0.0.1:{port}/graphql", {})
        taken.append(time.perf_counter() - started)
    return min(taken)


@asynccontextmanager
async def served(database: Path, environment: dict[str, str], url_of_postgresql: str | None) -> AsyncIterator[tuple[Client, int]]:
    role = ["token", "--subject", "benchmark", "--role", "VIEWER"]
    tokens = {
        caller: run(*role, *(word for home in homes for word in ("--location", home)), environment=environment)
        for caller, homes in CALLERS.items()
    }
    port = free_port()
    url = f"http://127.0.0.1:{port}/graphql"
    with (
        running([*OURS, str(port)], environment) as server,
        closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection,
    ):
        async with aiohttp.ClientSession() as session:
            await first_answer(session, url, {})
            processes = [server.pid, *([postmaster(url_of_postgresql)] if url_of_postgresql else [])]
            yield Client(session, url, processes, tokens, connection), server.pid


async def deep_page(client: Client, count: int, figures: Figures) -> None:
    """Compare a page deep within the list with its first, one request each in turn."""
    first = Question("", {}, TIME)
    middle = Question("", {}, TIME, size=1)
    row = round(DEEP_ROW * count)
    (id,) = client._database.execute(*expected(middle, row - 1)).fetchone()
    found, _ = await client.ask(PAGE, Question("", {"ids": [id]}, TIME).variables)
    deep = {"after": found["edges"][0]["cursor"]}
    await client.checked_page(first, row, **deep)
    taken = [((await client.page(first, 1))[1].cpu, (await client.page(first, 1, **deep))[1].cpu) for _ in range(200)]
    shallow, far = (statistics.median(times) for times in zip(*taken, strict=True))
    print(f"{shallow:8.2f} ms   the first page; {far:.2f} ms at row {row:,}")
    figures.add(f"a page at row {row:,} beside the first", far / shallow, DEEP, "x")


async def any_combination(client: Client, count: int, figures: Figures) -> None:
    found: list[tuple[Took, str]] = []
    for question in draws(count):
        page, took = await client.checked_page(question)
        found.append((took, str(question)))
        info, end = page["pageInfo"], "startCursor" if question.backward else "endCursor"
        if info["hasPreviousPage" if question.backward else "hasNextPage"]:
            cursor = {"before" if question.backward else "after": info[end]}
            found.append(((await client.checked_page(question, question.size, **cursor))[1], f"{question}, the next page"))
        found.append((await client.checked_count(question), f"count of {question}"))
    found.sort(reverse=True)
    print(f"{usual([took for took, _ in found]).cpu:8.1f} ms   the median of {len(found)} combinations; the slowest:")
    for took, name in found[:6]:
        print(f"{took.cpu:8.1f} ms (waited {took.waited:.1f})   {name}")
    slowest = found[0][0]
    figures.add("any combination, the slowest", slowest.cpu, ANY_MS, "ms", slowest.waited)


async def memory_under_load(client: Client, server: int, figures: Figures) -> None:
    questions = [*screens(), *searches()]

    async def some(offset: int) -> None:
        for question in questions[offset::8] * 4:
            await client.page(question, 1)

    await asyncio.gather(*(some(offset) for offset in range(8)))
    figures.add("memory of the server, at its most", most_memory(server), SERVER_MIB, "MiB")


def most_memory(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


async def compare_starts(database: Path, environment: dict[str, str], figures: Figures) -> None:
    textbook = [sys.executable, str(ROOT / "tests/benchmarks/textbook.py"), str(database)]
    ours, theirs = await start_seconds(OURS, environment), await start_seconds(textbook, environment)
    print(f"{ours:8.2f} s    from the start to the first answer; the textbook's server {theirs:.2f} s")
    figures.add("start beside the textbook's", ours / theirs, START, "x")


async def measure(
    database: Path, count: int, number: int, environment: dict[str, str], figures: Figures, url: str | None = None
) -> None:
    await compare_starts(database, environment, figures)
    async with served(database, environment, url) as (client, server):
        await deep_page(client, count, figures)
        for question in [*screens(), *searches()]:
            _, took = await client.checked_page(question)
            figures.add(str(question), took.cpu, SCREEN_MS, "ms", took.waited)
        for question in unindexed():
            _, took = await client.checked_page(question)
            figures.add(str(question), took.cpu, ANY_MS, "ms", took.waited)
        home = Question("totalCount of a home", {"location": [identifier("b", 3)]}, LATEST)
        counted = await client.checked_count(home, 20)
        figures.add(str(home), counted.cpu, COUNT_MS, "ms", counted.waited)
        if number:
            await any_combination(client, number, figures)
        await memory_under_load(client, server, figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=1_000_000)
    parser.add_argument("--database", type=Path)
    parser.add_argument("--postgresql", metavar="URL")
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        database = (options.database or Path(folder) / "visits.db").absolute()
        settings = {"DATABASE_URL": f"sqlite:///{database}", "JWT_SECRET": secrets.token_urlsafe(48)}
        environment = os.environ | {f"HOME_VISITS_{name}": value for name, value in settings.items()} | {"PYTHONPATH": str(ROOT)}
        if not database.exists():
            import_all(Path(folder), options.visits, environment, figures)
        if options.postgresql:
            environment["HOME_VISITS_DATABASE_URL"] = options.postgresql
            if not has_visits(options.postgresql):
                import_all(Path(folder), options.visits, environment, figures)
        asyncio.run(measure(database, options.visits, options.draws, environment, figures, options.postgresql))
    if figures.missed:
        sys.exit("\n".join(["missed:", *figures.missed]))


if __name__ == "__main__":
    main()
