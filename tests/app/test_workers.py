"""Several processes behind one address."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.caller import Role
from tests.app.calling import COUNT, SECRET, ask, get, token
from tests.conftest import Server, StartServer

COUNTED = 'home_visits_requests_total{operation="Counted",outcome="ok",type="query"} '


def children(server: Server) -> set[int]:
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return {int(pid) for pid in listed.split()}


def serving(server: Server) -> set[int]:
    """Return the workers that have opened the database: those that answer."""
    return {pid for pid in children(server) if any(is_open(file, server.database) for file in Path(f"/proc/{pid}/fd").iterdir())}


def is_open(file: Path, path: Path) -> bool:
    try:
        return file.readlink() == path
    except FileNotFoundError:
        return False


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come to pass"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Tell whether a process lives: one that has ended may wait for a while to be noticed."""
    try:
        return not re.search(r"State:\s+Z", Path(f"/proc/{pid}/status").read_text())
    except FileNotFoundError:
        return False


def test_metrics_are_those_of_all_workers_together(start_server: StartServer) -> None:
    server = start_server("--workers", "2", JWT_SECRET=SECRET)
    until(lambda: len(serving(server)) == 2)

    def counted() -> float:
        metrics = get(server.port, "/metrics", Authorization=f"Bearer {token(Role.ADMIN)}").body.decode()
        return float(metrics.partition(COUNTED)[2].partition("\n")[0] or 0)

    statuses = [ask(server.port, f"query Counted {COUNT}", bearer=token(Role.VIEWER)).status for _ in range(50)]
    # The worker that answers flushes its own at once, the other one in a moment.
    until(lambda: counted() == 50)

    assert statuses == [200] * 50
    assert {counted() for _ in range(10)} == {50.0}


def test_a_worker_that_is_killed_is_replaced(start_server: StartServer) -> None:
    server = start_server("--workers", "2", JWT_SECRET=SECRET)
    until(lambda: len(serving(server)) == 2)
    before = children(server)
    killed = min(before)

    os.kill(killed, signal.SIGKILL)
    until(lambda: len(serving(server)) == 2 and killed not in children(server))
    statuses = [ask(server.port, COUNT, bearer=token(Role.VIEWER)).status for _ in range(20)]

    assert len(children(server) - before) == 1
    assert statuses == [200] * 20
    assert f"Worker {killed} ended with the code -9 and is replaced" in server.log.read_text()
    assert server.stop() == 0


def test_workers_end_when_their_supervisor_is_gone(start_server: StartServer) -> None:
    server = start_server("--workers", "2", JWT_SECRET=SECRET)
    until(lambda: len(serving(server)) == 2)
    workers = children(server)

    server.process.kill()
    server.process.wait()

    until(lambda: not any(is_running(pid) for pid in workers))


def test_workers_leave_nothing_behind(start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = start_server("--workers", "2", JWT_SECRET=SECRET)
    until(lambda: len(serving(server)) == 2)
    workers, folders = children(server), list(tmp_path.glob("home-visits-*"))

    code = server.stop()

    assert (code, [pid for pid in workers if is_running(pid)]) == (0, [])
    assert len(folders) == 1
    assert list(tmp_path.glob("home-visits-*")) == []
