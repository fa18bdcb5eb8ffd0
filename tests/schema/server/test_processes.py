"""How workers are stopped: by a signal, and killed only where they have not ended in time."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from schema.server.processes import is_loopback
from schema.server.supervisor import Worker, stop_all, stop_seconds
from schema.transport.http.connections import HTTPLimits

DRAINING = """
import signal, time

def drain(*_):
    time.sleep({seconds})
    raise SystemExit(7)

signal.signal(signal.SIGTERM, drain)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    """Two processes that take half a second, and an hour, to stop."""
    workers = [
        subprocess.Popen([sys.executable, "-c", DRAINING.format(seconds=seconds)], stdout=subprocess.PIPE)
        for seconds in (0.5, 3600)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    yield workers
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.close()
        worker.kill()
        worker.wait()


def test_a_worker_that_drains_in_time_is_not_killed_and_one_that_does_not_is(workers: list[Worker]) -> None:
    stop_all(workers, 5)

    assert [worker.returncode for worker in workers] == [7, -9]


@pytest.mark.parametrize(("shutdown", "stop"), [(1, 24), (10, 24), (19, 24), (20, 25), (60, 65)])
def test_workers_have_the_time_for_what_was_accepted_and_five_seconds_more(shutdown: float, stop: float) -> None:
    assert stop_seconds(HTTPLimits(shutdown_seconds=shutdown)) == stop


@pytest.mark.parametrize(
    ("host", "is_it"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("a.example", False)],  # noqa: S104 - it is refused
)
def test_only_this_machine_is_loopback(host: str, *, is_it: bool) -> None:
    assert is_loopback(host) is is_it
