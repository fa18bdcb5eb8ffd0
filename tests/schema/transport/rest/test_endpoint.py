"""The endpoint over an API of one call, which everybody may make: what goes out is JSON, whatever became of the call."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.errors import RequestError, Throttled
from schema.transport.http.clients import ClientAddresses
from schema.transport.http.connections import HTTPLimits
from schema.transport.operations import Operations, RequestRecord
from schema.transport.rest.endpoint import Call, Document, Operation, RestEndpoint, SignedIn
from schema.transport.rest.requests import Credentials, SignedRequest
from tests.schema.transport.http.served import AMY, present_error


class OneCall:
    """Answers a value, or raises it. `refused` are the nonces of calls that were refused."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self.refused: list[str] = []

    def require_credentials(self, _credentials: Credentials) -> None:
        return

    async def sign_in(self, request: SignedRequest) -> SignedIn:
        return SignedIn(AMY, "key", (), None if request.method == "GET" else "nonce")

    def operation(self, _method: str, _path: str) -> Operation:
        return Operation("call", "", self._run)

    def refuse(self, nonce: str, _error: BaseException) -> None:
        self.refused.append(nonce)

    async def _run(self, _context: object, _call: Call) -> Document:
        if isinstance(self._value, Exception):
            raise self._value
        return Document(self._value, 1)


@asynccontextmanager
async def served(api: OneCall, records: list[RequestRecord]) -> AsyncIterator[aiohttp.ClientSession]:
    operations = Operations[Any](
        execute=lambda *_arguments: pytest.fail("nothing is a GraphQL document"),
        authenticate=lambda _authorization: pytest.fail("nobody has a token"),
        make_context=lambda _caller, _request_id: None,
        present_error=present_error,
        record=records.append,
        concurrency=ConcurrencyLimiter(),
        execution_seconds=5,
        cost_limit=10_000,
    )
    endpoint = RestEndpoint(
        operations, api, limits=HTTPLimits(), rate=1_000, clients=ClientAddresses(), is_draining=lambda: False
    )
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", endpoint.handle)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        yield session


async def test_what_is_no_json_is_a_fault_of_ours_and_masked() -> None:
    records: list[RequestRecord] = []

    async with served(OneCall({"visit": {1, 2}}), records) as session, session.get("/v1/call") as response:
        body = json.loads(await response.read())

    assert (response.status, list(body)) == (500, ["hint", "arg_errors"])
    assert [(record.status, type(record.failure)) for record in records] == [(500, TypeError)]


async def test_who_has_used_a_share_is_told_to_wait_for_as_long_as_that_takes() -> None:
    throttled = Throttled(quota=100, window=10, available=0, seconds=7)

    async with served(OneCall(throttled), []) as session, session.get("/v1/call") as response:
        await response.read()
        headers = response.headers

    reset = int(headers["X-CareHQ-RateLimit-Reset"])
    assert (response.status, headers["Retry-After"], headers["X-CareHQ-RateLimit-Remaining"]) == (429, "7", "0")
    assert 7 <= reset - parsedate_to_datetime(headers["Date"]).timestamp() <= 9


@pytest.mark.parametrize(("method", "refused"), [("GET", []), ("PATCH", ["nonce"])])
async def test_the_nonce_of_a_change_that_is_refused_is_handed_back(method: str, refused: list[str]) -> None:
    api = OneCall(RequestError("BAD_USER_INPUT", "No."))

    async with served(api, []) as session, session.request(method, "/v1/call") as response:
        await response.read()

    assert (response.status, api.refused) == (400, refused)
