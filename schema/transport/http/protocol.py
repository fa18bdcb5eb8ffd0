"""Connections of aiohttp's server, bounded where it would wait for ever: for a reader that stalls, or for a client that is gone.

Leans on aiohttp's private parts (3.14.4 and 3.14.5): how it queues requests, waits for the next one, and answers what is not
HTTP. A request that its parser has found whole may be answered straight, before it is queued, where the connection waits for
one; else aiohttp sees what its parser found, as if nobody had looked.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_request import BaseRequest

from schema.transport.http.clients import Received, Straight
from schema.transport.http.stalls import Stalls

# A client that only stopped sending may wait for its answer; one that is gone must not keep its request running. Most answers
# come before the first probe, and whoever is gone is found out by the second.
PROBE_SECONDS = 0.1
_LOG_SECONDS = 60.0
# Of messages of one client. Frames of nothing are no message, and nothing to aiohttp, which reads them without end.
# What comes from a client that was refused is read too, so that they learn why.
MOST_UNTAKEN = 1 << 20
# Of a message that waits; shorter ones are few for each connection, and are not looked at one by one.
COUNTED_BYTES = 4 << 10

# Of a request that could not be read, only the connection is known.
RefuseHeader = Callable[[web.Request, int], Awaitable[web.StreamResponse]]

STRAIGHT_PATH = "/graphql"  # The one of which requests are answered straight, as it stands in their first line.
_PARSERS = "aiohttp._http_parser"  # The compiled one: the straight way was not tested with Python's own.

logger = logging.getLogger(__name__)


class _Parser:
    """aiohttp's parser, whose result is hidden from aiohttp where `answers` says that it was answered."""

    def __init__(self, parser: Any, answers: Callable[[Any, Any], bool]) -> None:
        self._feed_data = parser.feed_data
        self._answers = answers
        self.feed_eof = parser.feed_eof
        self.message_consumed = parser.message_consumed
        self.pause_reading = parser.pause_reading
        self.set_upgraded = parser.set_upgraded

    def feed_data(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        found: tuple[Sequence[Any], bool, bytes] = self._feed_data(data)
        messages, is_upgraded, _ = found
        if len(messages) == 1 and not is_upgraded and self._answers(*messages[0]):
            self.message_consumed()
            return (), False, b""
        return found


class Connection(web.RequestHandler):
    """One connection. Whatever path it asks for, it has `write_seconds` to take each answer."""

    __slots__ = (
        "_answered",
        "_half_closed",
        "_probe",
        "_remote",
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
        self._remote: str | None = None
        # Of `_request_count`, after which the connection may be used for another.
        self._answered = 0
        if server.straight is not None and type(self._parser).__module__ == _PARSERS:
            self._parser = cast(Any, _Parser(self._parser, self._answers_straight))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tcp = tcp = cast(asyncio.Transport, transport)
        # Whatever the socket does not take is a stall that has begun.
        tcp.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        peer = tcp.get_extra_info("peername")
        self._remote = None if peer is None else str(peer[0] if isinstance(peer, list | tuple) else peer)
        self._server.admit(tcp)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        for timer in (self._stalled, self._probe):
            if timer is not None:
                timer.cancel()
        if self._tcp is not None:
            self._server.stalls.forget(self)
        self._tcp = None
        self._wake_writers()

    def data_received(self, data: bytes) -> None:
        if self.untaken is not None:
            self.untaken += len(data)
            if self.untaken > MOST_UNTAKEN:
                self.abort()
                return
        super().data_received(data)

    def _answers_straight(self, message: Any, payload: Any) -> bool:
        """Answer a request for which the connection was waiting, where that can be done at once; else leave it as it came."""
        straight = self._server.straight
        if straight is None or not self._is_idle() or not _is_whole(message, payload):
            return False
        try:
            response = straight(Received(message.headers, self._remote), payload._buffer[0])
        except Exception:
            logger.exception("A request could not be answered straight")
            return False
        if response is None or self._tcp is None:
            return False
        self._request_count += 1
        self._answered += 1
        self._server.requests_count += 1
        self._begin_idling()
        self._tcp.write(response)
        return True

    def _is_idle(self) -> bool:
        """Tell whether all that came is answered, the client has taken the answers, and it may send another request."""
        return (
            self._request_count == self._answered
            and not (self._half_closed or self._paused or self._reading_paused or self._buffer_paused)
            and self._tcp is not None
            and not self._tcp.is_closing()
            and not self._tcp.get_write_buffer_size()
        )

    def _begin_idling(self) -> None:
        """Have the connection closed where no request comes for so long, as aiohttp does after an answer."""
        self._next_keepalive_close_time = now = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(now, self._process_keepalive)

    def _process_keepalive(self) -> None:
        # An answer that was given straight may be on its way still: it has `write_seconds`, and idles from then on.
        if self._paused:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's
        # aiohttp knows of no answer that was given straight, and would cut it off.
        if self._paused and not self._request_in_progress:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._until_writable()
        await super().shutdown(timeout)

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp calls it at the end of every body, whether anything was paused or not.
        if resume_parser or self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

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
                self._server.stalls.bound_unsent(self)
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
            self._server.stalls.note(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wake_writers()
        if self._request_count == self._answered:
            self._begin_idling()
        if self._tcp is not None:
            self._server.stalls.forget(self)
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

    async def _handle_request(self, request: BaseRequest, *rest: Any) -> tuple[web.StreamResponse, bool]:
        await self._until_writable()  # aiohttp does so after its own answers, and knows of no straight one
        return await super()._handle_request(request, *rest)

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        finished = sent, is_reset = await super().finish_response(request, resp, start_time)
        if sent.keep_alive and not is_reset and request.content.is_eof():
            self._answered += 1
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
        return self._request_count > self._answered and self._waiter is None

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
        self,
        application: web.Server,
        *,
        options: dict[str, Any],
        max_connections: float,
        refuse_header: RefuseHeader | None,
        straight: Straight | None = None,
    ) -> None:
        super().__init__(
            application.request_handler,
            request_factory=application.request_factory,
            handler_cancellation=application.handler_cancellation,
        )
        self.refuse_header = refuse_header
        self.straight = straight
        self._options = options
        self._max_connections = max_connections
        self._logged = float("-inf")
        self.stalls = Stalls()

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


def _is_whole(message: Any, payload: Any) -> bool:
    """Tell whether a message is a usual POST to the one path, all of whose body came, in one piece, with it."""
    if (
        message.method != hdrs.METH_POST
        or message.path != STRAIGHT_PATH
        or message.version != HttpVersion11
        or message.should_close
        or message.upgrade
        or message.chunked
        or type(payload) is not StreamReader
        or not payload.is_eof()
        or payload.exception() is not None
        or len(payload._buffer) != 1
    ):
        return False
    headers = message.headers
    return (
        headers.get(hdrs.CONTENT_LENGTH) == str(len(payload._buffer[0]))
        # Headers by which a request asks for more than an answer, or says that its body is not as it came.
        and hdrs.EXPECT not in headers
        and hdrs.UPGRADE not in headers
        and hdrs.TRANSFER_ENCODING not in headers
        and hdrs.CONTENT_ENCODING not in headers
    )
