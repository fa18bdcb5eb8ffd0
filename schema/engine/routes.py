"""What is served beside GraphQL: the explorer's files, signs of life, and numbers for operators."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import hdrs, web
from graphql import GraphQLError
from prometheus_client import CONTENT_TYPE_LATEST

from schema import graphiql
from schema.engine.refusals import status_of
from schema.engine.telemetry import Telemetry
from storage.caller import Caller
from storage.database import Database
from storage.errors import DatabaseUnusable
from storage.instants import clock
from storage.outbox.overview import figures


def add_routes(
    app: web.Application,
    database: Database,
    telemetry: Telemetry,
    authenticate: Callable[[str | None], Caller | Awaitable[Caller]],
    require_operator: Callable[[Caller], None],
) -> None:
    """`authenticate` and `require_operator`, of those who ask for the numbers, refuse by a coded error."""

    async def asset(request: web.Request) -> web.StreamResponse:
        found = graphiql.asset(request.match_info["name"])
        if found is None or not found.path.exists():
            raise web.HTTPNotFound
        return web.FileResponse(found.path, headers=found.headers)

    async def alive(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_request: web.Request) -> web.Response:
        try:
            await database.check()
        except DatabaseUnusable as reason:
            return web.Response(status=503, text=f"{reason}\n")
        return web.Response(text="ready\n")

    async def metrics(request: web.Request) -> web.Response:
        try:
            caller = authenticate(request.headers.get(hdrs.AUTHORIZATION))
            require_operator(caller if isinstance(caller, Caller) else await caller)
        except GraphQLError as refused:
            status = status_of((refused.extensions or {}).get("code", ""))
            return web.Response(status=status, text=f"{refused.message}\n", headers={"WWW-Authenticate": "Bearer"})
        # The other numbers matter most while the database does not answer.
        with suppress(DatabaseUnusable):
            telemetry.tell_outbox(await figures(database, clock()))
        return web.Response(body=telemetry.exported(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/graphql/assets/{name}", asset)
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", metrics)
