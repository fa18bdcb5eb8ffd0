"""Processes: one socket to listen on, served by one process, or by several that a supervisor starts, replaces and stops."""

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
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from schema.server.closing import accepted, refuse_new_connections
from schema.server.metrics import forget_process
from schema.server.settings import Unstartable, worker_environment
from schema.transport.http.connections import HTTPLimits, drain, server_options

BACKLOG = 1024
POLL_SECONDS = 0.2
RESTART_SECONDS = 0.5

Worker = subprocess.Popen[bytes]

# From when it is called, responses close their connections.
DRAIN: web.AppKey[Callable[[], None]] = web.AppKey("drain")

log = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise Unstartable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # then comes the address once more
        raise Unstartable(f"Cannot listen at {host}:{port}: {reason}. Choose another --host or --port.") from None


def inherit(number: int) -> socket.socket:
    """Return the listening socket of the supervisor."""
    return socket.socket(fileno=number)


def address(listener: socket.socket) -> str:
    """Return host and port of a socket as a URL has them."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def serve(
    app: web.Application, listener: socket.socket, limits: HTTPLimits, ready: Callable[[], None] | None = None
) -> None:
    """Serve until a signal to stop; then finish what was accepted. Calls `ready` once it serves.

    Without `ready` it is a worker, which also stops when its supervisor is gone.
    """
    stop = _stop_event()
    if ready is None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    runner = web.AppRunner(app, **server_options(limits))
    await runner.setup()
    await web.SockSite(runner, listener, backlog=BACKLOG).start()
    if ready:
        ready()
    await stop.wait()
    if ready is None:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    app[DRAIN]()
    refuse_new_connections(listener)
    await accepted(listener)
    await drain(runner)
    await runner.cleanup()


async def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run until a signal to stop."""
    stop = _stop_event()
    task = asyncio.create_task(work)
    await stop.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def stop_seconds(limits: HTTPLimits) -> float:
    """Return how long workers may take to stop before they are killed.

    What was accepted has `shutdown_seconds`, and all around it 5 s more; 24 s in any case, so that the server ends within 25 s.
    """
    return max(24.0, limits.shutdown_seconds + 5.0)


def supervise(workers: int, listener: socket.socket, limits: HTTPLimits, ready: Callable[[], None]) -> None:
    """Run this very command in several processes that inherit the socket, until a signal to stop; replace one that dies."""
    signals = list[int]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: signals.append(number))
    with tempfile.TemporaryDirectory(prefix="home-visits-") as folder:
        start = partial(_start, listener, Path(folder))
        running = [start() for _ in range(workers)]
        ready()
        while not signals:
            time.sleep(POLL_SECONDS)
            for index, worker in enumerate(running):
                if worker.poll() is not None:
                    log.error("Worker %s ended with the code %s and is replaced", worker.pid, worker.returncode)
                    forget_process(Path(folder), worker.pid)
                    # One that cannot start must not take the machine for itself.
                    time.sleep(RESTART_SECONDS)
                    running[index] = start()
        refuse_new_connections(listener)
        listener.close()
        stop_all(running, stop_seconds(limits))


def _start(listener: socket.socket, folder: Path) -> Worker:
    return subprocess.Popen(  # noqa: S603 - ourselves again
        [*sys.orig_argv, "--inherited", str(listener.fileno())],
        env=worker_environment(folder),
        pass_fds=[listener.fileno()],
        # Never written to: its end tells a worker that its supervisor is gone.
        stdin=subprocess.PIPE,
        # A Ctrl-C at the terminal is for the supervisor, which passes it on.
        process_group=0,
    )


def stop_all(workers: list[Worker], seconds: float) -> None:
    """Ask workers to stop, and kill those that have not within so many seconds."""
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + seconds
    for worker in workers:
        try:
            worker.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
