"""A CareHQ account that a test answers for: a proxy before a gateway of ours, which may hold, answer or rewrite each request."""

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiohttp import web

from tests.storage.carehq.live.faulty import Faulty, Request, proxied


async def _pass(_request: web.Request) -> web.StreamResponse | None:
    return None


class Rewriting(Faulty):
    """`before` may answer in the account's place; `rewrite` changes the documents that it answers to changes."""

    before: Callable[[web.Request], Awaitable[web.StreamResponse | None]] = staticmethod(_pass)
    rewrite: Callable[[Any], Any] = staticmethod(lambda document: document)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if (answer := await self.before(request)) is not None:
            return answer
        return await self.pass_on(request)

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        sent = Request(request.method, request.raw_path, dict(request.headers), await request.read())
        response = await self._pass_on(sent)
        if request.method == "GET" or response.status != 200:
            return response
        assert isinstance(response.body, bytes)
        return web.json_response(self.rewrite(json.loads(response.body)))

    def sent(self, *methods: str) -> list[tuple[str, str]]:
        """Return the requests that came with one of these methods, or with any."""
        return [request for request in self.requests if not methods or request[0] in methods]

    def refuse(self, status: int, document: Any) -> None:
        """Answer changes so from now on; a key that it does not know it refuses for reads too."""

        async def before(request: web.Request) -> web.StreamResponse | None:
            return None if request.method == "GET" and status != 401 else web.json_response(document, status=status)

        self.before = before

    def cut(self, request: web.Request) -> web.StreamResponse:
        return self._cut(request)


def rewriting(origin: str) -> AbstractAsyncContextManager[tuple[Rewriting, str]]:
    """Have a proxy before an account, and its own origin."""
    return proxied(origin, Rewriting)
