"""Settings in, running server out: the only reader of the environment, and the command line."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer
import uvloop
from aiohttp import web
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console
from rich.progress import Progress

from resolvers import auth, errors
from resolvers.api import make_schema
from resolvers.tokens import TokenRules, Tokens, mint
from schema import graphiql
from schema.context import Context
from schema.engine.admission import Admission
from schema.engine.connections import HTTPLimits, server_options
from schema.engine.execution import Engine
from schema.engine.http import Endpoint
from schema.engine.limits import Limits
from schema.engine.reception import TrustedDocuments
from schema.engine.routes import add_routes
from schema.engine.telemetry import Telemetry, configure_logs
from schema.engine.workers import is_loopback, listening, supervise
from storage.caller import Caller, Role
from storage.carehq.importing import import_documents
from storage.database import Database, database_path
from storage.demo import fill_with_demo
from storage.errors import DatabaseUnusable, Refusal
from storage.instants import clock
from storage.migrations import migrate as migrate_database
from storage.outbox import overview
from storage.outbox.addresses import sender
from storage.outbox.courier import Courier
from storage.outbox.letter import Letterhead
from storage.outbox.server import mail_server
from storage.outbox.transports import Folder, Smtp
from storage.repository import HomeVisits

T = TypeVar("T")

DRAIN: web.AppKey[Callable[[], None]] = web.AppKey("drain")
HOUSEKEEPING_SECONDS = 3600.0
ANYBODY = " (development: everybody on this machine may do everything)"


class Settings(BaseSettings):
    """Read from variables with the prefix `HOME_VISITS_`, or from a file `.env`."""

    model_config = SettingsConfigDict(env_prefix="HOME_VISITS_", env_file=".env", env_nested_delimiter="__", extra="ignore")

    database_url: str = "sqlite+aiosqlite:///home_visits.db"
    jwt_secret: SecretStr | None = None
    jwt_jwks_url: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_roles_claim: str = "roles"
    jwt_locations_claim: str = "locations"
    smtp_url: SecretStr | None = None
    mail_from: str | None = None
    default_time_zone: str = "Europe/London"
    allowed_origins: frozenset[str] = frozenset()
    trusted_documents: Path | None = None
    explorer: bool = False
    introspection: bool = False
    plans: bool = True
    log_format: Literal["console", "json"] | None = None
    executing: int = 64
    waiting: int = 128
    limits: Limits = Limits()
    http: HTTPLimits = HTTPLimits()
    dev: bool = False
    demo: bool = False

    @property
    def authenticated(self) -> bool:
        return bool(self.jwt_secret or self.jwt_jwks_url)

    def token_rules(self) -> TokenRules:
        secret = self.jwt_secret.get_secret_value() if self.jwt_secret else None
        return TokenRules(
            secret, self.jwt_jwks_url, self.jwt_issuer, self.jwt_audience, self.jwt_roles_claim, self.jwt_locations_claim
        )


class Unstartable(Exception):
    """It cannot start as it is set up; the message says what to set."""


def create_app(settings: Settings) -> web.Application:
    """Make the server's application; raise Unstartable, ValueError or DatabaseUnusable where it could not serve."""
    if not settings.authenticated and not settings.dev:
        raise Unstartable(
            "Nobody could sign in: set HOME_VISITS_JWT_SECRET or HOME_VISITS_JWT_JWKS_URL, or try it out with serve --dev."
        )
    tokens = Tokens(settings.token_rules()) if settings.authenticated else None
    authenticate = tokens.authenticate if tokens else lambda _header: auth.DEVELOPER
    shown = settings.introspection or settings.dev
    database = Database(database_path(settings.database_url))
    admission = Admission(executing=settings.executing, waiting=settings.waiting)
    telemetry = Telemetry()
    engine = Engine(
        make_schema(),
        settings.limits,
        may_introspect=lambda context: shown or auth.may(context.caller, auth.INTROSPECTION),
        planned=settings.plans,
        suggest=shown,
    )
    endpoint = Endpoint(
        execute=engine.execute,
        authenticate=authenticate,
        make_context=lambda caller, _id: Context(database, caller, clock, settings.default_time_zone, auth.allowed_operations),
        present_error=errors.present,
        observe=telemetry.observe,
        admission=admission,
        limits=settings.http,
        trusted=TrustedDocuments.read(settings.trusted_documents) if settings.trusted_documents else None,
        origins=settings.allowed_origins,
        page=graphiql.page(offline=graphiql.assets_present(), demo=settings.demo) if settings.explorer or settings.dev else None,
    )
    courier = _courier(settings, database)
    telemetry.gauge("executing", "Requests that are executing.", lambda: admission.executing)
    telemetry.gauge("waiting", "Requests that wait to be executed.", lambda: admission.waiting)
    telemetry.gauge("documents", "Prepared documents that are kept.", lambda: len(engine.documents))
    telemetry.gauge("statements", "Statements that reads have sent.", lambda: database.fetched)
    telemetry.gauge("transactions", "Transactions that were committed.", lambda: database.written)

    async def operator(authorization: str | None) -> None:
        caller = authenticate(authorization)
        auth.require(caller if isinstance(caller, Caller) else await caller, auth.METRICS)

    async def running(_app: web.Application) -> AsyncIterator[None]:
        await database.open()
        tasks = [asyncio.create_task(work) for work in (telemetry.watch_loop(), _housekeeping(database))]
        if courier:
            tasks.append(asyncio.create_task(courier.run()))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if tokens:
            await tokens.close()
        await database.close()

    app = web.Application(client_max_size=settings.http.body)
    app.router.add_route("*", "/graphql", endpoint.handle)
    add_routes(app, database, telemetry, operator)
    app.cleanup_ctx.append(running)
    app[DRAIN] = endpoint.drain
    return app


def _courier(settings: Settings, database: Database) -> Courier | None:
    if settings.smtp_url is None and not settings.dev:
        return None
    if settings.mail_from is None and not settings.dev:
        raise Unstartable("HOME_VISITS_SMTP_URL needs HOME_VISITS_MAIL_FROM beside it: the address that confirmations come from.")
    transport = Smtp(mail_server(settings.smtp_url.get_secret_value())) if settings.smtp_url else Folder(Path("mail"))
    letterhead = Letterhead(sender(settings.mail_from or "Home visits <visits@homes.example>"), settings.default_time_zone)
    return Courier(database, transport, letterhead)


async def _housekeeping(database: Database) -> None:
    visits = HomeVisits(database, auth.DEVELOPER, clock)
    while True:
        with contextlib.suppress(DatabaseUnusable):
            await visits.forget_keys()
        await asyncio.sleep(HOUSEKEEPING_SECONDS)


async def _serve(settings: Settings, shared: socket.socket) -> None:
    """Serve until told to stop; then finish what was accepted."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    app = create_app(settings)
    runner = web.AppRunner(app, **server_options(settings.http))
    await runner.setup()
    await web.SockSite(runner, shared).start()
    await stopped.wait()
    app[DRAIN]()
    await runner.cleanup()


cli = typer.Typer(
    help="The home visits of a care-home CRM, over GraphQL.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@cli.command()
def serve(
    dev: Annotated[bool, typer.Option(help="To try out: no sign-in, explorer on, on this machine only.")] = False,
    demo: Annotated[bool, typer.Option(help="Fill an empty database with made-up visits.")] = False,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen at; 0: any that is free.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="How many processes serve.")] = 1,
    inherited: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve GraphQL at /graphql, until interrupted."""
    settings = _settings(dev=dev, demo=demo)
    configure_logs(settings.log_format or ("console" if settings.dev else "json"))
    uvloop.install()
    if inherited is not None:
        asyncio.run(_serve(settings, socket.socket(fileno=inherited)))
        return
    if settings.dev and not is_loopback(host):
        raise Unstartable("--dev lets everybody in, so it listens on this machine only: leave out --host, or set up sign-in.")
    try:
        create_app(settings)  # what cannot start is told before anything is changed
    except ValueError as reason:
        raise Unstartable(str(reason)) from None
    path = database_path(settings.database_url)
    migrate_database(path)
    if settings.demo and asyncio.run(_with_database(settings, partial(fill_with_demo, now=clock()))):
        _say(f"Filled {path} with made-up visits.")
    try:
        shared = listening(host, port)
    except OSError as error:
        raise Unstartable(f"Cannot listen at {host}:{port}: {error.strerror}. Choose another --host or --port.") from None
    _say(f"Serving {path} at http://{host}:{shared.getsockname()[1]}/graphql" + (ANYBODY if settings.dev else ""))
    if workers == 1:
        asyncio.run(_serve(settings, shared))
        return
    with tempfile.TemporaryDirectory(prefix="home-visits-") as numbers:
        supervise(workers, shared, {**os.environ, "PROMETHEUS_MULTIPROC_DIR": numbers})


def _settings(**flags: bool) -> Settings:
    """Read the settings; a flag that is given wins over a variable."""
    try:
        return Settings(**{name: True for name, given in flags.items() if given})  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = "; ".join(f"HOME_VISITS_{'__'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in error.errors())
        raise Unstartable(f"Settings that cannot be used: {wrong}.") from None


async def _with_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    database = await Database(database_path(settings.database_url)).open()
    try:
        return await work(database)
    finally:
        await database.close()


def _say(line: str) -> None:
    typer.echo(line, err=True)


@cli.command()
def migrate() -> None:
    """Bring the database up to date, or make it."""
    path = database_path(_settings().database_url)
    _say(f"{path} has been brought up to date." if migrate_database(path) else f"{path} is up to date.")


@cli.command()
def schema() -> None:
    """Print the API's schema definition language."""
    typer.echo(make_schema().as_str())


@cli.command()
def token(
    subject: Annotated[str, typer.Option(help="Who the token is for.")],
    role: Annotated[list[Role], typer.Option(case_sensitive=False, help="What they may do; repeat for several.")],
    location: Annotated[list[str] | None, typer.Option(help="A location they are limited to; repeat for several.")] = None,
    expires: Annotated[float, typer.Option(min=0, help="Hours until it expires.")] = 1,
) -> None:
    """Print a token for development or a machine client, signed with HOME_VISITS_JWT_SECRET."""
    caller = Caller(subject, frozenset(role), frozenset(location) if location else None)
    try:
        typer.echo(mint(_settings().token_rules(), caller, timedelta(hours=expires), clock()))
    except ValueError as reason:
        raise Unstartable(str(reason)) from None


@cli.command()
def deliver(once: Annotated[bool, typer.Option(help="Send what is due now, then stop.")] = False) -> None:
    """Send the confirmation emails that wait."""
    settings = _settings()
    configure_logs(settings.log_format or "console")

    async def work(database: Database) -> None:
        courier = _courier(settings, database)
        if courier is None:
            raise Unstartable("There is no mail server to deliver to: set HOME_VISITS_SMTP_URL and HOME_VISITS_MAIL_FROM.")
        if once:
            _say(f"{await courier.deliver_once()} sent.")
        else:
            await courier.run()

    migrate_database(database_path(settings.database_url))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_with_database(settings, work))


@cli.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="CareHQ documents as JSON: an array, a page with items, one, or lines.")],
    kind: Annotated[str | None, typer.Option(help="What the documents are, where the names of the files do not tell.")] = None,
) -> None:
    """Import CareHQ documents. Those that cannot be used are reported; the others are imported."""
    settings = _settings()
    migrate_database(database_path(settings.database_url))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task("Importing", total=sum(path.stat().st_size for path in files if path.exists()))
        report = asyncio.run(
            _with_database(
                settings,
                lambda database: import_documents(
                    database,
                    files,
                    kind,
                    clock(),
                    progress=lambda read: progress.update(shown, completed=read),
                    refuse=lambda refused: progress.console.print(str(refused), markup=False, highlight=False, soft_wrap=True),
                ),
            )
        )
    for name, tally in report.tallies.items():
        _say(f"{name}: {tally}")
    if report.refused:
        raise typer.Exit(1)


@cli.command()
def outbox(
    retry: Annotated[
        list[str] | None, typer.Option(help="A message that was given up, to try again.")
    ] = None,
) -> None:
    """List the confirmation emails that wait or were given up, with the reason; try given-up ones again."""
    settings = _settings()
    migrate_database(database_path(settings.database_url))

    async def work(database: Database) -> None:
        if retry:
            queued = await overview.retry(database, retry, clock())
            for id in retry:
                _say(f"{id} is queued again." if id in queued else f"{id} is no message that was given up.")
        messages = [*await overview.waiting(database), *await overview.given_up(database)]
        for message in messages:
            reason = message.reasons.splitlines()[-1:] or ["not tried yet"]
            typer.echo(f"{message.id}  {message.status}  visit {message.home_visit}  tries {message.attempts}  {reason[0]}")
        _say(f"{len(messages)} in all.")

    asyncio.run(_with_database(settings, work))


def main() -> None:
    try:
        cli()
    except (Unstartable, Refusal) as reason:
        sys.exit(f"home-visits: {reason}")


if __name__ == "__main__":
    main()
