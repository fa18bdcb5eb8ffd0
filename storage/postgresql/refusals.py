"""What an error of PostgreSQL, or of its driver, means for the caller."""

import contextlib
from collections.abc import Iterator

import asyncpg
from sqlalchemy.exc import DBAPIError

from storage.errors import DatabaseBusy, DatabaseFull, DatabaseUnusable

# The transaction met another one: `work` is run again from its start. 23505: two bookings with one idempotency key.
REPEATABLE = frozenset({"40001", "40P01", "23505", "55P03"})
# The schema changed under a statement that was prepared before.
STALE = frozenset({"0A000", "26000"})
# Of a commit that fails so it is known that nothing is left: a constraint that is checked last, a conflict, a full disk.
_ROLLED_BACK = ("23", "40", "53")
# "Statement completion unknown", though its class is that of conflicts: engines of several nodes say so.
_UNKNOWN = "40003"
_FULL = frozenset({"53100", "53200"})
_BUSY = frozenset({"57014", "55P03", "40001", "40P01", "53300", "57P03"})
# What a connection that is gone raises: the server stopped, restarted, or cut it.
LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    ConnectionError,
    OSError,
)


def cause_of(error: BaseException) -> BaseException:
    """Return the driver's error, which SQLAlchemy wraps twice."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def sqlstate(error: BaseException) -> str:
    return getattr(cause_of(error), "sqlstate", None) or ""


def is_lost(error: BaseException) -> bool:
    """Tell whether the connection is gone, and with it whatever was not committed."""
    cause = cause_of(error)
    return isinstance(cause, LOST) and not isinstance(cause, TimeoutError)


def is_rolled_back(error: BaseException) -> bool:
    """Tell whether a commit that failed so has surely left nothing."""
    state = sqlstate(error)
    return state.startswith(_ROLLED_BACK) and state != _UNKNOWN


def unusable(error: BaseException) -> DatabaseUnusable | None:
    """Return the refusal that an error, or SQLAlchemy's with one inside, stands for; None where it is not about the database."""
    cause, state = cause_of(error), sqlstate(error)
    if state in _FULL:
        return DatabaseFull()
    if state in _BUSY or isinstance(cause, TimeoutError):
        return DatabaseBusy()
    if state[:2] in ("08", "28", "3D", "57") or state in ("25006", "42501", "42P01", "42703") or isinstance(cause, LOST):
        return DatabaseUnusable(f"The database cannot be used: {reason_of(cause)}. {_advice(state)}")
    return None


def reason_of(error: BaseException) -> str:
    """Return what the server or the driver says, in one line: further ones are details and hints."""
    cause = cause_of(error)
    if isinstance(cause, TimeoutError):
        return "It did not answer in time"
    first, *others = str(cause).splitlines() or [type(cause).__name__]
    hint = next((line for line in others if line.startswith("HINT:")), "")
    return ". ".join(part for part in (first.rstrip("."), hint.removeprefix("HINT:").strip().rstrip(".")) if part)


def _advice(state: str) -> str:
    match state:
        case "28P01" | "28000":
            return "Check the user and the password in its URL, and what the server's pg_hba.conf lets in."
        case "08P01":
            return "Where that is PgBouncer, set HOME_VISITS_PGBOUNCER=on."
        case "3D000":
            return "Have an administrator run CREATE DATABASE, or check the name in its URL."
        case "42501":
            return "Have an administrator make this user the owner of the database."
        case "25006":
            return "Name all hosts of the database in its URL, with ?target_session_attrs=read-write."
    return "Check that it runs, and what its URL says."


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Turn what the driver says about the database itself into what the caller can do."""
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        if refusal := unusable(error):
            raise refusal from error
        raise
