"""What is served beside GraphQL: the explorer's files, signs of life, and numbers for operators."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from graphql import GraphQLError
from prometheus_client import CONTENT_TYPE_LATEST

from schema import graphiql
from schema.engine.refusals import status_of
from schema.engine.telemetry import Telemetry
from storage.database import Database
from storage.errors import DatabaseUnusable


def add_routes(
    app: web.Application, database: Database, telemetry: Telemetry, operator: Callable[[str | None], Awaitable[object]]
) -> None:
    """`operator` is given the Authorization header, and raises a coded error unless its sender may see the numbers."""

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
            await operator(request.headers.get("Authorization"))
        except GraphQLError as refused:
            status = status_of((refused.extensions or {}).get("code", ""))
            return web.Response(status=status, text=f"{refused.message}\n", headers={"WWW-Authenticate": "Bearer"})
        return web.Response(body=telemetry.exported(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/graphql/assets/{name}", asset)
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", metrics)
