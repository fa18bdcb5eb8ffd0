"""Several processes behind one address."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from storage.caller import Role
from tests import databases
from tests.app.calling import COUNT, SECRET, ask, get, token
from tests.app.conftest import ONE_OR_TWO
from tests.conftest import APP, Server, StartServer, environment

COUNTED = 'home_visits_requests_total{operation="Counted",outcome="ok",type="query"} '


def children(server: Server) -> set[int]:
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return {int(pid) for pid in listed.split()}


def serving(server: Server) -> set[int]:
    """Return the workers that have opened the database: those that answer."""
    names = names_of_open(server.database)
    return {pid for pid in children(server) if any(is_one_of(names, file) for file in Path(f"/proc/{pid}/fd").iterdir())}


def names_of_open(database: Path) -> set[str]:
    """Return what is among the open files of a process that has opened the database."""
    if databases.is_sqlite():
        return {str(database)}
    port = urlsplit(databases.url_of(database)).port
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{inode}]" for _, _, remote, *_, inode in (row[:10] for row in rows) if int(remote[-4:], 16) == port}


def is_one_of(names: set[str], file: Path) -> bool:
    try:
        return str(file.readlink()) in names
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


@pytest.mark.slow
def test_what_a_killed_supervisor_leaves_is_removed_by_the_next(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    killed = start_server("--workers", "2", JWT_SECRET=SECRET)
    workers, [left] = children(killed), tmp_path.glob("home-visits-*")
    killed.process.kill()
    killed.process.wait()
    until(lambda: not any(is_running(pid) for pid in workers))

    start_server("--workers", "2", JWT_SECRET=SECRET)

    [folder] = tmp_path.glob("*home-visits-*")
    assert folder != left


@ONE_OR_TWO
def test_a_terminal_that_closes_ends_a_server_as_any_stop(start_server: StartServer, flags: tuple[str, ...]) -> None:
    server = start_server(*flags, JWT_SECRET=SECRET)

    code = server.stop(signal.SIGHUP)

    assert (code, server.log.read_text()) == (0, "")


@ONE_OR_TWO
def test_a_server_of_nohup_outlives_its_terminal(
    start_server: StartServer, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What nohup does: children inherit what is ignored.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        server = start_server(*flags, JWT_SECRET=SECRET)
    finally:
        signal.signal(signal.SIGHUP, before)

    for pid in (server.process.pid, *children(server)):
        os.kill(pid, signal.SIGHUP)
    statuses = [ask(server.port, COUNT, bearer=token(Role.VIEWER)).status for _ in range(5)]

    assert (statuses, server.stop()) == ([200] * 5, 0)


def test_a_supervisor_none_of_whose_workers_can_start_gives_up_and_says_so(tmp_path: Path) -> None:
    # Workers see settings of their own: those of the supervisor are right.
    hook = tmp_path / "sitecustomize.py"
    hook.write_text("import sys\nif '--inherited' in sys.orig_argv: sys.exit('not today')\n")
    variables = environment(tmp_path, JWT_SECRET=SECRET) | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, APP, "serve", "--port", "0", "--workers", "2"]

    ended = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False)

    pauses = [float(pause) for pause in re.findall(r"is replaced in ([\d.]+) s", ended.stdout)]
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("home-visits: No worker could start, 3 times each;")
    # Two that end at once may write into each other's lines.
    assert "SystemExit: not today" in ended.stderr
    assert "Serving" not in ended.stderr
    assert sorted(pauses) == [0.5, 0.5, 1, 1, 2, 2]


@pytest.mark.slow
def test_what_workers_accepted_has_all_of_a_long_time(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--dev", HTTP__BODY_SECONDS="60", HTTP__SHUTDOWN_SECONDS="26")
    head = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head)
        time.sleep(1)
        began = time.monotonic()
        server.process.terminate()
        answer = connection.recv(10_000)
        seconds = time.monotonic() - began

    assert b'"The server is stopping. Send the request again."' in answer
    assert seconds > 26
    assert server.process.wait(10) == 0


@pytest.mark.slow
def test_workers_leave_nothing_behind(start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = start_server("--workers", "2", JWT_SECRET=SECRET)
    until(lambda: len(serving(server)) == 2)
    workers, folders = children(server), list(tmp_path.glob("home-visits-*"))

    code = server.stop()

    assert (code, [pid for pid in workers if is_running(pid)]) == (0, [])
    assert len(folders) == 1
    assert list(tmp_path.glob("home-visits-*")) == []
