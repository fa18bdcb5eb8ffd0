"""How long a server keeps its event loop: the CPU time of its thread between two turns, and what `/healthz` waits."""

import asyncio
import gc
import http.client
import json
import selectors
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from app import create_app
from schema.server import processes
from schema.server.logs import Line, Log
from schema.server.settings import Settings
from schema.transport.http.connections import Runner
from tests.databases import url_of

PAUSE_SECONDS = 0.01
# More is not read: it is above what an answer may have.
LARGEST = 2**24


class Measurement(NamedTuple):
    """What one request took. `stretch` is the most CPU time between two turns of the loop, `cpu` the whole of its thread's.

    `code` is that of the first error, `cost` the price as the server tells it where it does.
    """

    status: int
    code: str | None
    cost: int | None
    size: int
    stretch: float
    cpu: float
    seconds: float
    healthz: float

    @property
    def is_fault(self) -> bool:
        return self.code == "INTERNAL_SERVER_ERROR" or self.status == 500


class WatchedSelector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]  # which class it is depends on the platform
    """Sees the beginning and the end of each turn of a loop, which selects in between."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.thread_time()
        self.reset()

    def reset(self) -> None:
        self.stretch = self.cpu = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        taken = time.thread_time() - self._began
        self.cpu += taken
        self.stretch = max(self.stretch, taken)
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        self._began = time.thread_time()
        return ready


class FailureLog(Log):
    """Keeps what went wrong; of what went well nothing is written."""

    def __init__(self) -> None:
        super().__init__("json")
        self.failures: list[dict[str, Any]] = []

    def write(self, lines: Iterable[Line]) -> None:
        self.failures += [fields for level, fields in lines if level in ("error", "critical")]


class MeasuredServer:
    """A server's own app over HTTP, in a thread of its own, so that nothing of the client's is counted."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._selector = WatchedSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="measured server")
        self._number = 0
        self._port = 0
        self.log = FailureLog()

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(30) or not self._port:
            raise RuntimeError("the server did not start")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def keep_loop(self, seconds: float) -> None:
        """Compute in the loop's thread for so long."""

        def compute() -> None:
            until = time.thread_time() + seconds
            while time.thread_time() < until:
                pass

        self._loop.call_soon_threadsafe(compute)

    def ask(self, document: str, variables: dict[str, Any], beside: Callable[[], None] = lambda: None) -> Measurement:
        """Send a document, each time as another text: a prepared one would be found in the cache."""
        self._number += 1
        body = {"query": document + " " * (self._number % 10), "variables": variables, "extensions": {"cost": True}}
        return self.post(json.dumps(body, ensure_ascii=False).encode(), beside)

    def post(self, body: bytes, beside: Callable[[], None] = lambda: None) -> Measurement:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with self._asking_for_health() as waits:
            self._selector.reset()
            beside()
            started = time.monotonic()
            connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            size = int(response.headers["Content-Length"])
            answer = response.read(LARGEST)
            seconds = time.monotonic() - started
        connection.close()
        return self._measurement(response.status, size, answer, seconds, max(waits, default=0.0))

    def talk(self, conversation: Callable[[int], int]) -> Measurement:
        """Measure a conversation with the port; it returns the bytes of the longest answer."""
        with self._asking_for_health() as waits:
            self._selector.reset()
            started = time.monotonic()
            size = conversation(self._port)
            seconds = time.monotonic() - started
        return Measurement(200, None, None, size, self._selector.stretch, self._selector.cpu, seconds, max(waits, default=0.0))

    def _measurement(self, status: int, size: int, answer: bytes, seconds: float, healthz: float) -> Measurement:
        try:
            content = json.loads(answer)
        except ValueError:
            content = {}
        errors, extensions = content.get("errors") or [{}], content.get("extensions") or {}
        code = (errors[0].get("extensions") or {}).get("code")
        cost = (extensions.get("cost") or {}).get("requested")
        taken = self._selector.stretch, self._selector.cpu, seconds, healthz
        return Measurement(status, code, cost, size, *taken)

    @contextmanager
    def _asking_for_health(self) -> Iterator[list[float]]:
        waits: list[float] = []
        over = threading.Event()

        def ask() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            while not over.wait(PAUSE_SECONDS):
                started = time.monotonic()
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                waits.append(time.monotonic() - started)
            connection.close()

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield waits
        finally:
            over.set()
            thread.join()

    def _run(self) -> None:
        # What the tests have imported and collected is no server's: to traverse it for garbage would be counted.
        gc.collect()
        gc.freeze()
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        settings = Settings(database_url=url_of(self._database), _env_file=None)  # type: ignore[call-arg]  # pydantic's own
        app = create_app(settings, self.log, dev=True)
        runner = Runner(app, settings.http, straight=app.get(processes.STRAIGHT))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._stopping.wait()
        await runner.cleanup()


@contextmanager
def measured_server(database: Path) -> Iterator[MeasuredServer]:
    server = MeasuredServer(database)
    server.start()
    try:
        yield server
    finally:
        server.stop()
