"""The CareHQ-compatible API over HTTP: signed in, within its rate, run like any operation, answered in JSON."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from aiohttp import web

from schema.execution.engine import Result
from schema.transport.encoding import encoded
from schema.transport.errors import RequestError
from schema.transport.http.clients import ClientAddresses
from schema.transport.http.connections import HTTPLimits, hang_up
from schema.transport.http.endpoint import new_state
from schema.transport.http.negotiation import JSON
from schema.transport.http.responses import REQUEST_ID, Reply, http_response
from schema.transport.operations import Caller, Operations, RequestState, Response
from schema.transport.rest.rates import CallRates, Rate, SeenNonces
from schema.transport.rest.requests import Pairs, SignedRequest, read_request, values_of

# Which kind of operation it is, in the log and in metrics.
REST: Final = "rest"
CHALLENGE: Final = "CareHQ"


class SignedIn(NamedTuple):
    """Whom a signature stands for, the parameters that it covers, and what must not be sent again with it."""

    caller: Caller
    key: str
    pairs: Pairs
    nonce: Hashable | None


class Call(NamedTuple):
    """A call with the values of each parameter."""

    id: str
    values: Mapping[str, list[str]]
    nonce: Any


class Document(NamedTuple):
    """What a call answers, and what it costs in the unit of a request's price."""

    value: dict[str, Any]
    cost: int


class Operation(NamedTuple):
    """An operation of the API for the record that a path names, if any."""

    name: str
    id: str
    run: Callable[[Any, Call], Awaitable[Document]]


class API(Protocol):
    """What the calls do, and who may make them."""

    async def sign_in(self, request: SignedRequest) -> SignedIn:
        """Raise a GraphQLError with a code for a request that nobody has signed, or that is too old."""

    def operation(self, method: str, path: str) -> Operation:
        """Raise RequestError for one that there is not: 404, or 405 with what there is."""


class RestEndpoint:
    """Handles all that comes below `/v1/`. `rate` is how many calls a second each key may make of this process."""

    def __init__(
        self,
        operations: Operations[Any],
        api: API,
        *,
        limits: HTTPLimits,
        rate: int,
        clients: ClientAddresses,
        is_draining: Callable[[], bool],
    ) -> None:
        self._operations = operations
        self._api = api
        self._limits = limits
        self._rates = CallRates(rate)
        self._nonces = SeenNonces()
        self._clients = clients
        self._is_draining = is_draining

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, whatever it is."""
        state = new_state(request, self._clients)
        rates: list[Rate] = []
        answered = await self._operations.respond(state, self._execute(state, request, rates))
        reply = _reply(answered, rates)
        self._operations.record(state, reply.status)
        response = await http_response(reply, request=request, media_type=JSON)
        response.headers[REQUEST_ID] = state.id
        if self._is_draining():
            response.force_close()
        return await hang_up(request, response) if response.status == 408 else response

    async def _execute(self, state: RequestState, request: web.Request, rates: list[Rate]) -> Result:
        signed_request = await read_request(request, self._limits)
        signed_in: list[SignedIn] = []

        async def sign_in() -> Caller:
            found = await self._api.sign_in(signed_request)
            signed_in.append(found)
            state.caller = found.caller
            rates.append(self._rates.take(found.key))
            self._require_rate_and_nonce(rates[0], found.nonce)
            return found.caller

        async def work(context: Any) -> Result:
            [found] = signed_in
            operation = self._api.operation(signed_request.method, signed_request.path)
            state.operation_name, state.operation_type = operation.name, REST
            document = await operation.run(context, Call(operation.id, values_of(found.pairs), found.nonce))
            return Result(document.value, [], executed=True, operation=None, cost=document.cost)

        return await self._operations.run(state, sign_in, work)

    def _require_rate_and_nonce(self, rate: Rate, nonce: Hashable | None) -> None:
        if rate.exceeded:
            raise RequestError("THROTTLED", "Too many requests: wait until X-CareHQ-RateLimit-Reset.")
        if nonce is not None and not self._nonces.use(nonce):
            raise RequestError("UNAUTHENTICATED", "This request was sent before. Sign each one anew.")


def _reply(answered: Response, rates: list[Rate]) -> Reply:
    headers = {**(rates[0].headers if rates else {}), **answered.headers}
    if not answered.errors:
        return Reply(200, encoded(answered.data), headers)
    error, status = answered.errors[0], answered.refused_status or 500
    if status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    body = {"hint": error["message"], "arg_errors": error["extensions"].get("argErrors")}
    return Reply(status, encoded(body), headers)
