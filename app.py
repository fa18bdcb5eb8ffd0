"""Settings in, running server out: the wiring, and the command line."""

import gc

# What is imported stays: to traverse it for garbage again and again would take a fifth of a start.
gc.disable()

import sys
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from aiohttp import web

from resolvers import auth
from resolvers.api import schema_definition
from resolvers.operations import audience, engine_of, operations_of, sign_in_of
from schema import graphiql
from schema.server import processes, supervisor
from schema.server.account import account_to_follow, check_account, end_following, followed_account, refuse_while_following
from schema.server.background import BackgroundTask, background_tasks, lifespan
from schema.server.commands import commands, load_settings, report, say
from schema.server.databases import migrated_database
from schema.server.descriptors import occupy_standard_streams
from schema.server.logs import Log
from schema.server.metrics import Metrics, export_gauges
from schema.server.resources import trusted_documents_of
from schema.server.routes import add_routes, local_only
from schema.server.settings import Settings, Unstartable, naming_the_setting, shared_metrics
from schema.server.version import current_version
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.http.clients import ClientAddresses
from schema.transport.http.endpoint import Endpoint
from schema.transport.shares import Shares
from schema.transport.websocket.endpoint import WebSockets
from storage.caller import Caller, Role
from storage.database import Database, database_of, run_with
from storage.errors import Refusal
from storage.events.feed import Feed
from storage.instants import clock
from storage.repository import HomeVisits

if TYPE_CHECKING:
    from resolvers.live import Live

gc.freeze()
gc.enable()

ANYBODY = " (development: everybody on this machine may do everything)"


def create_app(settings: Settings, log: Log, *, dev: bool = False, demo: bool = False) -> web.Application:
    """Put the server together; raise Unstartable or DatabaseUnusable where it could not serve."""
    tokens = sign_in_of(settings, dev=dev)
    authenticate = tokens.authenticate if tokens else lambda _authorization: auth.DEVELOPER
    database = database_of(settings.database_url, pgbouncer=settings.pgbouncer)
    shares = Shares(settings.share, others_wait=database.others_wait)
    database.accounts = shares
    concurrency = ConcurrencyLimiter(max_executing=settings.executing, max_queued=settings.waiting, shares=shares)
    metrics = Metrics(log, shared_metrics())
    engine = engine_of(settings, introspection=settings.introspection or dev)
    feed = Feed(database, queue=settings.websocket.queue)
    live = _live(settings, database, metrics)
    operations = operations_of(settings, engine, database, feed, metrics, concurrency, tokens, live)
    trusted = trusted_documents_of(settings)
    sockets = WebSockets(operations, settings.websocket, trusted=trusted, audience=audience)
    export_gauges(metrics, concurrency, engine, database, sockets)
    page = graphiql.explorer(dev=dev, demo=demo) if settings.explorer or dev else None
    origins = settings.origins(dev=dev)
    clients = ClientAddresses(settings.trusted_proxies)
    endpoint = Endpoint(
        operations, limits=settings.http, trusted=trusted, origins=origins, page=page, clients=clients, sockets=sockets
    )
    background = [
        BackgroundTask("changes of visits", feed.run),
        *background_tasks(settings, database, HomeVisits(database, auth.DEVELOPER, clock), metrics, dev=dev),
    ]
    if live:
        background += [live.background, BackgroundTask("following CareHQ", live.following.run)]
    app = web.Application(middlewares=[] if tokens else [local_only(origins)])
    app[processes.DRAIN] = endpoint.drain
    app[processes.REFUSE_HEADER] = endpoint.refuse_header
    app.router.add_route("*", "/graphql{slash:/?}", endpoint.handle)
    if settings.keys_secret:
        from resolvers.rest import rest_of

        rest = rest_of(settings, operations, database, clients, lambda: endpoint.is_draining)
        app.router.add_route("*", "/{mount:(.*/)?}v1{path:(/.*)?}", rest.endpoint.handle)
        background.append(rest.background)
        endpoint.gives_hints = True
    add_routes(app, database, metrics, authenticate, partial(auth.require, permission=auth.METRICS), settings.http.write_seconds)
    check = partial(check_account, account=followed_account(settings))
    app.cleanup_ctx.append(lifespan(database, background, tokens.close if tokens else None, check))
    return app


def _live(settings: Settings, database: Database, metrics: Metrics) -> "Live | None":
    if followed_account(settings) is None:
        return None
    from resolvers.live import export_gauges_of, live_of

    live = live_of(settings, database)
    export_gauges_of(live, metrics)
    return live


cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
cli.add_typer(commands)


@cli.callback(invoke_without_command=True)
def options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """A GraphQL gateway over the home visits of a care-home CRM."""
    if version:
        typer.echo(f"home-visits {current_version()}")
        raise typer.Exit


@cli.command()
def serve(
    dev: Annotated[bool, typer.Option("--dev", help="To try out: no sign-in, explorer on, on this machine only.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="With --dev: fill an empty database with made-up visits.")] = False,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at; 0: any that is free.")] = 8080,
    workers: Annotated[int, typer.Option("--workers", min=1, help="How many processes serve.")] = 1,
    inherited: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve GraphQL at /graphql, until interrupted."""
    settings = load_settings()
    log = Log(settings.log_format or ("console" if dev else "json")).capture_logging()
    if dev and not processes.is_loopback(host):
        raise Unstartable("--dev lets everybody in, so it listens on this machine only: leave out --host, or set up sign-in.")
    if demo and not dev:
        raise Unstartable("--demo fills a database with made-up visits, to try out: leave it out, or add --dev.")
    if demo:
        refuse_while_following(settings, "Made-up visits are nothing for CareHQ")
    # What cannot start is refused before anything is changed.
    app = create_app(settings, log, dev=dev, demo=demo)
    if inherited is not None:
        uvloop.run(processes.serve(app, processes.inherit(inherited), settings.http))
        return
    with processes.listen(host, port) as listener:
        database = migrated_database(settings, create=True)
        if demo:
            from storage.demo import fill_with_demo

            if run_with(database, partial(fill_with_demo, now=clock())):
                say(f"Filled {database} with made-up visits.")
        serving = f"Serving {database} at http://{processes.address(listener)}/graphql" + (
            "" if settings.lets_sign_in else ANYBODY
        )
        account = followed_account(settings)
        if account:
            serving += f", following {account}"
        if workers == 1:
            uvloop.run(processes.serve(app, listener, settings.http, ready=partial(say, serving)))
        else:
            # Each worker looks, and would say it.
            run_with(migrated_database(settings), partial(check_account, account=account))
            supervisor.supervise(workers, listener, settings.http, ready=partial(say, serving))


@cli.command()
def schema() -> None:
    """Print the API's schema definition language."""
    typer.echo(schema_definition())


@cli.command()
def follow(
    once: Annotated[bool, typer.Option("--once", help="Read what has changed since the last time, then stop.")] = False,
    end: Annotated[bool, typer.Option("--end", help="Follow it no more, and keep its visits here from now on.")] = False,
) -> None:
    """Follow a live CareHQ account: read what changes there."""
    from resolvers.live import follow_account, follow_once

    settings = load_settings()
    if end:
        refuse_while_following(settings, "Changes go to CareHQ")
        run_with(database := migrated_database(settings), partial(end_following, now=clock()))
        say(f"{database} follows no CareHQ account, and keeps its visits itself from now on.")
        return
    account = account_to_follow(settings)
    Log(settings.log_format or "console").capture_logging()
    database = migrated_database(settings, create=True)
    if once:
        report(run_with(database, partial(follow_once, account=account)))
    else:
        say(f"Following {account} into {database}")
        run_with(database, lambda database: processes.run_until_stopped(follow_account(database, settings)))


@cli.command()
def token(
    subject: Annotated[str, typer.Option(help="Who the token is for.")],
    role: Annotated[list[Role], typer.Option(case_sensitive=False, help="What they may do; repeat for several.")],
    location: Annotated[list[str] | None, typer.Option(help="A location they are limited to; repeat for several.")] = None,
    expires: Annotated[float, typer.Option(min=0, max=87_600, help="Hours until it expires, ten years at most.")] = 1,
) -> None:
    """Print a token for development or a machine client, signed with HOME_VISITS_JWT_SECRET."""
    from resolvers.sign_in import token_rules
    from resolvers.tokens import mint

    caller = Caller(subject, frozenset(role), frozenset(location) if location else None)
    settings = load_settings()
    if settings.jwt_secret is None:
        raise Unstartable("Tokens are signed with HOME_VISITS_JWT_SECRET: set it, or ask the issuer whose keys are used for one.")
    with naming_the_setting("The token cannot be made"):
        typer.echo(mint(token_rules(settings), caller, timedelta(hours=expires), clock()))


@cli.command()
def key(
    role: Annotated[list[Role] | None, typer.Option(case_sensitive=False, help="What a new key may do; repeatable.")] = None,
    location: Annotated[list[str] | None, typer.Option(help="A location it is limited to; repeat for several.")] = None,
    name: Annotated[str, typer.Option(help="Who uses it, as events tell it; else the key.")] = "",
    allow_signature_1: Annotated[bool, typer.Option("--allow-signature-1", help="For old clients: see the README.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the keys.")] = False,
    revoke: Annotated[str | None, typer.Option(help="The key to end.")] = None,
) -> None:
    """Make a key of the API at /v1, list them, or end one.

    A new one is account ID, key and secret, each on a line. All keys of a database have one account ID.
    """
    from resolvers.rest import KeyMaker, list_keys, revoke_key

    settings = load_settings()
    if (bool(role), list_, revoke is not None).count(True) != 1:
        raise Unstartable("Give a new key a --role, or choose --list or --revoke: one of the three.")
    if revoke is not None:
        run_with(migrated_database(settings), partial(revoke_key, key=revoke))
    elif list_:
        typer.echo("".join(f"{line}\n" for line in run_with(migrated_database(settings), list_keys)), nl=False)
    else:
        caller = Caller(name, frozenset(role or ()), frozenset(location) if location else None)
        make = KeyMaker(settings, caller, allows_signature_1=allow_signature_1)
        typer.echo("\n".join(run_with(migrated_database(settings, create=True), make)))


def main() -> None:
    occupy_standard_streams()
    try:
        cli()
    except (Unstartable, Refusal, OSError) as reason:
        sys.exit(f"home-visits: {reason}")


if __name__ == "__main__":
    main()
