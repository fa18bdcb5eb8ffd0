"""What clients send, right and wrong, in pieces: streams of requests drawn by chance, and a wire to send them on."""

import asyncio
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from schema.transport.http.protocol import Connection

# What is done on a wire beside sending: wait until nothing more comes, or for a turn of the loop; stop taking; take again; end.
SETTLE, TURN, STALL, TAKE, END = "settle", "turn", "stall", "take", "end"
Step = bytes | str

_DIFFERS = re.compile(rb'(?<=X-Request-Id: )[0-9a-f]{16}|(?<="requestId":")[0-9a-f]{16}|(?<=Date: )[^\r]+')
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport without a socket. It takes what is written at once, unless it is stalled."""

    def __init__(self, protocol: Connection) -> None:
        super().__init__({"peername": ("192.0.2.1", 5000)})
        self._protocol = protocol
        self._sent: list[bytes] = []
        self._unsent: list[bytes] = []
        self._received: list[bytes | None] = []
        self._is_paused = False
        self._is_stalled = False
        self.is_closed = False
        protocol.connection_made(self)

    @property
    def sent(self) -> bytes:
        """What was written and taken, without what differs each time, and what tells a client only to wait."""
        return _DIFFERS.sub(b"*", b"".join(self._sent)).replace(_INTERIM, b"")

    def receive(self, data: bytes | None) -> None:
        """Take what the client sends; None: it sends nothing more."""
        self._received.append(data)
        self._deliver()

    def stall(self) -> None:
        self._is_stalled = True

    def take(self) -> None:
        self._is_stalled = False
        if self._unsent:
            self._sent += self._unsent
            self._unsent.clear()
            self._protocol.resume_writing()
            self._end_if_closed()

    def _deliver(self) -> None:
        while self._received and not self._is_paused and not self.is_closed:
            data = self._received.pop(0)
            if data is not None:
                self._protocol.data_received(data)
            elif not self._protocol.eof_received():
                self.close()

    def write(self, data: Any) -> None:
        if not self._is_stalled:
            self._sent.append(bytes(data))
            return
        if not self._unsent:
            self._unsent.append(bytes(data))
            self._protocol.pause_writing()
        else:
            self._unsent.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._unsent))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As the server has it, nothing may wait."""

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._end_if_closed()

    def abort(self) -> None:
        self._unsent.clear()
        self.close()

    def _end_if_closed(self) -> None:
        if self.is_closed and not self._unsent:
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            asyncio.get_running_loop().call_soon(self._deliver)


async def settle(wire: Wire) -> None:
    """Wait until nothing has been sent for some turns of the loop."""
    quiet, sent = 0, b""
    while quiet < 12:
        await asyncio.sleep(0)
        quiet, sent = (quiet + 1, sent) if wire.sent == sent else (0, wire.sent)


async def run(protocol: Connection, steps: list[Step]) -> Wire:
    """Do each step on a new connection, then take all that is left."""
    wire = Wire(protocol)
    for step in steps:
        if isinstance(step, bytes):
            wire.receive(step)
        elif step == SETTLE:
            await settle(wire)
        elif step == TURN:
            await asyncio.sleep(0)
        elif step == END:
            wire.receive(None)
        else:
            wire.stall() if step == STALL else wire.take()
    wire.take()
    await settle(wire)
    return wire


class Lines(NamedTuple):
    """A request: the first line and the headers as they are written, and all that follows."""

    first: bytes
    headers: list[bytes]
    body: bytes

    def written(self, ending: Callable[[], bytes]) -> bytes:
        return b"".join(line + ending() for line in (self.first, *self.headers, b"")) + self.body


DOCUMENTS = [
    *(["{ hello }"] * 20),
    '{ hello(name: "\u00e9") }',
    "query Long { long(characters: 3000) }",
    "query A { hello } query B { number }",
    "{ number(value: 1.5) }",
    "{ wait }",
    "{ broken }",
    "{ required }",
    "{ refused }",
    "mutation { book }",
    "{",
    "{ nothing }",
]
BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"query":"{ hello }\x00"}',
    b'{"query":1}',
    b'\xef\xbb\xbf{"query":"{ hello }"}',
    b"{\xff}",
]
HEADERS = [
    *(
        f"Accept: {accept}".encode()
        for accept in ("*/*", "application/json", "application/graphql-response+json", "text/html", "")
    ),
    *(f"Accept-Encoding: {coding}".encode() for coding in ("gzip", "gzip;q=0", "br", "*")),
    *(f"X-Request-Id: {id}".encode() for id in ("id-1", "not an id", "")),
    *(f"Origin: {origin}".encode() for origin in ("https://a.example", "https://b.example", "null")),
    *(f"Authorization: {value}".encode() for value in ("Bearer a", "Bearer b", "")),
    b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",
    b"X-Forwarded-For: 198.51.100.7",
    b"Cookie: a=b",
]
ODD_HEADERS = [
    *(b"Content-Length: " + length for length in (b"0", b"3", b"21", b"+21", b"0x15", b"21, 21", b"-1", b"21 1", b"", b"9" * 25)),
    *(
        b"Transfer-Encoding: " + coding
        for coding in (
            b"chunked",
            b"identity",
            b"chunked, identity",
            b"identity, chunked",
            b"xchunked",
            b"\x0bchunked",
            b"chunked ",
        )
    ),
    *(b"Connection: " + value for value in (b"close", b"keep-alive", b"keep-alive, close", b"Upgrade", b"Close", b"foo")),
    *(b"Upgrade: " + protocol for protocol in (b"websocket", b"h2c", b"TLS/1.0")),
    *(b"Expect: " + value for value in (b"100-continue", b"200-ok")),
    *(b"Content-Encoding: " + coding for coding in (b"identity", b"gzip", b"")),
    *(b"Content-Type: " + type for type in (b"text/plain", b"application/json; charset=utf-16")),
    b"Host: b",
    b"Host:",
    b"X-A: a\x00b",
    b"X-\x00: a",
    b"X-A: \x7f\x01",
    b"X-A: \xff\xfe",
    b"X-A : a",
    b" X-A: a",
    b"X-A: a\r\n b",
    b"X-A",
    b": a",
    b"X-A: a\rb",
    b"X-A: a\nContent-Length: 3",
    b"Sec-WebSocket-Key1: a",
    b"Content-Length : 21",
    b"Content_Length: 3",
    b"X-A: " + b"a" * 2000,
]
TARGETS = [
    *(b"/graphql" + rest for rest in (b"/", b"?", b"#a", b";a", b"\x00")),
    *(b"//graphql", b"/%67raphql", b"/", b"*", b"http://a/graphql", b"/GRAPHQL", b"graphql", b"/\xff"),
]
METHODS = [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"post", b"POST ", b" POST", b"PRI", b"CONNECT", b"P\x00ST", b"", b"\r\nPOST"]
VERSIONS = [*([b"HTTP/1.0"] * 4), b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ", b"HTTP/1.", b"", b"HTTPS/1.1"]


def drawn(chance: random.Random) -> list[Step]:
    """Draw what one client does."""
    sent = b"".join(_request(chance) for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))))
    if chance.random() < 0.1:
        sent = _damaged(chance, sent)
    return [*_steps(chance, sent), *([END] if chance.random() < 0.5 else [])]


def _request(chance: random.Random) -> bytes:
    body = chance.choice(BODIES) if chance.random() < 0.1 else _members(chance)
    headers = [b"Host: a", b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    headers += chance.sample(HEADERS, chance.choice((0, 0, 1, 2, 3)))
    if chance.random() < 0.1:
        headers = [header for header in headers if not header.startswith(b"Content-Length")]
        headers.append(b"Transfer-Encoding: chunked")
        body = _chunked(chance, body)
    if chance.random() < 0.2:
        headers += chance.sample(ODD_HEADERS, chance.choice((1, 1, 1, 2, 3)))
    if chance.random() < 0.5:
        chance.shuffle(headers)
    if chance.random() < 0.05:
        headers.pop()
    method, target, version = b"POST", b"/graphql", b"HTTP/1.1"
    if chance.random() < 0.05:
        method = chance.choice(METHODS)
    if chance.random() < 0.05:
        target = chance.choice(TARGETS)
    if chance.random() < 0.1:
        version = chance.choice(VERSIONS)
        headers += [b"Connection: keep-alive"] if chance.random() < 0.5 else []
    bare = chance.random() if chance.random() < 0.05 else 0.0
    return Lines(b" ".join((method, target, version)), headers, body).written(
        lambda: b"\n" if chance.random() < bare else b"\r\n"
    )


def _members(chance: random.Random) -> bytes:
    members: dict[str, Any] = {"query": chance.choice(DOCUMENTS)}
    if chance.random() < 0.3:
        members["operationName"] = chance.choice(("A", "B", None))
    if chance.random() < 0.3:
        members["variables"] = chance.choice(({}, None, {"a": 1}, []))
    if chance.random() < 0.2:
        members["extensions"] = chance.choice(({"cost": True}, {}, {"persistedQuery": {"version": 1, "sha256Hash": "0"}}))
    return json.dumps(members, ensure_ascii=chance.random() < 0.5).encode()


def _chunked(chance: random.Random, body: bytes) -> bytes:
    cut = chance.randrange(len(body) + 1)
    pieces = [piece for piece in (body[:cut], body[cut:]) if piece]
    size = chance.choice((b"%x", b"%X", b"0%x", b"%x;a=b", b"%x ", b"+%x"))
    end = chance.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX-A: b\r\n\r\n", b"0\r\n", b"\r\n"))
    return b"".join(size % len(piece) + b"\r\n" + piece + b"\r\n" for piece in pieces) + end


def _damaged(chance: random.Random, sent: bytes) -> bytes:
    damaged = bytearray(sent)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(damaged))
        match chance.randrange(4):
            case 0:
                damaged[at] = chance.randrange(256)
            case 1:
                damaged.insert(at, chance.choice(b"\r\n\x00 :\t;,a"))
            case 2:
                del damaged[at : at + chance.choice((1, 1, 5, 50))]
            case _:
                damaged[at:at] = damaged[at : at + 30]
        if not damaged:
            break
    return bytes(damaged)


def _steps(chance: random.Random, sent: bytes) -> Iterator[Step]:
    cuts, pauses = {len(sent)}, chance.choice(((), (SETTLE,), (TURN,), (SETTLE, TURN, ""), (SETTLE, STALL, TAKE, TURN, "")))
    match chance.randrange(8):
        case 0 if len(sent) < 400:
            cuts |= set(range(1, len(sent)))
        case 1 | 2:
            cuts |= {chance.randrange(len(sent) + 1) for _ in range(chance.choice((1, 1, 2, 5)))}
        case 3:
            cuts |= {found.end() for found in re.finditer(rb"\r\n\r\n", sent)}
        case 4 | 5 | 6:
            # Where messages end, as most clients send them.
            cuts |= {found.end() for found in re.finditer(rb"}(?=POST)", sent)}
    start = 0
    for cut in sorted(cuts):
        if sent[start:cut]:
            yield sent[start:cut]
        start = cut
        if pauses and (pause := chance.choice(pauses)):
            yield from [pause] * (chance.randrange(1, 8) if pause == TURN else 1)
