"""What an error of SQLite means for the caller."""

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, IntegrityError

from storage.errors import DatabaseBusy, DatabaseFull, DatabaseUnusable


def unusable(error: BaseException) -> DatabaseUnusable | None:
    """Return the refusal that an error, or SQLAlchemy's with one inside, stands for; None where it is not about the database."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    match getattr(cause, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return DatabaseFull()
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_INTERRUPT | sqlite3.SQLITE_PROTOCOL:
            return DatabaseBusy()
        case (
            sqlite3.SQLITE_CANTOPEN
            | sqlite3.SQLITE_NOTADB
            | sqlite3.SQLITE_CORRUPT
            | sqlite3.SQLITE_READONLY
            | sqlite3.SQLITE_IOERR
            | sqlite3.SQLITE_PERM
        ):
            return DatabaseUnusable(f"The database cannot be used: {cause}. Check the file, its folder and their permissions.")
    return None


def is_rolled_back(error: BaseException) -> bool:
    """Tell whether a commit that fails so has left nothing behind; what fails as the log is synced may be found after a crash."""
    return isinstance(error, IntegrityError) or isinstance(unusable(error), DatabaseBusy | DatabaseFull)


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Turn what the driver says about the database itself into what the caller can do."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        if refusal := unusable(error):
            raise refusal from error
        raise
