"""One process that serves: the socket it listens on, until a signal to stop, then to the end of what it accepted."""

import asyncio
import contextlib
import ipaddress
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web

from schema.server.closing import accepted, refuse_new_connections
from schema.server.descriptors import for_connections, raise_limit
from schema.server.settings import Unstartable
from schema.server.supervisor import stop_signals, tell_supervisor
from schema.transport.http.clients import Straight
from schema.transport.http.connections import HTTPLimits, Runner, drain
from schema.transport.http.protocol import RefuseHeader

BACKLOG = 1024
UNREAD_BYTES = 256 * 1024

# From when it is called, responses close their connections.
DRAIN: web.AppKey[Callable[[], None]] = web.AppKey("drain")
# Answers a request whose headers are too long to be read.
REFUSE_HEADER: web.AppKey[RefuseHeader] = web.AppKey("refuse_header")
# Answers GraphQL at once where it can; there is none where every request takes the ordinary way.
STRAIGHT: web.AppKey[Straight] = web.AppKey("straight")


def is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise Unstartable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # then comes the address once more
        raise Unstartable(f"Cannot listen at {host}:{port}: {reason}. Choose another --host or --port.") from None
    # What the system keeps for each reader that stalls: left to itself, megabytes.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
    return listener


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
    raise_limit()
    runner = Runner(app, limits, max_connections=for_connections, refuse_header=app[REFUSE_HEADER], straight=app.get(STRAIGHT))
    await runner.setup()
    await web.SockSite(runner, listener, backlog=BACKLOG).start()
    if ready:
        ready()
    else:
        tell_supervisor()
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
    for number in stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
