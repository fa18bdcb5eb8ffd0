"""Limits on one connection: bytes of a body, seconds to send, to idle and to read, and how connections end."""

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from schema.transport.http.clients import Straight
from schema.transport.http.protocol import RefuseHeader, Server

# How aiohttp says that what came is not HTTP, at once or while a body is read.
NOT_HTTP = (HttpProcessingError, web.RequestPayloadError)

# Bytes of a request's first line, and of a header with its name: some more than Authorization may have.
LONGEST_LINE = 8 * 1024
LONGEST_HEADER = 17 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HTTPLimits:
    """Sizes in bytes, times in seconds. `keep_alive_seconds` bounds a request's headers as well."""

    body: int = 256 * 1024
    body_seconds: float = 5.0
    execution_seconds: float = 10.0
    keep_alive_seconds: float = 15.0
    write_seconds: float = 30.0
    shutdown_seconds: float = 10.0


class Runner(web.AppRunner):
    """aiohttp's, whose connections are bounded on every path. `refuse_header` answers where a header is too long to be read.

    `straight` answers GraphQL at once where it can.
    """

    def __init__(
        self,
        app: web.Application,
        limits: HTTPLimits,
        *,
        max_connections: Callable[[], float] = lambda: math.inf,
        refuse_header: RefuseHeader | None = None,
        straight: Straight | None = None,
    ) -> None:
        # A client that leaves frees what was working for it.
        super().__init__(app, handler_cancellation=True, shutdown_timeout=limits.shutdown_seconds)
        self._limits = limits
        self._max_connections = max_connections
        self._refuse_header = refuse_header
        self._straight = straight

    async def setup(self) -> None:
        await super().setup()
        if self.server:
            options = _connection_options(self._limits)
            # Counted once the database and all else is open.
            most = self._max_connections()
            self._server = Server(
                self.server, options=options, max_connections=most, refuse_header=self._refuse_header, straight=self._straight
            )


def _connection_options(limits: HTTPLimits) -> dict[str, Any]:
    return {
        "write_seconds": limits.write_seconds,
        # Counted from the connection's start and from each answer until the next request's headers are complete.
        "keepalive_timeout": limits.keep_alive_seconds,
        # How long the rest of a body refused unread is taken in, so that its sender gets to read the refusal.
        "lingering_time": 2.0,
        # A compressed body is refused: 256 KiB of it could hold gigabytes.
        "auto_decompress": False,
        "max_line_size": LONGEST_LINE,
        "max_field_size": LONGEST_HEADER,
        "access_log": None,
        "logger": logger,
    }


async def hang_up(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Send a small response and close at once, without waiting for the rest of a body that does not come."""
    await response.prepare(request)
    await response.write_eof()
    request.protocol.force_close()
    return response


async def drain(runner: web.AppRunner, seconds: float = 2.0) -> None:
    """Stop listening, then wait until each connection has ended, as `Endpoint.drain` announces it, or for so long.

    To close an idle connection at once would fail the request that is just on its way to it.
    """
    for site in runner.sites:
        await site.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while runner.server and runner.server.connections:  # noqa: ASYNC110 - aiohttp has no event for a connection's end
                await asyncio.sleep(0.02)


def _is_not_about_input(record: logging.LogRecord) -> bool:
    """Leave out what aiohttp logs, with a traceback, of a request that is not HTTP: whoever sends it could fill the log."""
    return not (record.exc_info and isinstance(record.exc_info[1], NOT_HTTP))


logger.addFilter(_is_not_about_input)
