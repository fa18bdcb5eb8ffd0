"""The client of a live account: one signed request, and what came of it, told apart by what it means to whoever asked."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Self
from urllib.parse import quote_plus

import aiohttp
from yarl import URL

from storage.carehq.live.account import BASE, Account, Pairs
from storage.carehq.live.answers import RATE, Answer, Page, answer_of, read_body, wait_of
from storage.errors import UpstreamRefused, UpstreamThrottled, UpstreamUnavailable

CONNECT_SECONDS = 4.0
READ_SECONDS = 30.0
# Somebody waits for it.
WRITE_SECONDS = 10.0
MOST_ITEMS = 2**31 - 1
# What repeats a change may repeat a read.
KEY_CHECKS = 3
FORM = "application/x-www-form-urlencoded"


class CareHQ:
    """Asks one account. No change is ever sent twice.

    Raises UpstreamRefused for what the account refuses, UpstreamThrottled where it asks us to wait, and UpstreamUnavailable for
    all else; that one says whether the account may have received the request. A read waits where the last answer said that no
    further request is allowed before some time.
    """

    def __init__(self, account: Account, clock: Callable[[], float] = time.time) -> None:
        self.account = account
        self._clock = clock
        self._reads: aiohttp.ClientSession | None = None
        self._writes: aiohttp.ClientSession | None = None
        self._allowed_at = 0.0

    async def __aenter__(self) -> Self:
        self._reads = _session(READ_SECONDS, aiohttp.TCPConnector())
        # A connection that was kept may have been closed meanwhile: then nobody knows whether a change was received.
        self._writes = _session(WRITE_SECONDS, aiohttp.TCPConnector(force_close=True))
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self._reads, self._writes):
            if session is not None:
                await session.close()
        self._reads = self._writes = None

    async def get(self, path: str, pairs: Pairs = ()) -> Answer:
        if (wait := self._allowed_at - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        return await self._ask(self._reads, "GET", path, pairs)

    async def put(self, path: str, pairs: Pairs) -> Answer:
        return await self._change("PUT", path, pairs)

    async def patch(self, path: str, pairs: Pairs = ()) -> Answer:
        return await self._change("PATCH", path, pairs)

    async def _change(self, method: str, path: str, pairs: Pairs) -> Answer:
        try:
            return await self._ask(self._writes, method, path, pairs)
        except UpstreamRefused as refused:
            if refused.status == 401 and await self._is_accepted(path):
                # Something between sent it twice: the repeat is refused, of what was done.
                raise UpstreamUnavailable("it says that it had this request before", may_be_done=True) from None
            raise

    async def _is_accepted(self, path: str) -> bool:
        """Tell whether the account, for all that can be said, accepts what is signed anew with our key and by our clock."""
        for _ in range(KEY_CHECKS):
            try:
                await self.get(path.partition("/")[0], [("per_page", "1")])
            except UpstreamRefused as refused:
                if refused.status == 401:
                    continue
            except (UpstreamUnavailable, UpstreamThrottled):
                pass
            return True
        return False

    async def page(self, path: str, pairs: Pairs) -> Page:
        document, sent = await self.get(path, pairs)
        items, *numbers = (document.get(name) for name in ("items", "item_count", "page_count"))
        item_count, page_count = (number if isinstance(number, int) and 0 <= number <= MOST_ITEMS else None for number in numbers)
        if not isinstance(items, list) or item_count is None or page_count is None:
            raise UpstreamUnavailable("it answers a list in a form that is not CareHQ's", may_be_done=True)
        requested = dict(pairs).get("page", "1")
        # Past the end some answer the last page.
        if str(document.get("page", requested)) != requested and int(requested) <= page_count:
            raise UpstreamUnavailable("it answers another page than it was asked for", may_be_done=True)
        return Page(items, item_count, page_count, sent)

    def _signing(self, path: str, pairs: Pairs, *, once: bool) -> aiohttp.ClientMiddlewareType:
        """Return what signs a request each time that aiohttp sends it: PUT too, again, where a connection breaks.

        What is to be sent `once` is not sent again.
        """
        attempts = 0

        async def sign(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            nonlocal attempts
            attempts += 1
            if once and attempts > 1:
                raise aiohttp.ClientConnectionError
            request.headers.update(self.account.signed_headers(request.method, path, pairs, int(self._clock())))
            return await send(request)

        return sign

    async def _ask(self, session: aiohttp.ClientSession | None, method: str, path: str, pairs: Pairs) -> Answer:
        if session is None:
            raise RuntimeError("the client is not open")
        form = "&".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in pairs)
        query, body = (f"?{form}" if form else "", None) if method == "GET" else ("", form.encode() if form else None)
        headers = {"Content-Type": FORM} if body else {}
        url = URL(f"{self.account.url}{BASE}{path}{query}", encoded=True)
        try:
            signing = self._signing(path, pairs, once=method != "GET")
            async with session.request(
                method, url, data=body, headers=headers, allow_redirects=False, middlewares=(signing,)
            ) as response:
                if response.headers.get(f"{RATE}Remaining", "").strip() == "0":
                    self._allowed_at = time.monotonic() + wait_of(response)
                return answer_of(response, await read_body(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise UpstreamUnavailable(f"it cannot be reached: {_reason(error)}", may_be_done=False) from None
        except TimeoutError:
            raise UpstreamUnavailable("it does not answer in time", may_be_done=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnavailable(f"the connection to it broke: {_reason(error)}", may_be_done=True) from None


def _session(seconds: float, connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)
    # It keeps no cookies, and no answer may be larger unpacked than it is sent.
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "home-visits"},
        auto_decompress=False,
    )


def _reason(error: BaseException) -> str:
    """Return what a failure is, without an address or anything that was sent."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        return os.strerror(cause.errno)  # that of asyncio has the address
    return getattr(cause, "strerror", None) or type(error).__name__
