"""Straight answers: bytes for a request that came whole, made while it is received, or nothing, and the ordinary way is taken."""

from collections.abc import Container
from time import perf_counter
from typing import Any

from aiohttp import hdrs

from schema.transport.errors import RequestError
from schema.transport.http import responses
from schema.transport.http.clients import ClientAddresses, Head, new_state
from schema.transport.http.connections import HTTPLimits
from schema.transport.http.heads import head
from schema.transport.http.negotiation import is_json, response_type
from schema.transport.http.requests import authorization, parse_request
from schema.transport.http.turns import Turn
from schema.transport.operations import Operations
from schema.transport.requests import TrustedDocuments


class StraightAnswers:
    """Answers GraphQL by POST where nothing has to wait and nothing goes wrong. `answers` is how many it gave."""

    def __init__(
        self,
        operations: Operations[Any],
        *,
        limits: HTTPLimits,
        trusted: TrustedDocuments | None,
        origins: Container[str],
        clients: ClientAddresses,
    ) -> None:
        self._operations = operations
        self._limits = limits
        self._trusted = trusted
        self._origins = origins
        self._clients = clients
        self._turn = Turn()
        self.answers = 0

    def answer(self, request: Head, body: bytes) -> bytes | None:
        """Return the whole of a response; None: the ordinary handler has to answer."""
        if self._turn.is_over:
            return None
        started = perf_counter()
        try:
            return self._answer(request, body)
        finally:
            self._turn.spend(perf_counter() - started)

    def _answer(self, request: Head, body: bytes) -> bytes | None:
        headers = request.headers
        media_type = response_type(", ".join(headers.getall(hdrs.ACCEPT, ())))
        if media_type is None or not is_json(headers.get(hdrs.CONTENT_TYPE, "")) or len(body) > self._limits.body:
            return None
        state = new_state(request, self._clients)
        try:
            response = self._operations.at_once(
                state, lambda: parse_request(body, self._trusted), authorization=authorization(headers)
            )
        except RequestError:
            return None
        if response is None:
            return None
        content = responses.reply(response, media_type).body
        compressed = responses.pays_to_compress(content, request)
        if compressed:
            if responses.is_worth_a_thread(content):
                self._operations.defer(state)
                return None
            content = responses.gzip(content)
        self.answers += 1
        self._operations.record(state, 200)
        origin = responses.allowed_origin(request, self._origins)
        return head(media_type, len(content), state.id, compressed=compressed, origin=origin) + content
