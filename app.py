"""Settings in, running server out: the wiring, and the command line."""

import gc

# What is imported stays: to traverse it for garbage again and again would take a fifth of a start.
gc.disable()

import dataclasses
import sys
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from aiohttp import web

from resolvers import auth
from resolvers.api import schema_definition
from resolvers.operations import audience, engine_of, operations_of, sign_in_of
from schema import graphiql
from schema.server import processes, supervisor
from schema.server.background import BackgroundTask, background_tasks, lifespan
from schema.server.databases import configured_database, migrated_database, nothing_in, restore_and_describe
from schema.server.descriptors import occupy_standard_streams
from schema.server.logs import Log
from schema.server.metrics import Metrics, export_gauges
from schema.server.resources import mailroom_of, trusted_documents_of
from schema.server.routes import add_routes, answer_straight, local_only
from schema.server.settings import Settings, Unstartable, naming_the_setting, shared_metrics, unknown_variables
from schema.server.version import current_version
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.http.clients import ClientAddresses
from schema.transport.http.endpoint import Endpoint
from schema.transport.shares import Shares
from schema.transport.websocket.endpoint import WebSockets
from storage.caller import Caller, Role
from storage.database import database_of, run_with
from storage.errors import Refusal
from storage.events.feed import Feed
from storage.instants import clock
from storage.outbox.mailroom import retry_and_list
from storage.repository import HomeVisits

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
    operations = operations_of(settings, engine, database, feed, metrics, concurrency, tokens)
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
    app = web.Application(middlewares=[] if tokens else [local_only(origins)])
    app[processes.DRAIN] = endpoint.drain
    app[processes.REFUSE_HEADER] = endpoint.refuse_header
    if operations.runs_at_once:
        answer_straight(app, endpoint, metrics, local_only=None if tokens else origins)
    app.router.add_route("*", "/graphql{slash:/?}", endpoint.handle)
    if settings.keys_secret:
        from resolvers.rest import rest_of

        rest = rest_of(settings, operations, database, clients, lambda: endpoint.is_draining)
        app.router.add_route("*", "/{mount:(.*/)?}v1{path:(/.*)?}", rest.endpoint.handle)
        background.append(rest.background)
        endpoint.gives_hints = True
    add_routes(app, database, metrics, authenticate, partial(auth.require, permission=auth.METRICS), settings.http.write_seconds)
    app.cleanup_ctx.append(lifespan(database, background, close=tokens.close if tokens else None))
    return app


def say(sentence: str) -> None:
    """Tell whoever has started this; that nobody reads it is no reason to fail."""
    with suppress(OSError):
        typer.echo(sentence, err=True)


cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


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
    settings = _settings()
    log = Log(settings.log_format or ("console" if dev else "json")).capture_logging()
    if dev and not processes.is_loopback(host):
        raise Unstartable("--dev lets everybody in, so it listens on this machine only: leave out --host, or set up sign-in.")
    if demo and not dev:
        raise Unstartable("--demo fills a database with made-up visits, to try out: leave it out, or add --dev.")
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
        if workers == 1:
            uvloop.run(processes.serve(app, listener, settings.http, ready=partial(say, serving)))
        else:
            supervisor.supervise(workers, listener, settings.http, ready=partial(say, serving))


@cli.command()
def migrate() -> None:
    """Bring the database up to date, or make it."""
    from storage.catching_up import catch_up

    database = configured_database(_settings())
    migrated = database.migrate()
    caught_up = run_with(database, catch_up)
    say(f"{database} has been brought up to date." if migrated or caught_up else f"{database} is up to date.")


@cli.command()
def schema() -> None:
    """Print the API's schema definition language."""
    typer.echo(schema_definition())


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
    settings = _settings()
    if settings.jwt_secret is None:
        raise Unstartable("Tokens are signed with HOME_VISITS_JWT_SECRET: set it, or ask the issuer whose keys are used for one.")
    with naming_the_setting("The token cannot be made"):
        typer.echo(mint(token_rules(settings), caller, timedelta(hours=expires), clock()))


@cli.command()
def key(
    role: Annotated[list[Role] | None, typer.Option(case_sensitive=False, help="What a new key may do; repeatable.")] = None,
    location: Annotated[list[str] | None, typer.Option(help="A location it is limited to; repeat for several.")] = None,
    name: Annotated[str, typer.Option(help="Who uses it, as events tell it; else its account ID.")] = "",
    allow_signature_1: Annotated[bool, typer.Option("--allow-signature-1", help="For old clients: see the README.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the keys.")] = False,
    revoke: Annotated[str | None, typer.Option(help="The key to end.")] = None,
) -> None:
    """Make a key of the API at /v1, list them, or end one. A new one is account ID, key and secret, each on a line."""
    from resolvers.rest import KeyMaker, list_keys, revoke_key

    settings = _settings()
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


@cli.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="CareHQ documents as JSON: an array, a page with items, one, or lines.")],
    kind: Annotated[str | None, typer.Option(help="What the documents are, where the names of the files do not tell.")] = None,
) -> None:
    """Import CareHQ documents. Those that cannot be used are reported; the others are imported."""
    from storage.carehq.importing import import_documents
    from storage.progress import progress_bar

    database = migrated_database(_settings(), create=True)
    with progress_bar("Importing") as bar:
        work = partial(import_documents, paths=files, kind=kind, now=clock(), progress=bar.update, refuse=bar.print_line)
        report = run_with(database, work)
    for name, tally in report.tallies.items():
        say(f"{name}: " + ", ".join(f"{number:,} {became}" for became, number in dataclasses.asdict(tally).items()))
    if report.refused:
        raise typer.Exit(1)


@cli.command()
def export(kind: Annotated[str, typer.Option(help="What to write, such as care_enquiries.")] = "home_visits") -> None:
    """Write the CareHQ documents of one kind to standard output, as a JSON array."""
    from storage.carehq.exporting import export_documents

    work = partial(export_documents, out=sys.stdout.buffer, kind=kind)
    database = database_of((settings := _settings()).database_url, pgbouncer=settings.pgbouncer)
    with database.readable() as readable:
        if readable.is_empty():
            raise nothing_in(database)
        readable.migrate()
        say(f"{kind}: {run_with(readable, work):,} exported")


@cli.command("backup")
def backup_(file: Annotated[Path, typer.Argument(help="The file to make.")]) -> None:
    """Copy the database, also while it is served."""
    from storage.progress import progress_bar

    database = database_of(_settings().database_url)
    with progress_bar("Copying") as bar:
        database.backup(file, bar.update)
    say(f"{database} was copied to {file}.")


@cli.command("restore")
def restore_(file: Annotated[Path, typer.Argument(help="A file that the command backup made.")]) -> None:
    """Check a backup and put it in the place of the database, which is kept under another name."""
    for sentence in restore_and_describe(configured_database(_settings()), file):
        say(sentence)


@cli.command()
def move(to: Annotated[str, typer.Option(help="The URL of the database to move to, which is empty.")]) -> None:
    """Move everything to another database, checked; one that was ended goes on where it was."""
    from storage.moving import move_to
    from storage.progress import progress_bar

    source, target = migrated_database(_settings()), database_of(to)
    with progress_bar("Moving") as bar:
        rows = move_to(target, source, bar.update)
    say(f"{rows:,} rows were moved from {source} to {target}, and compared. Set HOME_VISITS_DATABASE_URL to it from now on.")


@cli.command()
def anonymize(
    older_than: Annotated[int, typer.Option(min=1, max=36_500, help="Days since a visit was cancelled or completed.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Wipe nothing; say what would be.")] = False,
) -> None:
    """Wipe the personal data of visits that ended long ago, and of those who no other visit is for."""
    from storage.progress import progress_bar
    from storage.retention.commands import anonymize_and_describe

    with progress_bar("Anonymizing") as bar:
        work = partial(anonymize_and_describe, days=older_than, clock=clock, dry_run=dry_run, progress=bar.update)
        description = run_with(migrated_database(_settings()), work)
    say(description)


@cli.command()
def person(
    email: Annotated[str | None, typer.Option(help="The email address of one person; - reads it from standard input.")] = None,
    care_enquiry: Annotated[list[str] | None, typer.Option(help="The care enquiry of one; repeat for several.")] = None,
    contact: Annotated[list[str] | None, typer.Option(help="One who is only a contact; repeat for several.")] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Cancel what is pending and wipe all of it.")] = False,
) -> None:
    """Print all that is kept about one person, as JSON; or erase it."""
    from storage.retention.commands import erase_and_describe, person_document
    from storage.retention.finding import PersonRequest

    request = PersonRequest(sys.stdin.readline() if email == "-" else email, care_enquiry or (), contact or ())
    database = migrated_database(_settings())
    if erase:
        say(run_with(database, partial(erase_and_describe, request=request, clock=clock)))
    else:
        typer.echo(run_with(database, partial(person_document, request=request)))


@cli.command()
def deliver(once: Annotated[bool, typer.Option("--once", help="Send what is due now, then stop.")] = False) -> None:
    """Send the confirmation emails that wait."""
    settings = _settings()
    Log(settings.log_format or "console").capture_logging()
    if settings.smtp_url is None:
        raise Unstartable("There is no mail server to deliver to: set HOME_VISITS_SMTP_URL and HOME_VISITS_MAIL_FROM.")
    mailroom, database = mailroom_of(settings), migrated_database(settings)
    if once:
        say(f"{run_with(database, mailroom.deliver_once)} sent.")
    else:
        run_with(database, lambda database: processes.run_until_stopped(mailroom.deliver(database)))


@cli.command()
def outbox(retry: Annotated[list[str] | None, typer.Option(help="One to try again; repeat for several.")] = None) -> None:
    """List the confirmation emails that wait or were given up, with the reason; try given-up ones again."""
    work = partial(retry_and_list, ids=retry or [], now=clock())
    typer.echo("\n".join(run_with(migrated_database(_settings()), work)))


def _settings() -> Settings:
    settings = Settings.load()
    for name in unknown_variables():
        say(f"{name} is no setting, and has no effect.")
    return settings


def main() -> None:
    occupy_standard_streams()
    try:
        cli()
    except (Unstartable, Refusal, OSError) as reason:
        sys.exit(f"home-visits: {reason}")


if __name__ == "__main__":
    main()
