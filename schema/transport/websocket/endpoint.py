"""WebSockets at the URL of the API: upgraded, refused for their subprotocol, counted, and closed when the server stops."""

from collections.abc import Callable, Container, Hashable
from typing import Generic

from aiohttp import hdrs, web

from schema.transport.errors import RequestError, bad_request
from schema.transport.http.requests import authorization
from schema.transport.operations import C, Operations, RequestState
from schema.transport.requests import TrustedDocuments
from schema.transport.websocket.answers import EventAnswers
from schema.transport.websocket.messages import PROTOCOL, CloseCode, Closed
from schema.transport.websocket.sessions import Session
from schema.transport.websocket.sockets import Socket, WebSocketLimits


class WebSockets(Generic[C]):
    """Serves all WebSockets of a process."""

    def __init__(
        self,
        operations: Operations[C],
        limits: WebSocketLimits,
        *,
        trusted: TrustedDocuments | None = None,
        audience: Callable[[C], Hashable],
    ) -> None:
        self._operations = operations
        self._limits = limits
        self._trusted = trusted
        self._answers = EventAnswers(operations, audience)
        self._sessions: set[Session[C]] = set()
        self._is_draining = False
        self._sent_before = 0
        self.stalled = 0

    def _count(self, session: Session[C]) -> None:
        self._sent_before += session.sent
        self.stalled += session.is_stalled

    @property
    def events_sent(self) -> int:
        return self._sent_before + sum(session.sent for session in self._sessions)

    @property
    def connections(self) -> int:
        return len(self._sessions)

    @property
    def subscriptions(self) -> int:
        return sum(session.subscriptions for session in self._sessions)

    def drain(self) -> None:
        """Close each connection with 1001, once what was accepted is done and sent."""
        self._is_draining = True
        for session in self._sessions:
            session.finish()

    async def handle(self, request: web.Request, new_state: Callable[[], RequestState]) -> web.StreamResponse:
        """Serve an upgrade until its connection ends; raise RequestError where there is nothing to upgrade."""
        if self._is_draining:
            raise RequestError("OVERLOADED", "The server is stopping. Connect again.")
        header = authorization(request.headers)
        socket = Socket(self._limits)
        if not socket.can_prepare(request):
            raise bad_request("Send a WebSocket handshake of version 13, with a key of 16 bytes.")
        await socket.open(request)
        if socket.ws_protocol != PROTOCOL:
            await socket.end(Closed(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"Connect with the subprotocol {PROTOCOL}."))
            return socket
        session = Session(
            socket,
            self._operations,
            self._answers,
            self._limits,
            trusted=self._trusted,
            new_state=new_state,
            authorization=header,
        )
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            self._count(session)
        return socket


def is_upgrade(request: web.Request) -> bool:
    return request.method == hdrs.METH_GET and "websocket" in request.headers.get(hdrs.UPGRADE, "").lower()


def comes_from(request: web.Request, origins: Container[str]) -> bool:
    """Tell whether an upgrade comes from a page that may send requests, or from no page at all.

    A browser lets a page of any site connect, and says where the page is from: it is for the server to refuse.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or origin in origins:
        return True
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and host.lower() == request.host.lower()
