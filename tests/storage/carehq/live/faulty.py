"""A CareHQ account that fails: a proxy before a gateway of ours, which does to the next requests what a test tells it to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from email.utils import format_datetime
from enum import Enum, auto
from typing import Any, NamedTuple, TypeVar

import aiohttp
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL


class Fault(Enum):
    NONE = auto()
    CUT_BEFORE = auto()  # the account never hears of it
    CUT_AFTER = auto()  # the account has done it, and its answer is lost
    HALF = auto()  # half the body of its answer, then nothing
    FAIL = auto()  # 503, before the account hears of it
    FAIL_AFTER = auto()  # 502, once the account has done it
    THROTTLE = auto()
    OTHER_SHAPE = auto()
    HTML = auto()
    ERROR = auto()  # of which the status says nothing
    MISSING = auto()
    HANG = auto()
    DOUBLE = auto()  # the account gets it twice, and its first answer comes back
    DOUBLE_LAST = auto()  # ... its last answer
    DELAY = auto()  # cut, and delivered later


JSON = "application/json"
# What is answered in the account's place, which never hears of the request.
ANSWERS: dict[Fault, Callable[[], web.Response]] = {
    Fault.FAIL: lambda: web.json_response({"hint": "Broken."}, status=503),
    Fault.OTHER_SHAPE: lambda: web.json_response({"data": []}),
    Fault.ERROR: lambda: web.json_response({"hint": "Broken.", "arg_errors": {"page": ["Broken."]}}),
    Fault.MISSING: lambda: web.json_response({"hint": "Not found."}, status=404),
    Fault.HTML: lambda: web.Response(text="<html>", content_type="text/html"),
}


async def _nothing(_path: str) -> None:
    return


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Faulty:
    """`faults` are what happens to the next requests; `requests` are those that came, as method and path.

    `arrived` is called for each of them, `change` changes what the account answers. With a `clock` that says when answers were
    sent. `meanwhile` happens between an answer of the account and its arrival.
    `spoil` changes the bytes of that.
    """

    def __init__(self, origin: str, session: aiohttp.ClientSession) -> None:
        self.faults: list[Fault] = []
        self.choose: Callable[[], Fault] = lambda: self.faults.pop(0) if self.faults else Fault.NONE
        self.requests: list[tuple[str, str]] = []
        self.paths: list[str] = []
        self.retry_after = "1"
        self.passed: list[tuple[str, str]] = []
        self.delayed: list[Request] = []
        self.hung = asyncio.Event()
        self.arrived: Callable[[], None] = lambda: None
        self.clock: Callable[[], datetime] | None = None
        self.meanwhile: Callable[[str], Awaitable[None]] = _nothing
        self.change: Callable[[str, Any], Any] = lambda _path, document: document
        self.spoil: Callable[[bytes], bytes] = lambda body: body
        self._origin = origin
        self._session = session

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        self.paths.append(request.raw_path)
        self.arrived()
        fault = self.choose()
        if fault is Fault.THROTTLE:
            return web.json_response({"hint": "Slower."}, status=429, headers={"Retry-After": self.retry_after})
        if (answered := ANSWERS.get(fault)) is not None:
            return self._dated(answered())
        sent = Request(request.method, request.raw_path, dict(request.headers), await request.read())
        if fault is Fault.DELAY:
            self.delayed.append(sent)
        if fault in (Fault.CUT_BEFORE, Fault.DELAY):
            return self._cut(request)
        if fault is Fault.HANG:
            self.hung.set()
            await asyncio.sleep(60)
        answer = await self._pass_on(sent)
        await self.meanwhile(request.path)
        if fault in (Fault.DOUBLE, Fault.DOUBLE_LAST):
            again = await self._pass_on(sent)
            answer = again if fault is Fault.DOUBLE_LAST else answer
        return await self._fail_after(fault, request, answer)

    async def deliver(self) -> None:
        """Pass on what was delayed, long after anybody waits for an answer."""
        delayed, self.delayed = self.delayed, []
        for request in delayed:
            await self._pass_on(request)

    async def _fail_after(self, fault: Fault, request: web.Request, answer: web.Response) -> web.StreamResponse:
        if fault is Fault.CUT_AFTER:
            return self._cut(request)
        if fault is Fault.FAIL_AFTER:
            return web.json_response({"hint": "Bad gateway."}, status=502)
        if fault is Fault.HALF:
            assert isinstance(answer.body, bytes)
            response = web.StreamResponse(headers={"Content-Length": str(len(answer.body)), "Content-Type": JSON})
            await response.prepare(request)
            await response.write(answer.body[: len(answer.body) // 2])
            return self._cut(request)
        return answer

    async def _pass_on(self, request: Request) -> web.Response:
        self.passed.append((request.method, request.path.partition("?")[0]))
        url = URL(self._origin + request.path, encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        skip = ["Content-Type", "User-Agent"]
        async with self._session.request(
            request.method, url, data=request.body or None, headers=headers, skip_auto_headers=skip
        ) as answer:
            kept = ("x-carehq", "retry-after", "date")
            shown = {name: value for name, value in answer.headers.items() if name.lower().startswith(kept)}
            body = self.spoil(orjson.dumps(self.change(request.path, orjson.loads(await answer.read()))))
            return self._dated(web.Response(body=body, status=answer.status, headers=shown, content_type=answer.content_type))

    def _dated(self, answer: web.Response) -> web.Response:
        if self.clock is not None:
            answer.headers["Date"] = format_datetime(self.clock(), usegmt=True)
        return answer

    @staticmethod
    def _cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        raise asyncio.CancelledError


P = TypeVar("P", bound=Faulty)


@asynccontextmanager
async def proxied(origin: str, kind: type[P]) -> AsyncIterator[tuple[P, str]]:
    """Yield a proxy before an account, and its own origin."""
    async with aiohttp.ClientSession() as session:
        proxy = kind(origin, session)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        async with TestServer(app) as server:
            yield proxy, f"http://{server.host}:{server.port}"


def faulty(origin: str) -> AbstractAsyncContextManager[tuple[Faulty, str]]:
    return proxied(origin, Faulty)
