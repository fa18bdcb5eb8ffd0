"""What a server writes to never stops it: its log's reader, its standard streams, the folder of its metrics, file descriptors."""

import fcntl
import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from storage.caller import Role
from tests.app.calling import COUNT, SECRET, ask, get, token
from tests.app.conftest import ONE_OR_TWO
from tests.conftest import APP, Server, environment

# More lines than a small pipe holds.
MANY = 60


@contextmanager
def writing_to(stdout: Any, folder: Path, *flags: str, limit: tuple[int, int] | None = None) -> Iterator[Server]:
    """Start a server whose standard output is `stdout`, perhaps with a limit of its own."""
    command = [sys.executable, APP, "serve", "--port", "0", *flags]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder, JWT_SECRET=SECRET),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=(lambda: resource.setrlimit(limit[0], (limit[1], limit[1]))) if limit else None,  # noqa: PLW1509 - no threads
    )
    try:
        assert process.stderr is not None
        found = next(found for line in process.stderr if (found := re.search(r"Serving (.+) at (http://[^/]+)/", line)))
        yield Server(found[2], folder / found[1], process, folder / "server.log", found[1])
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stderr:
            process.stderr.close()


def small_pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    if sys.platform == "linux":
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, writer


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "it did not come to pass"
        time.sleep(0.05)


def metric(server: Server, name: str) -> float:
    exported = get(server.port, "/metrics", Authorization=f"Bearer {token(Role.ADMIN)}")
    assert exported.status == 200
    return float(exported.body.decode().partition(f"\n{name} ")[2].partition("\n")[0])


def statuses(server: Server, number: int) -> set[int]:
    bearer = token(Role.VIEWER)
    return {ask(server.port, COUNT, bearer=bearer).status for _ in range(number)}


@ONE_OR_TWO
def test_a_log_reader_that_stalls_stops_neither_answers_nor_the_servers_end(tmp_path: Path, flags: tuple[str, ...]) -> None:
    reader, writer = small_pipe()
    with closing(os.fdopen(reader, "rb")), writing_to(writer, tmp_path, *flags) as server:
        os.close(writer)
        answered = statuses(server, MANY)
        counted = metric(server, "home_visits_log_lines_dropped_total")
        code = server.stop()

    assert (answered, counted, code) == ({200}, 0, 0)


def test_a_log_reader_that_stalls_for_a_while_gets_every_line(tmp_path: Path) -> None:
    reader, writer = small_pipe()
    with closing(os.fdopen(reader, "rb")) as file, writing_to(writer, tmp_path) as server:
        os.close(writer)
        answered = statuses(server, MANY)
        text = file.read1()
        server.process.terminate()
        text += file.read()
        code = server.process.wait(30)

    assert (answered, code) == ({200}, 0)
    assert [json.loads(line)["outcome"] for line in text.splitlines()] == ["ok"] * MANY


@ONE_OR_TWO
def test_lines_are_counted_whose_reader_is_gone(tmp_path: Path, flags: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    with writing_to(writer, tmp_path, *flags) as server:
        os.close(writer)
        os.close(reader)
        answered = statuses(server, 20)
        until(lambda: metric(server, "home_visits_log_lines_dropped_total") == 20)
        code = server.stop()

    assert (answered, code) == ({200}, 0)


@ONE_OR_TWO
def test_without_standard_streams_all_is_answered_and_nothing_is_logged_into_the_database(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, APP, "serve", "--port", str(port), *flags]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path, JWT_SECRET=SECRET))
    server = Server(f"http://127.0.0.1:{port}", tmp_path / "visits.db", process, tmp_path / "none", "none")  # type: ignore[arg-type]  # no text
    try:
        until(lambda: is_listening(port))
        answered = statuses(server, 20)
        until(lambda: metric(server, "home_visits_log_lines_dropped_total") == 20)
        ready = get(port, "/readyz").status
    finally:
        process.terminate()
        code = process.wait(30)

    assert (answered, ready, code) == ({200}, 200, 0)
    assert b'"event":"request"' not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def is_listening(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def test_lines_that_a_full_disk_refuses_are_counted(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with Path("/dev/full").open("wb") as full, writing_to(full, tmp_path) as server:
        answered = statuses(server, 20)
        until(lambda: metric(server, "home_visits_log_lines_dropped_total") == 20)
        code = server.stop()

    assert (answered, code) == ({200}, 0)


def test_connections_that_use_up_file_descriptors_are_refused_while_others_are_served(tmp_path: Path) -> None:
    with (tmp_path / "server.log").open("w") as log, writing_to(log, tmp_path, limit=(resource.RLIMIT_NOFILE, 90)) as server:
        first = statuses(server, 1)
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        kept, other = connections[0], connections[-1]
        other.settimeout(20)
        with suppress(ConnectionError):
            assert other.recv(1) == b""
        kept.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = kept.recv(100)
        for connection in connections:
            connection.close()
        until(lambda: is_answered(server))
        after = statuses(server, 5)
        code = server.stop()

    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    refusals = [line["event"] for line in lines if line["event"] != "request"]
    assert (first, answer[:15], after, code) == ({200}, b"HTTP/1.1 200 OK", {200}, 0)
    assert [re.sub(r"\d+", "N", event) for event in refusals] == [
        "Connections are refused: N are open, as many as the limit of open files leaves room for"
    ]


def is_answered(server: Server) -> bool:
    with suppress(OSError):
        return get(server.port, "/healthz").status == 200
    return False
