"""The CareHQ-compatible API over HTTP: signed in, within its rate, run like any operation, answered in JSON."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from aiohttp import web

from schema.execution.engine import Result
from schema.transport.encoding import encoded
from schema.transport.errors import RequestError
from schema.transport.http.clients import REQUEST_ID, ClientAddresses, new_state
from schema.transport.http.connections import HTTPLimits, hang_up
from schema.transport.http.negotiation import JSON
from schema.transport.http.responses import Reply, http_response
from schema.transport.operations import Caller, Operations, RequestState, Response
from schema.transport.rest.rates import CallRates, Rate
from schema.transport.rest.requests import Credentials, Pairs, SignedRequest, read_head, read_request, values_of

# Which kind of operation it is, in the log and in metrics.
REST: Final = "rest"
CHALLENGE: Final = "CareHQ"


class SignedIn(NamedTuple):
    """Whom a signature stands for, and the parameters that it covers. `nonce` is kept with a change, which nobody may repeat."""

    caller: Caller
    key: str
    pairs: Pairs
    nonce: Any


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

    def require_credentials(self, credentials: Credentials) -> None:
        """Raise a GraphQLError with a code for headers by which nobody can have signed a request just now."""

    async def sign_in(self, request: SignedRequest) -> SignedIn:
        """Return who has signed a request; raise a GraphQLError with a code where nobody has, or where it was sent before."""

    def operation(self, method: str, path: str) -> Operation:
        """Raise RequestError for one that there is not: 404, or 405 with what there is."""

    def refuse(self, nonce: Any, error: BaseException) -> None:
        """Remember the nonce of a change that failed so, perhaps before it could be kept."""


class CallState:
    """A call while it is served: what its signature covers, and what its key has left in this second."""

    pairs: Pairs = ()
    nonce: Any = None
    rate: Rate | None = None


class RestEndpoint:
    """Handles all that comes below `/v1/`.

    `rate` is how many calls each key may make of this process in a second of the clock `now`.
    """

    def __init__(
        self,
        operations: Operations[Any],
        api: API,
        *,
        limits: HTTPLimits,
        rate: int,
        clients: ClientAddresses,
        is_draining: Callable[[], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._operations = operations
        self._api = api
        self._limits = limits
        self._rates = CallRates(rate, now=now)
        self._clients = clients
        self._is_draining = is_draining

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, whatever it is."""
        state, call = new_state(request, self._clients), CallState()
        answered = await self._operations.respond(state, self._execute(state, call, request))
        reply = self._encoded(state, call, answered)
        self._operations.record(state, reply.status)
        response = await http_response(reply, request=request, media_type=JSON)
        response.headers[REQUEST_ID] = state.id
        if self._is_draining():
            response.force_close()
        return await hang_up(request, response) if response.status == 408 else response

    async def _execute(self, state: RequestState, call: CallState, request: web.Request) -> Result:
        head = read_head(request)
        # Nothing is read for strangers that can be told by their headers, and nothing decoded before a key is found.
        self._api.require_credentials(head.credentials)
        signed_request = await read_request(head, request, self._limits)

        async def sign_in() -> Caller:
            signed_in = await self._api.sign_in(signed_request)
            state.caller, call.pairs, call.nonce = signed_in.caller, signed_in.pairs, signed_in.nonce
            call.rate = self._rates.take(signed_in.key)
            if call.rate.exceeded:
                raise RequestError("THROTTLED", "Too many requests: wait until X-CareHQ-RateLimit-Reset.")
            return signed_in.caller

        async def work(context: Any) -> Result:
            operation = self._api.operation(head.method, head.path)
            state.operation_name, state.operation_type = operation.name, REST
            document = await operation.run(context, Call(operation.id, values_of(call.pairs), call.nonce))
            return Result(document.value, [], executed=True, operation=None, cost=document.cost)

        try:
            return await self._operations.run(state, sign_in, work)
        except BaseException as error:
            if call.nonce is not None:
                self._api.refuse(call.nonce, error)
            raise

    def _encoded(self, state: RequestState, call: CallState, answered: Response) -> Reply:
        try:
            return self._reply(call, answered)
        except Exception as error:  # noqa: BLE001 - data that is no JSON is a fault of ours, and masked like others
            return self._reply(call, self._operations.failed(state, error))

    def _reply(self, call: CallState, answered: Response) -> Reply:
        headers = self._headers(call, answered)
        if not answered.errors:
            return Reply(200, encoded(answered.data), headers)
        error, status = answered.errors[0], answered.refused_status or 500
        if status == 401:
            headers["WWW-Authenticate"] = CHALLENGE
        body = {"hint": error["message"], "arg_errors": error["extensions"].get("argErrors")}
        return Reply(status, encoded(body), headers)

    def _headers(self, call: CallState, answered: Response) -> dict[str, str]:
        rate = call.rate
        if rate is not None and answered.refused_status == 429 and (seconds := answered.headers.get("Retry-After")):
            # A share is used up for longer than this second, and clients look at nothing but these headers.
            rate = self._rates.exceeded_for(int(seconds))
        return {**(rate.headers if rate else {}), **answered.headers}
