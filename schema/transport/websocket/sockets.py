"""A WebSocket whose client is bounded: in the size of its frames, in how long it may be silent, and in what waits for it."""

import asyncio
import logging
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from schema.transport.http.protocol import Connection
from schema.transport.websocket.messages import PROTOCOL, CloseCode, Closed, Flooding, close_reason

# For the client's part of a close.
CLOSING_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """Times in seconds, the size of a frame in bytes, operations of one connection, and events kept for one that is busy."""

    init_seconds: float = 5.0
    heartbeat_seconds: float = 20.0
    frame: int = 64 * 1024
    operations: int = 20
    queue: int = 100


class IdleMessages:
    """Counts what asks for nothing, such as pings: a few are there at once, and then so many a second."""

    AT_ONCE: Final = 200
    A_SECOND: Final = 20

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: float = self.AT_ONCE
        self._since = clock()

    def count(self) -> None:
        """Raise Closed where there are too many: each costs as much as it takes to answer a short one."""
        now = self._clock()
        self._left = min(self.AT_ONCE, self._left + (now - self._since) * self.A_SECOND) - 1
        self._since = now
        if self._left < 0:
            raise Flooding(CloseCode.BAD_REQUEST, f"Send fewer pings: at most {self.A_SECOND} a second.")


class Socket(web.WebSocketResponse):
    """aiohttp's WebSocket, uncompressed: the state of a compressor is five times what a subscriber may take."""

    def __init__(self, limits: WebSocketLimits) -> None:
        super().__init__(
            timeout=CLOSING_SECONDS,
            # Its answers would pile up for a client that sends pings and reads nothing.
            autoping=False,
            heartbeat=limits.heartbeat_seconds,
            protocols=(PROTOCOL,),
            compress=False,
            max_msg_size=limits.frame,
            # It is `_until_writable` that waits: aiohttp's own is no use to several senders, of which one is cancelled.
            writer_limit=sys.maxsize,
        )
        self._patience = limits.heartbeat_seconds
        self._too_big = close_reason(f"A message may have {limits.frame:,} bytes.")
        self._connection: Connection

    async def open(self, request: web.Request) -> None:
        self._connection = cast(Connection, request.protocol)
        await self.prepare(request)
        self._connection.untaken = 0

    def note_taken(self) -> None:
        """Have the client send on: a message of theirs was taken."""
        self._connection.untaken = 0

    @property
    def is_blocked(self) -> bool:
        """Whether the client has not taken what was sent before."""
        return self._connection.writing_paused

    async def send(self, message: bytes) -> None:
        """Send a message, once the client has taken those before it; raise ConnectionError, or Closed where it takes none."""
        if self.is_blocked:
            await self._until_writable(len(message))
        await self.send_frame(message, WSMsgType.TEXT)

    async def answer_ping(self, data: bytes) -> None:
        if self.is_blocked:
            await self._until_writable()
        await self.pong(data)

    async def end(self, closed: Closed) -> None:
        """Close, after what was sent; wait for the client's part, but not for ever."""
        if isinstance(closed, Flooding):
            # aiohttp's close goes on to read.
            self._connection.pause_reading()
            await self._linger(closed.code, close_reason(closed.reason))
            self._connection.abort()
        else:
            await self.close(code=closed.code, message=close_reason(closed.reason), drain=False)

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        if self._reader is not None and isinstance(self._reader.exception(), WebSocketError) and not self.closed:
            # What was refused still arrives: a socket closed on unread bytes is reset, and the client never learns the code.
            await self._linger(code, self._too_big if code == WSCloseCode.MESSAGE_TOO_BIG else message)
        return await super().close(code=code, message=message, drain=drain)

    async def _linger(self, code: int, message: bytes) -> None:
        try:
            await self.send_frame(struct.pack("!H", code) + message, WSMsgType.CLOSE)
        except ConnectionError:
            return
        await asyncio.sleep(CLOSING_SECONDS)

    async def _until_writable(self, size: int = 0) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._connection.until_writable(size)
        except TimeoutError:
            raise stalled() from None


def stalled() -> Closed:
    return Closed(CloseCode.STALLED, "You take messages too slowly: connect again, and resume from your last cursor.")


def _is_not_about_subprotocols(record: logging.LogRecord) -> bool:
    """Leave out what aiohttp logs of a client that speaks none of our subprotocols: whoever sends it could fill the log."""
    return "Client protocols" not in str(record.msg)


logging.getLogger("aiohttp.websocket").addFilter(_is_not_about_subprotocols)
