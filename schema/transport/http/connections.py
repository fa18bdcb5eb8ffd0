"""Limits on one connection: bytes of a body, seconds to send, to idle and to read, and how connections end."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

# How aiohttp says that what came is not HTTP, at once or while a body is read.
NOT_HTTP = (HttpProcessingError, web.RequestPayloadError)

# An asyncio transport pauses its writer at 64 KiB; the headers need room too.
_UNSENT_BYTES = 60 * 1024

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


def server_options(limits: HTTPLimits) -> dict[str, Any]:
    """List the options of `aiohttp.web.AppRunner` that make these limits hold."""
    return {
        # A client that leaves frees what was working for it.
        "handler_cancellation": True,
        # Counted from the connection's start and from each answer until the next request's headers are complete.
        "keepalive_timeout": limits.keep_alive_seconds,
        # How long the rest of a body refused unread is taken in, so that its sender gets to read the refusal.
        "lingering_time": 2.0,
        "shutdown_timeout": limits.shutdown_seconds,
        # A compressed body is refused: 256 KiB of it could hold gigabytes.
        "auto_decompress": False,
        "access_log": None,
        "logger": logger,
    }


async def deliver(request: web.Request, response: web.Response, limits: HTTPLimits) -> web.Response:
    """Send a response, and abort the connection of a reader that stalls: aiohttp would wait for ever.

    One that fits the connection's buffer is left to aiohttp.
    """
    transport = request.transport
    size = len(response.body) if isinstance(response.body, bytes) else 0
    if transport is None or transport.get_write_buffer_size() + size < _UNSENT_BYTES:
        return response
    try:
        async with asyncio.timeout(limits.write_seconds):
            await _send(request, response)
    except TimeoutError:
        transport.abort()
    except ConnectionError:
        # The reader left: aiohttp finds that out for itself.
        pass
    return response


async def hang_up(request: web.Request, response: web.Response) -> web.Response:
    """Send a small response and close at once, without waiting for the rest of a body that does not come."""
    await _send(request, response)
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


async def _send(request: web.Request, response: web.Response) -> None:
    await response.prepare(request)
    await response.write_eof()


def _is_not_about_input(record: logging.LogRecord) -> bool:
    """Leave out what aiohttp logs, with a traceback, of a request that is not HTTP: whoever sends it could fill the log."""
    return not (record.exc_info and isinstance(record.exc_info[1], NOT_HTTP))


logger.addFilter(_is_not_about_input)
