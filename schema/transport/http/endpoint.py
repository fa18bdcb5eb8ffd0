"""GraphQL over HTTP, to the letter: JSON by POST, answered in the media type and with the status that the client can take."""

from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Any

from aiohttp import hdrs, web

from schema.execution.engine import Request, Result
from schema.transport.errors import RequestError, bad_request
from schema.transport.http import responses
from schema.transport.http.clients import REQUEST_ID, ClientAddresses, Head, new_state
from schema.transport.http.connections import HTTPLimits, hang_up
from schema.transport.http.negotiation import JSON, response_type, takes_html
from schema.transport.http.requests import (
    authorization,
    by_post,
    names_stored_document,
    parse_request,
    parse_url,
    read_body,
    too_long,
)
from schema.transport.http.responses import Reply
from schema.transport.http.straight import StraightAnswers
from schema.transport.operations import Operations, RequestState, Response
from schema.transport.requests import TrustedDocuments
from schema.transport.websocket.endpoint import WebSockets, comes_from, is_upgrade

_METHODS = frozenset((hdrs.METH_POST, hdrs.METH_GET))


class Endpoint:
    """Handles all that comes to the one URL of the API. `page` is the body and the headers of the explorer, for browsers.

    `gives_hints`: there is a CareHQ-compatible API beside, whose clients look for a `hint` in what is refused.
    """

    def __init__(
        self,
        operations: Operations[Any],
        *,
        limits: HTTPLimits,
        trusted: TrustedDocuments | None = None,
        origins: Container[str] = frozenset(),
        page: tuple[bytes, Mapping[str, str]] | None = None,
        clients: ClientAddresses | None = None,
        sockets: WebSockets[Any] | None = None,
    ) -> None:
        self._operations = operations
        self._limits = limits
        self._trusted = trusted
        self._origins = origins
        self._page = page
        self._clients = clients or ClientAddresses()
        self._sockets = sockets
        self._straight = StraightAnswers(operations, limits=limits, trusted=trusted, origins=origins, clients=self._clients)
        self.is_draining = False
        self.gives_hints = False

    def drain(self) -> None:
        """Close each connection with its next answer, so that clients go elsewhere; `connections.drain` waits for that."""
        self.is_draining = True
        if self._sockets:
            self._sockets.drain()

    def answer_at_once(self, request: Head, body: bytes) -> bytes | None:
        """Return the whole response to a POST that came whole, where nothing has to wait; None: `handle` has to answer."""
        return None if self.is_draining else self._straight.answer(request, body)

    @property
    def straight_answers(self) -> int:
        return self._straight.answers

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, whatever it is."""
        state = new_state(request, self._clients)
        if request.method == hdrs.METH_OPTIONS:
            preflight = responses.preflight(allowed=request.headers.get(hdrs.ORIGIN) in self._origins)
            return self._with_common_headers(state, request, preflight)
        if self._sockets and is_upgrade(request):
            return await self._upgrade(self._sockets, state, request)
        if self._page and _accepts_page(request):
            # The page names its files relative to its own address.
            page = responses.moved("../graphql") if request.path.endswith("/") else responses.page(*self._page)
            return self._with_common_headers(state, request, page)
        media_type = response_type(", ".join(request.headers.getall(hdrs.ACCEPT, ()))) if request.method in _METHODS else JSON
        response = await self._respond(state, request, self._execute(state, request, media_type), media_type or JSON)
        return await hang_up(request, response) if response.status == 408 else response

    async def refuse_header(self, request: web.Request, limit: int) -> web.StreamResponse:
        """Answer, like any other, a request whose first line or a header is too long to be read; its connection ends.

        For which API it was cannot be told.
        """
        state = new_state(request, self._clients)
        refused = await self._operations.respond(state, _failing(too_long(limit)))
        reply = responses.hinting_reply(refused) if self.gives_hints else responses.reply(refused, JSON)
        self._operations.record(state, reply.status)
        response = self._with_common_headers(
            state, request, await responses.http_response(reply, request=request, media_type=JSON)
        )
        response.force_close()
        return response

    async def _upgrade(self, sockets: WebSockets[Any], state: RequestState, request: web.Request) -> web.StreamResponse:
        def new_state() -> RequestState:
            operation = RequestState()
            operation.client, operation.trace_id = state.client, state.trace_id
            return operation

        try:
            if not comes_from(request, self._origins):
                raise RequestError("FORBIDDEN", "Pages of this origin may not connect: ask for it to be among ALLOWED_ORIGINS.")
            return await sockets.handle(request, new_state)
        except RequestError as refusal:
            return await self._respond(state, request, _failing(refusal), JSON)

    async def _respond(
        self, state: RequestState, request: web.Request, running: Awaitable[Result], media_type: str
    ) -> web.StreamResponse:
        graphql_response = await self._operations.respond(state, running)
        reply = self._encoded(state, graphql_response, media_type)
        self._operations.record(state, reply.status)
        if not responses.is_usual(reply, request):
            response = await responses.http_response(reply, request=request, media_type=media_type)
            return self._with_common_headers(state, request, response)
        usual = await responses.usual_response(
            reply.body,
            request=request,
            media_type=media_type,
            request_id=state.id,
            origin=responses.allowed_origin(request, self._origins),
        )
        if self.is_draining:
            usual.force_close()
        return usual

    async def _execute(self, state: RequestState, request: web.Request, media_type: str | None) -> Result:
        if request.method != hdrs.METH_POST and not names_stored_document(request):
            raise by_post()
        if media_type is None:
            raise bad_request("Accept application/graphql-response+json or application/json.", status=406)
        parse = await self._parser(request)
        return await self._operations.execute(state, parse, authorization=authorization(request.headers))

    async def _parser(self, request: web.Request) -> Callable[[], Request]:
        if request.method != hdrs.METH_POST:
            return lambda: parse_url(request.query, self._trusted)
        body = await read_body(request, self._limits)
        return lambda: parse_request(body, self._trusted)

    def _encoded(self, state: RequestState, response: Response, media_type: str) -> Reply:
        try:
            return responses.reply(response, media_type)
        except Exception as error:  # noqa: BLE001 - data that is no JSON is a fault of ours, and masked like others
            return responses.reply(self._operations.failed(state, error), media_type)

    def _with_common_headers(self, state: RequestState, request: web.Request, response: web.Response) -> web.Response:
        response.headers[REQUEST_ID] = state.id
        if (origin := responses.allowed_origin(request, self._origins)) is not None:
            responses.allow_origin(response, origin)
        if self.is_draining:
            response.force_close()
        return response


async def _failing(error: RequestError) -> Result:
    raise error


def _accepts_page(request: web.Request) -> bool:
    return request.method in (hdrs.METH_GET, hdrs.METH_HEAD) and takes_html(request.headers.get(hdrs.ACCEPT, ""))
