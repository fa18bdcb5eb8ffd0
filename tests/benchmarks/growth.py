"""Does it stay as fast when it grows: every screen, search and page with a million visits, measured through the server.

    python -m tests.benchmarks.growth [--visits 1000000] [--database FILE] [--draws 200]
        [--postgresql URL [--unchecked] [--bookings 0]]

Makes visits of families to 300 homes over ten years and imports them; with `--database` into that file, which is taken as it
is when it is there already. Prints each figure beside its target, and fails where one is missed. Each answer is checked by
plain SQL that uses no index. Milliseconds are those of the server's CPU, medians of 5 requests one after the other: what a
client waits where nothing else runs, and alike where something does. What it waited is told beside them.

With `--postgresql` they are imported there as well, unless the database has visits already, and PostgreSQL is measured; its own
CPU counts too. It must run on this machine, and the role must be a superuser. Answers are checked by the file. With
`--unchecked` no file is made: a database there is measured as it is, of ten million visits or more, which plain SQL without an
index would take a day to check. `--bookings` books so many visits in it, which stay there.
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
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from pathlib import Path

import aiohttp
import sqlalchemy as sa

from tests.benchmarks.asking import COUNT, PAGE, Client, Refused, Took, usual
from tests.benchmarks.families import identifier, make
from tests.benchmarks.loads import bookings_at_once, screens_at_once
from tests.benchmarks.questions import CALLERS, LATEST, TIME, Question, draws, screens, searches, unindexed
from tests.benchmarks.readings import EVENTS, Reading, conflicts, counts, feed
from tests.benchmarks.reads import ROOT, free_port, run

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

    async def measure(self, name: str, most: float, taking: Awaitable[Took]) -> None:
        try:
            took = await taking
        except Refused as refused:
            self.missed.append(f" refused: {str(refused)[-200:]}   {name}")
            print(self.missed[-1], flush=True)
        else:
            self.add(name, took.cpu, most, "ms", took.waited)


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
async def served(
    database: Path | None, environment: dict[str, str], url_of_postgresql: str | None
) -> AsyncIterator[tuple[Client, int]]:
    role = ["token", "--subject", "benchmark", "--role", "VIEWER"]
    tokens = {
        caller: run(*role, *(word for home in homes for word in ("--location", home)), environment=environment)
        for caller, homes in CALLERS.items()
    }
    tokens["books"] = run("token", "--subject", "benchmark", "--role", "COORDINATOR", environment=environment)
    port = free_port()
    url = f"http://127.0.0.1:{port}/graphql"
    with (
        running([*OURS, str(port)], environment) as server,
        closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) if database else nullcontext() as connection,
    ):
        async with aiohttp.ClientSession() as session:
            await first_answer(session, url, {})
            processes = [server.pid, *([postmaster(url_of_postgresql)] if url_of_postgresql else [])]
            yield Client(session, url, processes, tokens, connection), server.pid


async def deep_page(client: Client, count: int, id: str, figures: Figures) -> None:
    """Compare a page deep within the list, after the visit with this ID, with its first, one request each in turn."""
    first = Question("", {}, TIME)
    row = round(DEEP_ROW * count)
    found, _ = await client.ask(PAGE, Question("", {"ids": [id]}, TIME).variables)
    deep = {"after": found["edges"][0]["cursor"]}
    await client.checked_page(first, row, **deep)
    taken = [((await client.page(first, 1))[1].cpu, (await client.page(first, 1, **deep))[1].cpu) for _ in range(200)]
    shallow, far = (statistics.median(times) for times in zip(*taken, strict=True))
    print(f"{shallow:8.2f} ms   the first page; {far:.2f} ms at row {row:,}")
    figures.add(f"a page at row {row:,} beside the first", far / shallow, DEEP, "x")


async def taken_by(client: Client, question: Question) -> Took:
    return (await client.checked_page(question))[1]


async def any_combination(client: Client, count: int, figures: Figures) -> None:
    found: list[tuple[Took, str]] = []
    for question in draws(count):
        try:
            await combination(client, question, found)
        except Refused as refused:
            figures.missed.append(f" refused: {str(refused)[-200:]}   {question}")
            print(figures.missed[-1], flush=True)
    found.sort(reverse=True)
    print(f"{usual([took for took, _ in found]).cpu:8.1f} ms   the median of {len(found)} combinations; the slowest:")
    for took, name in found[:6]:
        print(f"{took.cpu:8.1f} ms (waited {took.waited:.1f})   {name}")
    slowest = found[0][0]
    figures.add("any combination, the slowest", slowest.cpu, ANY_MS, "ms", slowest.waited)


async def combination(client: Client, question: Question, found: list[tuple[Took, str]]) -> None:
    """Measure a page, the next one, and the count."""
    page, took = await client.checked_page(question)
    found.append((took, str(question)))
    info, end = page["pageInfo"], "startCursor" if question.backward else "endCursor"
    if info["hasPreviousPage" if question.backward else "hasNextPage"]:
        cursor = {"before" if question.backward else "after": info[end]}
        found.append(((await client.checked_page(question, question.size, **cursor))[1], f"{question}, the next page"))
    found.append((await client.checked_count(question), f"count of {question}"))


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


async def other_reads(client: Client, figures: Figures) -> None:
    """Measure counts, conflicts and the feed."""
    by_visit = {"filter": {"homeVisit": [identifier("6", 471_100)]}, "first": 1}
    middle, _ = await client.ask(EVENTS, by_visit)
    cursor = middle["pageInfo"]["endCursor"]
    for reading in [*counts(), *conflicts(), *feed(cursor)]:
        await figures.measure(reading.name, ANY_MS if reading.counted else SCREEN_MS, checked_reading(client, reading))


async def checked_reading(client: Client, reading: Reading) -> Took:
    taken = [await client.ask(reading.document, reading.variables, reading.caller) for _ in range(5)]
    answer = taken[0][0]
    if reading.counted:
        total, _ = await client.ask(COUNT, {"filter": reading.variables["filter"]}, reading.caller)
        if sum(group["count"] for group in answer) != total["totalCount"]:
            sys.exit(f"{reading.name}: the groups have not all visits together")
    if reading.size not in (None, len(answer["edges"]) if "edges" in answer else None):
        sys.exit(f"{reading.name}: {len(answer['edges'])} events")
    return usual([took for _, took in taken])


def deep_visit(database: Path | None, url: str | None, count: int) -> str:
    """Return the ID of the visit after which the deep page comes."""
    query, row = "SELECT id FROM home_visits ORDER BY date_time, id LIMIT 1 OFFSET", round(DEEP_ROW * count) - 1
    name = f"sqlite:///{database}" if database else sa.make_url(url or "").set(drivername="postgresql+psycopg")
    with sa.create_engine(name).connect() as connection:
        return str(connection.scalar(sa.text(f"{query} {row}")))


async def measure(database: Path | None, options: argparse.Namespace, environment: dict[str, str], figures: Figures) -> None:
    url, count = options.postgresql, options.visits
    if database:
        await compare_starts(database, environment, figures)
    deep = deep_visit(database, url, count)
    async with served(database, environment, url) as (client, server):
        await deep_page(client, count, deep, figures)
        await other_reads(client, figures)
        for question in [*screens(), *searches()]:
            await figures.measure(str(question), SCREEN_MS, taken_by(client, question))
        for question in unindexed():
            await figures.measure(str(question), ANY_MS, taken_by(client, question))
        home = Question("totalCount of a home", {"location": [identifier("b", 3)]}, LATEST)
        counted = await client.checked_count(home, 20)
        figures.add(str(home), counted.cpu, COUNT_MS, "ms", counted.waited)
        if options.draws:
            await any_combination(client, options.draws, figures)
        await memory_under_load(client, server, figures)
        await screens_at_once(client)
        if options.bookings:
            await bookings_at_once(client, options.bookings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=1_000_000)
    parser.add_argument("--database", type=Path)
    parser.add_argument("--postgresql", metavar="URL")
    parser.add_argument("--unchecked", action="store_true")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--bookings", type=int, default=0)
    options = parser.parse_args()
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        database = (options.database or Path(folder) / "visits.db").absolute()
        settings = {"DATABASE_URL": f"sqlite:///{database}", "JWT_SECRET": secrets.token_urlsafe(48)}
        environment = os.environ | {f"HOME_VISITS_{name}": value for name, value in settings.items()} | {"PYTHONPATH": str(ROOT)}
        if not options.unchecked and not database.exists():
            import_all(Path(folder), options.visits, environment, figures)
        if options.postgresql:
            environment["HOME_VISITS_DATABASE_URL"] = options.postgresql
            if not has_visits(options.postgresql):
                import_all(Path(folder), options.visits, environment, figures)
        checked = None if options.unchecked else database
        asyncio.run(measure(checked, options, environment, figures))
    if figures.missed:
        sys.exit("\n".join(["missed:", *figures.missed]))


if __name__ == "__main__":
    main()
