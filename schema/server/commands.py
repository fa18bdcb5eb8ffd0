"""The commands with which operators keep a database: each a few lines over the room that does it."""

import dataclasses
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schema.server import processes
from schema.server.account import kept_here, refuse_while_following
from schema.server.databases import configured_database, migrated_database, nothing_in, restore_and_describe
from schema.server.logs import Log
from schema.server.resources import mailroom_of
from schema.server.settings import Settings, Unstartable, unknown_variables
from storage.database import database_of, run_with
from storage.instants import clock
from storage.outbox.mailroom import retry_and_list

if TYPE_CHECKING:
    from storage.carehq.importing import ImportReport

WIPED_THERE = "Personal data are wiped in CareHQ"
MAILED_THERE = "Emails are sent by CareHQ"

commands = typer.Typer()


def say(sentence: str) -> None:
    """Tell whoever has started this; that nobody reads it is no reason to fail."""
    with suppress(OSError):
        typer.echo(sentence, err=True)


def load_settings() -> Settings:
    """Read the settings, and name variables that are none; raise Unstartable."""
    settings = Settings.load()
    for name in unknown_variables():
        say(f"{name} is no setting, and has no effect.")
    return settings


def report(imported: "ImportReport") -> None:
    """Say what has become of documents of each kind; end with 1 where some could not be used."""
    for name, tally in imported.tallies.items():
        say(f"{name}: " + ", ".join(f"{number:,} {became}" for became, number in dataclasses.asdict(tally).items()))
    if imported.refused:
        raise typer.Exit(1)


@commands.command()
def migrate() -> None:
    """Bring the database up to date, or make it."""
    from storage.catching_up import catch_up

    database = configured_database(load_settings())
    migrated = database.migrate()
    caught_up = run_with(database, catch_up)
    say(f"{database} has been brought up to date." if migrated or caught_up else f"{database} is up to date.")


@commands.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="CareHQ documents as JSON: an array, a page with items, one, or lines.")],
    kind: Annotated[str | None, typer.Option(help="What the documents are, where the names of the files do not tell.")] = None,
) -> None:
    """Import CareHQ documents. Those that cannot be used are reported; the others are imported."""
    from storage.carehq.importing import import_documents
    from storage.progress import progress_bar

    settings = load_settings()
    refuse_while_following(settings, "Documents come from CareHQ")
    database = migrated_database(settings, create=True)
    with progress_bar("Importing") as bar:
        work = partial(import_documents, paths=files, kind=kind, now=clock(), progress=bar.update, refuse=bar.print_line)
        imported = run_with(database, kept_here(work))
    report(imported)


@commands.command()
def export(kind: Annotated[str, typer.Option(help="What to write, such as care_enquiries.")] = "home_visits") -> None:
    """Write the CareHQ documents of one kind to standard output, as a JSON array."""
    from storage.carehq.exporting import export_documents

    work = partial(export_documents, out=sys.stdout.buffer, kind=kind)
    database = database_of((settings := load_settings()).database_url, pgbouncer=settings.pgbouncer)
    with database.readable() as readable:
        if readable.is_empty():
            raise nothing_in(database)
        readable.migrate()
        say(f"{kind}: {run_with(readable, work):,} exported")


@commands.command("backup")
def backup_(file: Annotated[Path, typer.Argument(help="The file to make.")]) -> None:
    """Copy the database, also while it is served."""
    from storage.progress import progress_bar

    database = database_of(load_settings().database_url)
    with progress_bar("Copying") as bar:
        database.backup(file, bar.update)
    say(f"{database} was copied to {file}.")


@commands.command("restore")
def restore_(file: Annotated[Path, typer.Argument(help="A file that the command backup made.")]) -> None:
    """Check a backup and put it in the place of the database, which is kept under another name."""
    for sentence in restore_and_describe(configured_database(load_settings()), file):
        say(sentence)


@commands.command()
def move(to: Annotated[str, typer.Option(help="The URL of the database to move to, which is empty.")]) -> None:
    """Move everything to another database, checked; one that was ended goes on where it was."""
    from storage.moving import move_to
    from storage.progress import progress_bar

    source, target = migrated_database(load_settings()), database_of(to)
    with progress_bar("Moving") as bar:
        rows = move_to(target, source, bar.update)
    say(f"{rows:,} rows were moved from {source} to {target}, and compared. Set HOME_VISITS_DATABASE_URL to it from now on.")


@commands.command()
def anonymize(
    older_than: Annotated[int, typer.Option(min=1, max=36_500, help="Days since a visit was cancelled or completed.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Wipe nothing; say what would be.")] = False,
) -> None:
    """Wipe the personal data of visits that ended long ago, and of those who no other visit is for."""
    from storage.progress import progress_bar
    from storage.retention.commands import anonymize_and_describe

    settings = load_settings()
    refuse_while_following(settings, WIPED_THERE)
    with progress_bar("Anonymizing") as bar:
        work = partial(anonymize_and_describe, days=older_than, clock=clock, dry_run=dry_run, progress=bar.update)
        description = run_with(migrated_database(settings), kept_here(work))
    say(description)


@commands.command()
def person(
    email: Annotated[str | None, typer.Option(help="The email address of one person; - reads it from standard input.")] = None,
    care_enquiry: Annotated[list[str] | None, typer.Option(help="The care enquiry of one; repeat for several.")] = None,
    contact: Annotated[list[str] | None, typer.Option(help="One who is only a contact; repeat for several.")] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Cancel what is pending and wipe all of it.")] = False,
) -> None:
    """Print all that is kept about one person, as JSON; or erase it."""
    from storage.retention.commands import erase_and_describe, person_document
    from storage.retention.finding import PersonRequest

    settings = load_settings()
    if erase:
        refuse_while_following(settings, WIPED_THERE)
    request = PersonRequest(sys.stdin.readline() if email == "-" else email, care_enquiry or (), contact or ())
    database = migrated_database(settings)
    if erase:
        say(run_with(database, kept_here(partial(erase_and_describe, request=request, clock=clock))))
    else:
        typer.echo(run_with(database, partial(person_document, request=request)))


@commands.command()
def deliver(once: Annotated[bool, typer.Option("--once", help="Send what is due now, then stop.")] = False) -> None:
    """Send the confirmation emails that wait."""
    settings = load_settings()
    refuse_while_following(settings, MAILED_THERE)
    Log(settings.log_format or "console").capture_logging()
    if settings.smtp_url is None:
        raise Unstartable("There is no mail server to deliver to: set HOME_VISITS_SMTP_URL and HOME_VISITS_MAIL_FROM.")
    mailroom, database = mailroom_of(settings), migrated_database(settings)
    if once:
        say(f"{run_with(database, kept_here(mailroom.deliver_once))} sent.")
    else:
        run_with(database, kept_here(lambda database: processes.run_until_stopped(mailroom.deliver(database))))


@commands.command()
def outbox(retry: Annotated[list[str] | None, typer.Option(help="One to try again; repeat for several.")] = None) -> None:
    """List the confirmation emails that wait or were given up, with the reason; try given-up ones again."""
    settings = load_settings()
    if retry:
        refuse_while_following(settings, MAILED_THERE)
    work = partial(retry_and_list, ids=retry or [], now=clock())
    typer.echo("\n".join(run_with(migrated_database(settings), kept_here(work) if retry else work)))
