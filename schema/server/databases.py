"""The database that the settings name, as a command needs it: there, writable, up to date."""

from pathlib import Path

from schema.server.settings import Settings, Unstartable
from storage.database import Database, database_of


def configured_database(settings: Settings) -> Database:
    """Raise Unstartable where it cannot be made or written."""
    database = database_of(settings.database_url, pgbouncer=settings.pgbouncer)
    database.lock_seconds = settings.anonymize_lock_seconds
    if obstacle := database.obstacle():
        raise Unstartable(f"{obstacle}, or set HOME_VISITS_DATABASE_URL.")
    return database


def migrated_database(settings: Settings, *, create: bool = False) -> Database:
    """Return the database, brought up to date; raise Unstartable for one that is empty, unless `create`."""
    database = configured_database(settings)
    if not create and database.is_empty():
        raise nothing_in(database)
    database.migrate()
    return database


def restore_and_describe(database: Database, backup: Path) -> list[str]:
    """Put a backup in the place of the database, and return what is to be said of it."""
    from storage.retention.restored import describe_restored  # noqa: PLC0415 - only a restore needs it

    kept = database.restore(backup)
    described = [describe_restored(database, backup, kept)]
    revoked = () if kept is None else database.revoked_since(kept, backup)
    if revoked is None:
        described.append(
            "Which API keys were revoked since it was made cannot be read: look at key --list, and revoke them again."
        )
    elif revoked:
        described.append(f"Revoked since it was made, and still: {', '.join(revoked)}.")
    return described


def nothing_in(database: Database) -> Unstartable:
    return Unstartable(f"There are no home visits in {database} yet: import some, or set HOME_VISITS_DATABASE_URL.")
