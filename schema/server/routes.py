"""Routes beside GraphQL: the explorer's files, health, readiness, and metrics."""

import logging
import re
from collections.abc import Awaitable, Callable, Container, Mapping

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from graphql import GraphQLError
from prometheus_client import CONTENT_TYPE_LATEST

from schema.graphiql import asset
from schema.server import processes
from schema.server.metrics import Metrics
from schema.server.processes import is_loopback
from schema.transport.errors import RequestError, status_of
from schema.transport.http.clients import Head
from schema.transport.http.endpoint import Endpoint
from schema.transport.http.files import TimedFile
from schema.transport.http.heads import SECURITY_HEADERS
from schema.transport.http.requests import authorization
from storage.caller import Caller
from storage.database import Database
from storage.errors import DatabaseUnusable
from storage.instants import clock
from storage.outbox.overview import figures

log = logging.getLogger(__name__)

# An address of IPv6 is in brackets, as it has colons of its own.
_host = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/?#@\[\]]+))(?::[0-9]{0,5})?").fullmatch


def local_only(origins: Container[str]) -> Middleware:
    """Return what refuses requests under a name that is not this machine's, and those of pages from elsewhere.

    Where nobody signs in, nothing else stops the scripts of a site whose name was pointed here (DNS rebinding). Pages of
    `origins` may ask although they are from elsewhere.
    """

    @web.middleware
    async def refuse_others(request: web.Request, handler: Handler) -> web.StreamResponse:
        if refusal := _refusal(request.host, request.headers.get(hdrs.ORIGIN), origins):
            raise refusal
        return await handler(request)

    return refuse_others


def _refusal(host: str, origin: str | None, origins: Container[str]) -> web.HTTPException | None:
    name = _name(host)
    if name is None:
        reason = "The Host header is no name or address with, perhaps, a port.\n"
        return web.HTTPBadRequest(text=reason, headers=SECURITY_HEADERS)
    if not is_loopback(name):
        return web.HTTPForbidden(text="In development this server answers only to the name localhost.\n")
    if origin is not None and origin not in origins and not is_loopback(_name(origin.partition("://")[2]) or ""):
        reason = "In development this server answers only to pages of this machine, and to HOME_VISITS_ALLOWED_ORIGINS.\n"
        return web.HTTPForbidden(text=reason, headers=SECURITY_HEADERS)
    return None


def answer_straight(app: web.Application, endpoint: Endpoint, metrics: Metrics, *, local_only: Container[str] | None) -> None:
    """Have GraphQL answered at once where it can be. `local_only`: whose pages may ask, where nobody signs in."""

    def answer_local(request: Head, body: bytes) -> bytes | None:
        headers = request.headers
        refused = _refusal(headers.get(hdrs.HOST, ""), headers.get(hdrs.ORIGIN), local_only or ())
        return None if refused else endpoint.answer_at_once(request, body)

    metrics.counter("straight_answers", "Answers for which nothing had to wait.", lambda: endpoint.straight_answers)
    app[processes.STRAIGHT] = endpoint.answer_at_once if local_only is None else answer_local


def _name(host: str) -> str | None:
    """Return the name or address of a Host header without its port; None where it is none."""
    match = _host(host)
    return match and (match[1] or match[2])


def add_routes(
    app: web.Application,
    database: Database,
    metrics: Metrics,
    authenticate: Callable[[str | None], Caller | Awaitable[Caller]],
    require_operator: Callable[[Caller], None],
    file_seconds: float,
) -> None:
    """Add them to `app`. `authenticate` and `require_operator` guard the metrics; they refuse by a GraphQLError with a code."""
    app.router.add_get("/graphql/assets/{name}", _explorer_files(file_seconds))
    app.router.add_get("/healthz", _health)
    app.router.add_get("/readyz", _readiness(database))
    app.router.add_get("/metrics", _exposition(database, metrics, authenticate, require_operator))
    app.router.add_route("*", "/{path:.*}", _not_found)


def _explorer_files(seconds: float) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        file = asset(request.match_info["name"])
        if file is None or not file.path.exists():
            return await _not_found(request)
        return TimedFile(file.path, file.headers, seconds=seconds)

    return handle


async def _health(_request: web.Request) -> web.Response:
    return _text(200, "alive")


def _readiness(database: Database) -> Handler:
    async def handle(_request: web.Request) -> web.Response:
        try:
            await database.check()
        except DatabaseUnusable as reason:
            return _text(503, str(reason))
        return _text(200, "ready")

    return handle


def _exposition(
    database: Database,
    metrics: Metrics,
    authenticate: Callable[[str | None], Caller | Awaitable[Caller]],
    require_operator: Callable[[Caller], None],
) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            caller = authenticate(authorization(request.headers))
            require_operator(caller if isinstance(caller, Caller) else await caller)
        except GraphQLError as refused:
            status = (
                refused.status if isinstance(refused, RequestError) else status_of((refused.extensions or {}).get("code", ""))
            )
            return _text(status, refused.message, {hdrs.WWW_AUTHENTICATE: "Bearer"} if status == 401 else None)
        # The other metrics matter most while the database does not answer, or not as it should.
        try:
            metrics.set_outbox(await figures(database, clock()))
        except DatabaseUnusable:
            pass
        except Exception:
            log.exception("The outbox could not be counted")
        return web.Response(body=metrics.export(), headers=SECURITY_HEADERS | {hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})

    return handle


async def _not_found(_request: web.Request) -> web.Response:
    return _text(404, "There is nothing here: GraphQL is at /graphql.")


def _text(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{sentence}\n", headers={**SECURITY_HEADERS, **(headers or {})})
