"""One socket to listen at, and one process or several that serve it until they are told to stop."""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from schema.server.closing import all_taken_in, turn_newcomers_away
from schema.server.metrics import forget_process
from schema.server.settings import Unstartable
from schema.transport.http.connections import HTTPLimits, drained, server_options

BACKLOG = 1024
GLANCE_SECONDS = 0.2
RESTART_SECONDS = 0.5
STOP_SECONDS = 24.0
# Where prometheus-client looks for the folder in which several processes keep their numbers together.
SHARED_NUMBERS = "PROMETHEUS_MULTIPROC_DIR"

# From when it is called, answers tell their clients that the connection ends.
DRAIN: web.AppKey[Callable[[], None]] = web.AppKey("drain")

log = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raise Unstartable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # then comes the address once more
        raise Unstartable(f"Cannot listen at {host}:{port}: {reason}. Choose another --host or --port.") from None


def inherited(number: int) -> socket.socket:
    """Return the socket that a supervisor listens at."""
    return socket.socket(fileno=number)


def address(listener: socket.socket) -> str:
    """Return the host and the port that a socket listens at, as a URL names them."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def serve_until_told(
    app: web.Application, shared: socket.socket, limits: HTTPLimits, ready: Callable[[], None] | None = None
) -> None:
    """Serve until told to stop; then finish what was accepted. Calls `ready` once it serves.

    A worker, who has nobody to tell that it is ready, also stops when its supervisor is gone.
    """
    told = _told_to_stop()
    if ready is None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), told.set)
    runner = web.AppRunner(app, **server_options(limits))
    await runner.setup()
    await web.SockSite(runner, shared, backlog=BACKLOG).start()
    if ready:
        ready()
    await told.wait()
    if ready is None:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    app[DRAIN]()
    turn_newcomers_away(shared)
    await all_taken_in(shared)
    await drained(runner)
    await runner.cleanup()


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Work until told to stop."""
    told = _told_to_stop()
    task = asyncio.create_task(work)
    await told.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _told_to_stop() -> asyncio.Event:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


def supervise(workers: int, shared: socket.socket, environment: Mapping[str, str], ready: Callable[[], None]) -> None:
    """Run this very command in several processes that inherit the socket, until told to stop; replace one that dies."""
    told = list[int]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: told.append(number))
    with tempfile.TemporaryDirectory(prefix="home-visits-") as numbers:
        start = partial(_start, shared, {**environment, SHARED_NUMBERS: numbers})
        serving = [start() for _ in range(workers)]
        ready()
        while not told:
            time.sleep(GLANCE_SECONDS)
            for place, process in enumerate(serving):
                if process.poll() is not None:
                    log.error("Worker %s ended with the code %s and is replaced", process.pid, process.returncode)
                    forget_process(Path(numbers), process.pid)
                    # One that cannot start must not take the machine for itself.
                    time.sleep(RESTART_SECONDS)
                    serving[place] = start()
        turn_newcomers_away(shared)
        shared.close()
        _stop(serving)


def _start(shared: socket.socket, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - ourselves again
        [*sys.orig_argv, "--inherited", str(shared.fileno())],
        env=environment,
        pass_fds=[shared.fileno()],
        # Never written to: its end tells a worker that nobody looks after it any more.
        stdin=subprocess.PIPE,
        # A Ctrl-C at the terminal is for the supervisor, which passes it on.
        process_group=0,
    )


def _stop(serving: list["subprocess.Popen[bytes]"]) -> None:
    for process in serving:
        process.terminate()
    until = time.monotonic() + STOP_SECONDS
    for process in serving:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
