"""GraphQL over HTTP, to the letter: JSON by POST, answered in the media type and with the status that the client can take."""

import asyncio
import logging
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, NamedTuple

from aiohttp import hdrs, web
from graphql import GraphQLError, OperationDefinitionNode

from schema.execution.engine import Answer, Request
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.deadlines import Deadline
from schema.transport.errors import RequestError, bad_request, status_of
from schema.transport.http import responses
from schema.transport.http.connections import HTTPLimits, deliver, hang_up
from schema.transport.http.negotiation import JSON, response_type, takes_html
from schema.transport.http.requests import TrustedDocuments, parse_request, read_body
from schema.transport.http.responses import REQUEST_ID, Reply
from storage.caller import Caller

logger = logging.getLogger(__name__)

_ACCEPTABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestRecord(NamedTuple):
    """A request that was answered. `operation_name` is the client's word; `failure` is what the answer does not tell."""

    request_id: str
    caller: str | None
    operation_name: str | None
    operation_type: str | None
    outcome: str
    status: int
    seconds: float
    failure: BaseException | None


class RequestState:
    """One request, and what has become known of it."""

    # What most requests have, and is told apart from that of others only where it differs.
    media_type: str = JSON
    caller: Caller | None = None
    asked: Request | None = None
    operation: OperationDefinitionNode | None = None
    outcome: str = "ok"
    failure: BaseException | None = None

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.id = _request_id(request)
        self.started = perf_counter()


class Endpoint:
    """The one URL of the API. `authenticate` is given the Authorization header and refuses by a GraphQLError with a code."""

    def __init__(
        self,
        *,
        execute: Callable[[Request, Any], Awaitable[Answer]],
        authenticate: Callable[[str | None], Caller | Awaitable[Caller]],
        make_context: Callable[[Caller, str], Any],
        present_error: Callable[[GraphQLError, str], dict[str, Any]],
        observe: Callable[[RequestRecord], object],
        admission: ConcurrencyLimiter,
        limits: HTTPLimits,
        trusted: TrustedDocuments | None = None,
        origins: frozenset[str] = frozenset(),
        page: tuple[bytes, Mapping[str, str]] | None = None,
    ) -> None:
        self._execute = execute
        self._authenticate = authenticate
        self._make_context = make_context
        self._present_error = present_error
        self._observe = observe
        self._admission = admission
        self._limits = limits
        self._deadline = Deadline(limits.execution_seconds)
        self._trusted = trusted
        self._origins = origins
        self._page = page
        self._draining = False

    def drain(self) -> None:
        """Close each connection with its next answer, so that clients go elsewhere; `connections.drained` waits for that."""
        self._draining = True

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, whatever it is."""
        exchange = RequestState(request)
        if request.method == hdrs.METH_OPTIONS:
            response = responses.preflight(allowed=request.headers.get(hdrs.ORIGIN) in self._origins)
            return self._finished(exchange, response)
        if self._page and _asks_for_page(request):
            return self._finished(exchange, responses.page(*self._page))
        reply = await self._reply(exchange)
        self._note(exchange, reply.status)
        response = self._finished(exchange, await responses.response(reply, request=request, media_type=exchange.media_type))
        if reply.status == 408:
            return await hang_up(request, response)
        return await deliver(request, response, self._limits)

    async def _reply(self, exchange: RequestState) -> Reply:
        try:
            answer = await self._answer(exchange)
            exchange.operation = answer.operation
            errors = self._presented(exchange, answer.errors) if answer.errors else []
            if answer.executed:
                return responses.executed(answer.data, errors, exchange.media_type)
            return responses.not_executed(errors, exchange.media_type)
        except GraphQLError as error:
            return self._refused(exchange, error)
        except asyncio.CancelledError:
            if _client_left():
                exchange.outcome = "DISCONNECTED"
                self._note(exchange, 499)
                raise
            return self._failed(exchange, RuntimeError("Something that this request waited for was cancelled."))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a GraphQL error and the observer the exception
            return self._failed(exchange, error)

    async def _answer(self, exchange: RequestState) -> Answer:
        request, limits = exchange.request, self._limits
        if request.method != hdrs.METH_POST:
            raise bad_request("Send the request by POST.", status=405)
        media_type = response_type(", ".join(request.headers.getall(hdrs.ACCEPT, ())))
        if media_type is None:
            raise bad_request("Accept application/graphql-response+json or application/json.", status=406)
        exchange.media_type = media_type
        body = await read_body(request, limits)
        with self._deadline:
            return await self._execute_in_turn(exchange, body)

    async def _execute_in_turn(self, exchange: RequestState, body: bytes) -> Answer:
        caller = self._authenticate(exchange.request.headers.get(hdrs.AUTHORIZATION))
        if not isinstance(caller, Caller):
            caller = await caller
        exchange.caller = caller
        # Strangers do not get this far: only callers make work.
        exchange.asked = asked = parse_request(body, self._trusted)
        async with self._admission:
            return await self._execute(asked, self._make_context(caller, exchange.id))

    def _presented(self, exchange: RequestState, errors: list[GraphQLError]) -> list[dict[str, Any]]:
        presented = [self._present_error(error, exchange.id) for error in errors]
        for error, told in zip(errors, presented, strict=True):
            code = told["extensions"]["code"]
            if code == "INTERNAL_SERVER_ERROR":
                exchange.failure, exchange.outcome = error.original_error or error, code
            elif exchange.outcome == "ok":
                exchange.outcome = code
        return presented

    def _refused(self, exchange: RequestState, error: GraphQLError) -> Reply:
        errors = self._presented(exchange, [error])
        return responses.refused(error.status if isinstance(error, RequestError) else status_of(exchange.outcome), errors)

    def _failed(self, exchange: RequestState, error: Exception) -> Reply:
        return self._refused(exchange, GraphQLError("Unexpected error.", original_error=error))

    def _note(self, exchange: RequestState, status: int) -> None:
        operation, asked, caller = exchange.operation, exchange.asked, exchange.caller
        named = operation.name.value if operation and operation.name else None
        observation = RequestRecord(
            exchange.id,
            caller.subject if caller else None,
            named or (asked.operation_name if asked else None),
            operation.operation.value if operation else None,
            exchange.outcome,
            status,
            perf_counter() - exchange.started,
            exchange.failure,
        )
        try:
            self._observe(observation)
        except Exception:
            # A full disk under the log must not cost a client the answer to what was done.
            logger.exception("a request was not observed")

    def _finished(self, exchange: RequestState, response: web.Response) -> web.Response:
        response.headers[REQUEST_ID] = exchange.id
        if self._origins and (origin := exchange.request.headers.get(hdrs.ORIGIN, "")) in self._origins:
            responses.allow_origin(response, origin)
        if self._draining:
            response.force_close()
        return response


def _request_id(request: web.Request) -> str:
    given = request.headers.get(REQUEST_ID)
    if given and _ACCEPTABLE_REQUEST_ID.fullmatch(given):
        return given
    # It has to be unlike others, not secret: random bytes of the system's would be a system call.
    return f"{random.getrandbits(64):016x}"


def _asks_for_page(request: web.Request) -> bool:
    return request.method in (hdrs.METH_GET, hdrs.METH_HEAD) and takes_html(request.headers.get(hdrs.ACCEPT, ""))


def _client_left() -> bool:
    """Tell being cancelled from waiting for something that was: a loader shared with a client who left, say."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
