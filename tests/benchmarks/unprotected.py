"""The server with nothing that protects it: no sign-in, scope, limits, queue, metrics or log.

Usage: unprotected.py DATABASE PORT
"""

import sys
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from resolvers import auth, errors
from resolvers.api import make_engine
from schema.context import Context
from schema.execution.limits import Limits
from schema.server.background import lifespan
from schema.transport.http.connections import HTTPLimits
from schema.transport.http.endpoint import Endpoint
from schema.transport.operations import Operations
from storage.instants import clock
from storage.sqlite.database import SQLiteDatabase

EVERYTHING = Limits(*[sys.maxsize] * 10)


class Unlimited:
    """Admits everybody at once."""

    def enter(self, subject: str) -> None: ...

    def leave(self, subject: str, cost: int) -> None: ...


def unprotected(path: Path) -> web.Application:
    database = SQLiteDatabase(path)
    engine = make_engine(EVERYTHING)
    unlimited: Any = Unlimited()
    operations = Operations(
        execute=engine.execute,
        authenticate=lambda _authorization: auth.DEVELOPER,
        make_context=lambda caller, _id: Context(database, caller, clock, "Europe/London", auth.allowed_operations),
        present_error=errors.present,
        record=lambda _record: None,
        concurrency=unlimited,
        execution_seconds=HTTPLimits().execution_seconds,
        cost_limit=EVERYTHING.cost,
    )
    endpoint = Endpoint(operations, limits=HTTPLimits())
    app = web.Application()
    app.router.add_route("*", "/graphql", endpoint.handle)
    app.cleanup_ctx.append(lifespan(database, [], close=None))
    return app


uvloop.install()
web.run_app(
    unprotected(Path(sys.argv[1])),
    host="127.0.0.1",
    port=int(sys.argv[2]),
    access_log=None,
    print=None,
    handler_cancellation=True,
)
