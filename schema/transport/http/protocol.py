"""Connections of aiohttp's server, bounded where it would wait for ever: for a reader that stalls, or for a client that is gone.

Leans on aiohttp's private parts (3.14.4): how it queues requests, waits for the next one, and answers what is not HTTP.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_request import BaseRequest

# A client that only stopped sending may wait for its answer; one that is gone must not keep its request running. Most answers
# come before the first probe, and whoever is gone is found out by the second.
PROBE_SECONDS = 0.1
_LOG_SECONDS = 60.0
# Of all answers together, before those whose readers stalled first are given up: there may be thousands of them.
MOST_UNSENT = 128 << 20
# Of messages of one client. Frames of nothing are no message, and nothing to aiohttp, which reads them without end.
# What comes from a client that was refused is read too, so that they learn why.
MOST_UNTAKEN = 1 << 20
# Of a message that waits; shorter ones are few for each connection, and are not looked at one by one.
COUNTED_BYTES = 4 << 10

# Of a request that could not be read, only the connection is known.
RefuseHeader = Callable[[web.Request, int], Awaitable[web.StreamResponse]]

logger = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """One connection. Whatever path it asks for, it has `write_seconds` to take each answer."""

    __slots__ = (
        "_half_closed",
        "_probe",
        "_server",
        "_stalled",
        "_tcp",
        "_waiting",
        "_writable",
        "_write_seconds",
        "untaken",
    )

    def __init__(self, server: "Server", *, write_seconds: float, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._write_seconds = write_seconds
        self._tcp: asyncio.Transport | None = None
        self._half_closed = False
        self._waiting = 0
        # Bytes of messages that came since one was taken, where the connection is one of messages.
        self.untaken: int | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._probe: asyncio.TimerHandle | None = None
        self._writable: asyncio.Event | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tcp = tcp = cast(asyncio.Transport, transport)
        # Whatever the socket does not take is a stall that has begun.
        tcp.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        self._server.admit(tcp)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        for timer in (self._stalled, self._probe):
            if timer is not None:
                timer.cancel()
        if self._tcp is not None:
            self._server.forget_stall(self)
        self._tcp = None
        self._wake_writers()

    def data_received(self, data: bytes) -> None:
        if self.untaken is not None:
            self.untaken += len(data)
            if self.untaken > MOST_UNTAKEN:
                self.abort()
                return
        super().data_received(data)

    def abort(self) -> None:
        """End it at once: what is unread or unsent is dropped."""
        if self._tcp is not None:
            self._tcp.abort()

    @property
    def unsent(self) -> int:
        """How many bytes wait for the client, here and in the transport."""
        return self._waiting + (self._tcp.get_write_buffer_size() if self._tcp is not None else 0)

    async def until_writable(self, size: int = 0) -> None:
        """Wait until the client has taken all that was sent, or is gone. Unlike in aiohttp's drain, several tasks may wait.

        `size` is how many bytes wait with the caller: they count among what is unsent.
        """
        self._waiting += size
        try:
            if size >= COUNTED_BYTES:
                self._server.bound_unsent(self)
            await self._until_writable()
        finally:
            self._waiting -= size

    async def _until_writable(self) -> None:
        while self.writing_paused and self._tcp is not None:
            if self._writable is None:
                self._writable = asyncio.Event()
            await self._writable.wait()

    def _wake_writers(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def pause_writing(self) -> None:
        super().pause_writing()
        # The transport, as aiohttp forgets its own when it closes, and what is unsent may still be there.
        if self._tcp is not None:
            self._stalled = self._loop.call_later(self._write_seconds, self._tcp.abort)
            self._server.note_stall(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wake_writers()
        if self._tcp is not None:
            self._server.forget_stall(self)
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's closes in any case; asyncio keeps it open for True
        """Keep a connection whose client has only stopped sending until what it sent is answered."""
        if self._half_closed:
            return True
        if not self._is_working() or self._payload_parser is not None:
            return False
        self._half_closed = True
        self._probe = self._loop.call_later(PROBE_SECONDS, self._probe_client, PROBE_SECONDS)
        return True

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        finished = await super().finish_response(request, resp, start_time)
        if self._half_closed and not self._messages:
            self.close()
        return finished

    def _is_working(self) -> bool:
        """Tell whether a request came whole, and is not answered yet."""
        if self._messages:
            return True
        request = self._current_request
        if request is not None:
            return request.content.is_eof()
        return self._request_count > 0 and self._waiter is None

    def _probe_client(self, pause: float) -> None:
        """Send an interim response: it is harmless to a client that waits, and the system of one that is gone refuses it."""
        if self._tcp is None:
            return
        connection: socket.socket = self._tcp.get_extra_info("socket")
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._tcp.abort()
            return
        request = self._current_request
        if request is not None and not request.writer.output_size and request.version >= HttpVersion11:
            self._tcp.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._probe = self._loop.call_later(pause, self._probe_client, 2 * pause)

    def _make_error_handler(self, err_info: Any) -> Callable[[BaseRequest], Awaitable[web.StreamResponse]]:
        refuse_header, error = self._server.refuse_header, err_info.exc

        async def handle(request: BaseRequest) -> web.StreamResponse:
            if refuse_header and isinstance(error, LineTooLong):
                return await refuse_header(cast(web.Request, request), int(error.args[1]))
            return self.handle_error(request, err_info.status, error, err_info.message)

        return handle


class Server(web.Server):
    """Makes the connections, at most `max_connections`, so that files and the database have descriptors left."""

    def __init__(
        self, application: web.Server, *, options: dict[str, Any], max_connections: float, refuse_header: RefuseHeader | None
    ) -> None:
        super().__init__(
            application.request_handler,
            request_factory=application.request_factory,
            handler_cancellation=application.handler_cancellation,
        )
        self.refuse_header = refuse_header
        self._options = options
        self._max_connections = max_connections
        self._logged = float("-inf")
        # In the order in which their readers stalled.
        self._stalled: dict[Connection, None] = {}

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._options)

    def admit(self, transport: asyncio.Transport) -> None:
        """Close a connection that has just been made, where there are too many; say so once a minute."""
        if len(self._connections) <= self._max_connections:
            return
        transport.abort()
        now = self._loop.time()
        if now - self._logged >= _LOG_SECONDS:
            self._logged = now
            logger.warning(
                "Connections are refused: %s are open, as many as the limit of open files leaves room for",
                len(self._connections) - 1,
            )

    def note_stall(self, connection: Connection) -> None:
        self._stalled[connection] = None
        self.bound_unsent(connection)

    def bound_unsent(self, newest: Connection) -> None:
        """Give up what has waited longest for its reader, where too many bytes are unsent; that of `newest` last."""
        unsent = sum(stalled.unsent for stalled in self._stalled)
        for stalled in sorted(self._stalled, key=lambda stalled: stalled is newest):
            if unsent <= MOST_UNSENT:
                return
            unsent -= stalled.unsent
            self.forget_stall(stalled)
            stalled.abort()

    def forget_stall(self, connection: Connection) -> None:
        self._stalled.pop(connection, None)
