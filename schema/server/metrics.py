"""What operators see of requests: a log line and numbers. Never variables, tokens, notes or the words of an exception."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from schema.execution.engine import Engine
from schema.server.logs import Line, Log, where
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.http.endpoint import RequestRecord
from storage.database import Database
from storage.outbox.overview import Figures
from storage.queries.counts import cached_shapes

NAMES_TOLD = 200
LAG_SECONDS = 0.5
MOMENT_SECONDS = 0.02
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def forget_process(shared: Path, process: int) -> None:
    """Leave out of the gauges a process that is gone; what it counted stays counted."""
    mark_process_dead(process, str(shared))  # type: ignore[no-untyped-call]  # prometheus-client's own


class Metrics:
    """One process's. `shared` is the folder in which several processes keep their numbers together."""

    def __init__(self, log: Log, shared: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._log = log
        self._shared = shared
        self._gauges: list[tuple[Gauge, Callable[[], float]]] = []
        labels = ["operation", "type", "outcome"]
        self._requests = Counter("home_visits_requests", "Requests answered.", labels, registry=self.registry)
        self._seconds = Histogram(
            "home_visits_request_seconds", "Time from a request to its answer.", ["type"], buckets=SECONDS, registry=self.registry
        )
        self._lag = Histogram(
            "home_visits_loop_lag_seconds", "How late the event loop is.", buckets=SECONDS, registry=self.registry
        )
        self._outbox = {
            "waiting": self._shown("outbox_waiting", "Confirmation emails that wait to be sent."),
            "oldest_seconds": self._shown("outbox_oldest_seconds", "How long the oldest of them has waited."),
            "given_up": self._shown("outbox_given_up", "Confirmation emails of pending visits that were given up."),
        }
        self._seen: list[RequestRecord] = []
        self._names: set[str] = set()
        self._children: dict[tuple[str, str, str], tuple[Any, Any]] = {}

    def observe(self, seen: RequestRecord) -> None:
        """Take it in, to be told within a moment together with others: one by one, each would cost three times as much."""
        self._seen.append(seen)
        if len(self._seen) == 1:
            asyncio.get_running_loop().call_later(MOMENT_SECONDS, self._tell)

    def _tell(self) -> None:
        told, self._seen = self._seen, []
        alike = defaultdict[tuple[str | None, str | None, str], list[float]](list)
        for seen in told:
            alike[seen.operation_name, seen.operation_type, seen.outcome].append(seen.seconds)
        for (name, kind, outcome), times in alike.items():
            requests, seconds = self._numbers(self._told(name) if kind else "none", kind or "none", outcome)
            requests.inc(len(times))
            for time in times:
                seconds.observe(time)
        self._log.write(map(_line, told))

    def _numbers(self, name: str, kind: str, outcome: str) -> tuple[Any, Any]:
        numbers = self._children.get((name, kind, outcome))
        if numbers is None:
            numbers = self._requests.labels(name, kind, outcome), self._seconds.labels(kind)
            self._children[name, kind, outcome] = numbers
        return numbers

    def gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        """Export a number that is looked up now and then; that of several processes is their sum."""
        made = Gauge(f"home_visits_{name}", help, registry=self.registry, multiprocess_mode="livesum")
        self._gauges.append((made, value))

    def tell_outbox(self, figures: Figures) -> None:
        for name, value in figures._asdict().items():
            self._outbox[name].set(value)

    def exported(self) -> bytes:
        """Return the numbers as Prometheus reads them, those of all processes where there are several."""
        self._tell()
        self._look()
        if self._shared is None:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, str(self._shared))  # type: ignore[no-untyped-call]  # prometheus-client's own
        return generate_latest(together)

    async def watch(self) -> None:
        """Look, until cancelled, at the gauges, and at how late the loop wakes what sleeps; then tell what was not told yet."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                due = loop.time() + LAG_SECONDS
                await asyncio.sleep(LAG_SECONDS)
                self._lag.observe(max(0.0, loop.time() - due))
                self._look()
        finally:
            self._tell()

    def _shown(self, name: str, help: str) -> Gauge:
        """Make a gauge that every process would show alike."""
        return Gauge(f"home_visits_{name}", help, registry=self.registry, multiprocess_mode="livemostrecent")

    def _look(self) -> None:
        for gauge, value in self._gauges:
            gauge.set(value())

    def _told(self, name: str | None) -> str:
        # Clients make names up: only so many are counted apart.
        if name is None:
            return "anonymous"
        if name not in self._names and len(self._names) < NAMES_TOLD:
            self._names.add(name)
        return name if name in self._names else "other"


def _line(seen: RequestRecord) -> Line:
    told = {
        "event": "request",
        "request_id": seen.request_id,
        "operation": seen.operation_name and seen.operation_name[:100],
        "type": seen.operation_type,
        "caller": seen.caller,
        "outcome": seen.outcome,
        "status": seen.status,
        "milliseconds": int(seen.seconds * 100_000) / 100,
    }
    if seen.failure is None:
        return Line("info", told)
    return Line("error", {**told, "failure": where(seen.failure)})


def export_gauges(telemetry: Metrics, admission: ConcurrencyLimiter, engine: Engine, database: Database) -> None:
    telemetry.gauge("executing", "Requests that are executing.", lambda: admission.executing)
    telemetry.gauge("waiting", "Requests that wait to be executed.", lambda: admission.waiting)
    telemetry.gauge("documents", "Prepared documents that are kept.", lambda: len(engine.documents))
    telemetry.gauge("documents_bytes", "What they take with their plans, as counted.", lambda: engine.documents.size)
    telemetry.gauge("shapes", "Forms of lists whose SQL is kept compiled.", cached_shapes)
    telemetry.gauge("statements", "Statements that reads have sent.", lambda: database.fetched)
    telemetry.gauge("transactions", "Transactions that were committed.", lambda: database.written)
