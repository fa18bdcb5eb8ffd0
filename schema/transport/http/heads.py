"""Usual answers, their heads built as bytes: to list headers and to serialise them takes longer than most answers do."""

import time
from email.utils import formatdate
from functools import lru_cache

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from schema.transport.http.negotiation import GRAPHQL_RESPONSE, JSON

# Right for everything that is not a page. A page brings its own Content-Security-Policy.
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "home-visits",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
VARY = "Accept, Accept-Encoding, Origin"
EXPOSED = "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"

_FIRST_LINES = {
    (media_type, compressed): "".join(
        f"{line}\r\n"
        for line in (
            "HTTP/1.1 200 OK",
            *(f"{name}: {value}" for name, value in SECURITY_HEADERS.items()),
            f"Content-Type: {media_type}; charset=utf-8",
            f"Vary: {VARY}",
            *(["Content-Encoding: gzip"] if compressed else []),
        )
    ).encode()
    for media_type in (GRAPHQL_RESPONSE, JSON)
    for compressed in (False, True)
}
_HEAD = b"%bX-Request-Id: %b\r\n%bContent-Length: %d\r\nDate: %b\r\n%b\r\n"
_ORIGIN = b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Expose-Headers: " + EXPOSED.encode() + b"\r\n"
_CLOSE = b"Connection: close\r\n"


def head(
    media_type: str, length: int, request_id: str, *, compressed: bool = False, origin: str | None = None, closes: bool = False
) -> bytes:
    """Return all before the body of an HTTP/1.1 response with status 200. `origin` is one that may read it."""
    return _HEAD % (
        _FIRST_LINES[media_type, compressed],
        request_id.encode("ascii"),
        _ORIGIN % origin.encode("ascii") if origin is not None else b"",
        length,
        _date(int(time.time())),
        _CLOSE if closes else b"",
    )


class PrebuiltResponse(web.StreamResponse):
    """A response with status 200 to a request of HTTP/1.1 that may have a body. No signal is sent for it."""

    def __init__(self, media_type: str, body: bytes, request_id: str, *, compressed: bool, origin: str | None) -> None:
        super().__init__()
        self._media_type = media_type
        self._content = body
        self._request_id = request_id
        self._compressed = compressed
        self._origin = origin
        self._closes = False
        self._writer: AbstractStreamWriter | None = None
        self._is_sent = False

    @property
    def keep_alive(self) -> bool:
        return not self._closes

    @property
    def prepared(self) -> bool:
        return self._writer is not None

    def force_close(self) -> None:
        self._closes = True

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter:
        if self._writer is None:
            self._writer = request.writer
            self._closes = self._closes or not request.keep_alive
        return self._writer

    async def write_eof(self, data: bytes = b"") -> None:
        if self._writer is None or data:
            raise RuntimeError("It is sent once, whole, after it was prepared.")
        if not self._is_sent:
            self._is_sent = True
            await self._writer.write_eof(self._head() + self._content)

    def _head(self) -> bytes:
        return head(
            self._media_type,
            len(self._content),
            self._request_id,
            compressed=self._compressed,
            origin=self._origin,
            closes=self._closes,
        )


@lru_cache(1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
