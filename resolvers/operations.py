"""How the operations of the API are run, as the settings have it: signed in, admitted, executed, presented, recorded."""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from resolvers import auth, errors
from resolvers.api import make_engine
from schema.context import Context
from schema.execution.engine import Engine
from schema.server.metrics import Metrics
from schema.server.settings import Settings, Unstartable
from schema.transport.at_once import AtOnce
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.operations import Operations
from storage.caller import Caller
from storage.database import Database
from storage.events.feed import Feed
from storage.instants import clock
from storage.repository import HomeVisits

if TYPE_CHECKING:
    from resolvers.live import Live
    from resolvers.tokens import Tokens


def engine_of(settings: Settings, *, introspection: bool) -> Engine:
    return make_engine(
        settings.limits,
        may_introspect=lambda context: introspection or auth.may(context.caller, auth.INTROSPECTION),
        planned=settings.plans,
        suggest=introspection,
    )


def sign_in_of(settings: Settings, *, dev: bool) -> "Tokens | None":
    """Return what verifies tokens; None in development without; raise Unstartable where nobody could sign in."""
    if settings.lets_sign_in:
        from resolvers.sign_in import tokens_of  # noqa: PLC0415 - cryptography takes long to import

        return tokens_of(settings)
    if dev:
        return None
    raise Unstartable("Nobody could sign in: set HOME_VISITS_JWT_SECRET or HOME_VISITS_JWT_JWKS_URL, or try with serve --dev.")


def operations_of(
    settings: Settings,
    engine: Engine,
    database: Database,
    feed: Feed,
    metrics: Metrics,
    concurrency: ConcurrencyLimiter,
    tokens: "Tokens | None",
    live: "Live | None" = None,
) -> Operations[Caller]:
    """Put together what runs all operations of a process; without `tokens`, everybody is the developer.

    With `live`, visits are those of a followed account, which changes go to first.
    """
    source = live.last_synced if live else None
    make_visits = live.make_visits if live else HomeVisits

    def context_of(database: Database, caller: Caller) -> Context:
        zone, letters = settings.default_time_zone, settings.limits.answer_bytes
        return Context(database, caller, clock, zone, auth.allowed_operations, letters, feed, make_visits, source)

    reads = database.at_once() if settings.straight and settings.plans else None
    cached = tokens.cached if tokens else lambda _authorization: auth.DEVELOPER
    return Operations(
        execute=engine.execute,
        subscribe=engine.subscribe,
        authenticate=tokens.authenticate if tokens else lambda _authorization: auth.DEVELOPER,
        seconds_left=tokens.seconds_left if tokens else lambda _authorization: None,
        make_context=lambda caller, _id: context_of(database, caller),
        present_error=errors.present,
        record=metrics.record,
        concurrency=concurrency,
        execution_seconds=settings.http.execution_seconds,
        cost_limit=settings.limits.cost,
        cached_operation=engine.cached_operation,
        deprecated_uses=engine.deprecated_uses if engine.deprecates else None,
        at_once=AtOnce(cached, lambda caller, _id: context_of(reads, caller), engine.at_once, engine.defer) if reads else None,
    )


def audience(caller: Caller) -> Hashable:
    """Return what decides about what a caller sees of a change: where it is the same, so is the answer."""
    return caller.roles, caller.locations
