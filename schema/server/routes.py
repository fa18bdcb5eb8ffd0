"""What is served beside GraphQL: the explorer's files, signs of life, and numbers for operators."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from graphql import GraphQLError
from prometheus_client import CONTENT_TYPE_LATEST

from schema import graphiql
from schema.server.metrics import Metrics
from schema.server.processes import is_loopback
from schema.transport.errors import status_of
from schema.transport.http.files import TimedFile
from schema.transport.http.responses import SECURITY_HEADERS
from storage.caller import Caller
from storage.database import Database
from storage.errors import DatabaseUnusable
from storage.instants import clock
from storage.outbox.overview import figures


@web.middleware
async def only_on_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn away the scripts of a site whose name was made to lead here: where nobody signs in, nothing else would."""
    if not is_loopback(request.url.host or ""):
        raise web.HTTPForbidden(text="In development this server answers only to the name localhost.\n")
    return await handler(request)


def add_routes(
    app: web.Application,
    database: Database,
    telemetry: Metrics,
    authenticate: Callable[[str | None], Caller | Awaitable[Caller]],
    require_operator: Callable[[Caller], None],
    file_seconds: float,
) -> None:
    """`authenticate` and `require_operator`, of those who ask for the numbers, refuse by a coded error."""

    async def asset(request: web.Request) -> web.StreamResponse:
        found = graphiql.asset(request.match_info["name"])
        if found is None or not found.path.exists():
            return _nothing()
        return TimedFile(found.path, found.headers, seconds=file_seconds)

    async def alive(_request: web.Request) -> web.Response:
        return _told(200, "alive")

    async def ready(_request: web.Request) -> web.Response:
        try:
            await database.check()
        except DatabaseUnusable as reason:
            return _told(503, str(reason))
        return _told(200, "ready")

    async def metrics(request: web.Request) -> web.Response:
        try:
            caller = authenticate(request.headers.get(hdrs.AUTHORIZATION))
            require_operator(caller if isinstance(caller, Caller) else await caller)
        except GraphQLError as refused:
            status = status_of((refused.extensions or {}).get("code", ""))
            return _told(status, refused.message, {hdrs.WWW_AUTHENTICATE: "Bearer"} if status == 401 else None)
        # The other numbers matter most while the database does not answer.
        with suppress(DatabaseUnusable):
            telemetry.tell_outbox(await figures(database, clock()))
        return web.Response(body=telemetry.exported(), headers=SECURITY_HEADERS | {hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})

    async def elsewhere(_request: web.Request) -> web.Response:
        return _nothing()

    app.router.add_get("/graphql/assets/{name}", asset)
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", metrics)
    app.router.add_route("*", "/{path:.*}", elsewhere)


def _nothing() -> web.Response:
    return _told(404, "There is nothing here: GraphQL is at /graphql.")


def _told(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{sentence}\n", headers={**SECURITY_HEADERS, **(headers or {})})
