"""What operators see of requests: log lines and metrics. Never variables, tokens, notes or the words of an exception."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from itertools import starmap
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from schema.execution.engine import Engine
from schema.server.logs import Line, Log, where
from schema.server.sharing import SharedMetrics, use_files
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.operations import RequestRecord
from schema.transport.websocket.endpoint import WebSockets
from storage.database import Database
from storage.outbox.overview import Figures
from storage.queries.counts import cached_shapes

# Clients make names of operations up: so many get a label of their own, the others share one.
MAX_OPERATION_NAMES = 200
LONGEST_NAME = 100
# Names with types and outcomes: as many as the file of a worker's counters has room for.
MAX_LABELLED = 4_000
# Deprecated parts with the applications that use them: whoever issues tokens names these, and may name many.
MAX_DEPRECATED = 200
REFRESH_SECONDS = 0.5
FLUSH_SECONDS = 0.02
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counts and times the requests of one process; workers of one server share their counts through files.

    Buffered: log lines and counters are flushed every 20 ms, a third of the cost of writing each at once.
    """

    def __init__(self, log: Log, shared: SharedMetrics | None = None) -> None:
        use_files(shared)
        self.registry = CollectorRegistry()
        self._log = log
        self._shared = shared
        self._gauges: list[tuple[Gauge, Callable[[], float]]] = []
        self._counters: list[tuple[Counter, Callable[[], int]]] = []
        self._counted: dict[Counter, int] = defaultdict(int)
        labels = ["operation", "type", "outcome"]
        self._requests = Counter("home_visits_requests", "Requests answered.", labels, registry=self.registry)
        self._seconds = Histogram(
            "home_visits_request_seconds", "Time from a request to its answer.", ["type"], buckets=SECONDS, registry=self.registry
        )
        self._lag = Histogram(
            "home_visits_loop_lag_seconds", "How late the event loop is.", buckets=SECONDS, registry=self.registry
        )
        self._faults = Counter(
            "home_visits_fast_path_faults", "Faults that made the standard executor serve instead.", registry=self.registry
        )
        self._lost_lines = Counter(
            "home_visits_log_lines_dropped",
            "Log lines that nobody took in time, or that could not be written.",
            registry=self.registry,
        )
        self._outbox = {
            "waiting": self._common_gauge("outbox_waiting", "Confirmation emails that wait to be sent."),
            "oldest_seconds": self._common_gauge("outbox_oldest_seconds", "How long the oldest of them has waited."),
            "given_up": self._common_gauge("outbox_given_up", "Confirmation emails of pending visits that were given up."),
        }
        self._dropped = 0
        self._records: list[RequestRecord] = []
        self._names: set[str] = set()
        self.gauge("processes", "Processes whose metrics these are.", lambda: 1)
        self._children: dict[tuple[str, str, str], tuple[Any, Any]] = {}
        self._deprecated = Counter(
            "home_visits_deprecated_uses",
            "Uses of deprecated fields, arguments and values.",
            ["part", "application"],
            registry=self.registry,
        )
        self._deprecated_uses: set[tuple[str, str]] = set()

    def record(self, record: RequestRecord) -> None:
        """Buffer the record of a request."""
        self._records.append(record)
        if len(self._records) == 1:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Count and log what is buffered."""
        records, self._records = self._records, []
        alike = defaultdict[tuple[str | None, str | None, str], list[float]](list)
        for record in records:
            alike[record.operation_name, record.operation_type, record.outcome].append(record.seconds)
        for (name, type, outcome), times in alike.items():
            requests, seconds = self._labelled(self._label(name) if type else "none", type or "none", outcome)
            requests.inc(len(times))
            for time in times:
                seconds.observe(time)
        for record in records:
            if record.deprecated:
                self._count_deprecated(record)
        faults = [(record.request_id, fault) for record in records for fault in record.faults]
        if faults:
            self._faults.inc(len(faults))
        self._log.write([*starmap(_fault_line, faults), *map(_request_line, records)])

    def gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        """Export a number that is read at each refresh; of several processes, the sum."""
        gauge = Gauge(f"home_visits_{name}", help, registry=self.registry, multiprocess_mode="livesum")
        self._gauges.append((gauge, value))

    def common_gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        """Export a number that is read at each refresh, and is the same in every process."""
        self._gauges.append((self._common_gauge(name, help), value))

    def counter(self, name: str, help: str, value: Callable[[], int]) -> None:
        """Export a number that only grows, and is read at each refresh; of several processes, the sum."""
        self._counters.append((Counter(f"home_visits_{name}", help, registry=self.registry), value))

    def set_outbox(self, figures: Figures) -> None:
        for name, value in figures._asdict().items():
            self._outbox[name].set(value)

    def export(self) -> bytes:
        """Return all metrics in Prometheus' text format, those of all processes where there are several."""
        self.flush()
        self._refresh()
        if self._shared is None:
            return generate_latest(self.registry)
        merged = CollectorRegistry()
        try:
            MultiProcessCollector(merged, str(self._shared.folder))  # type: ignore[no-untyped-call]  # prometheus-client's own
            return generate_latest(merged)
        except (OSError, ValueError):
            # No descriptor is left to read the others' files, or somebody removed them.
            return generate_latest(self.registry)

    async def keep_fresh(self) -> None:
        """Refresh the gauges and measure the loop's lag, until cancelled; then flush what is left."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                due = loop.time() + REFRESH_SECONDS
                await asyncio.sleep(REFRESH_SECONDS)
                self._lag.observe(max(0.0, loop.time() - due))
                self._refresh()
        finally:
            self.flush()

    def _common_gauge(self, name: str, help: str) -> Gauge:
        """Create a gauge that has the same value in every process."""
        return Gauge(f"home_visits_{name}", help, registry=self.registry, multiprocess_mode="livemostrecent")

    def _refresh(self) -> None:
        self._lost_lines.inc(self._log.dropped - self._dropped)
        self._dropped = self._log.dropped
        for gauge, value in self._gauges:
            gauge.set(value())
        for counter, count in self._counters:
            now = count()
            counter.inc(now - self._counted[counter])
            self._counted[counter] = now

    def _labelled(self, name: str, type: str, outcome: str) -> tuple[Any, Any]:
        children = self._children.get((name, type, outcome))
        if children is None:
            if len(self._children) >= MAX_LABELLED:
                name = "other"
            children = self._requests.labels(name, type, outcome), self._seconds.labels(type)
            self._children[name, type, outcome] = children
        return children

    def _count_deprecated(self, record: RequestRecord) -> None:
        # In a file of counters, each letter that is not ASCII takes up to twelve bytes.
        application = (record.application or "none")[:LONGEST_NAME].encode("ascii", "replace").decode()
        for part in record.deprecated:
            use = part, application
            if use not in self._deprecated_uses and len(self._deprecated_uses) >= MAX_DEPRECATED:
                use = part, "other"
            self._deprecated_uses.add(use)
            self._deprecated.labels(*use).inc()

    def _label(self, name: str | None) -> str:
        if name is None:
            return "anonymous"
        if len(name) <= LONGEST_NAME and name not in self._names and len(self._names) < MAX_OPERATION_NAMES:
            self._names.add(name)
        return name if name in self._names else "other"


def _fault_line(request_id: str, fault: Exception) -> Line:
    return Line("error", {"event": "fast path fault", "request_id": request_id, "failure": where(fault)})


def _request_line(record: RequestRecord) -> Line:
    fields = {
        "event": "request",
        "request_id": record.request_id,
        "operation": record.operation_name and record.operation_name[:LONGEST_NAME],
        "type": record.operation_type,
        "caller": record.caller,
        "client": record.client,
        "outcome": record.outcome,
        "status": record.status,
        "milliseconds": int(record.seconds * 100_000) / 100,
    }
    if record.trace_id is not None:
        fields["trace_id"] = record.trace_id
    if record.reason is not None:
        fields["reason"] = record.reason
    if record.deprecated:
        fields["deprecated"] = " ".join(record.deprecated)
    if record.failure is None:
        return Line("info", fields)
    return Line("error", {**fields, "failure": where(record.failure)})


def export_gauges(
    metrics: Metrics, concurrency: ConcurrencyLimiter, engine: Engine, database: Database, sockets: WebSockets[Any]
) -> None:
    metrics.gauge("executing", "Requests that are executing.", lambda: concurrency.executing)
    metrics.gauge("waiting", "Requests that wait to be executed.", lambda: concurrency.queued)
    metrics.gauge("websockets", "WebSockets that are open.", lambda: sockets.connections)
    metrics.gauge("subscriptions", "Subscriptions that run on them.", lambda: sockets.subscriptions)
    metrics.counter("events_sent", "Events that subscribers were sent.", lambda: sockets.events_sent)
    metrics.counter("subscribers_stalled", "Connections that were closed as they took too little.", lambda: sockets.stalled)
    metrics.gauge("documents", "Prepared documents that are kept.", lambda: len(engine.documents))
    metrics.gauge("documents_bytes", "What they take with their plans, as counted.", lambda: engine.documents.size)
    metrics.gauge("shapes", "Forms of lists whose SQL is kept compiled.", cached_shapes)
    metrics.gauge("statements", "Statements that reads have sent.", lambda: database.statement_count)
    metrics.gauge("transactions", "Transactions that were committed.", lambda: database.transaction_count)
