"""One socket to listen at, and several processes that serve it."""

import contextlib
import ipaddress
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping

RESTART_SECONDS = 0.5


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raise OSError where it cannot."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024)


def is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def supervise(workers: int, shared: socket.socket, environment: Mapping[str, str]) -> None:
    """Run this very command in several processes that inherit the socket, until told to stop; replace one that dies."""
    command = [*sys.orig_argv, "--inherited", str(shared.fileno())]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=environment, pass_fds=[shared.fileno()])  # noqa: S603 - ourselves again

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    serving = [start() for _ in range(workers)]
    while not stopping.wait(RESTART_SECONDS):
        serving = [process if process.poll() is None else start() for process in serving]
    for process in serving:
        process.terminate()
    for process in serving:
        process.wait()
