"""A database as the rest of storage uses it, whichever it is; and which one a URL names."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import sqlalchemy as sa
from sqlmodel import Session

from storage.caller import OURSELVES, Accounts, NoAccounts
from storage.changes import Followers
from storage.errors import DatabaseUnusable
from storage.queries.dialect import Dialect
from storage.queries.statements import Row, Statement
from storage.reference_cache import ReferenceCache
from storage.writes import WriteState

T = TypeVar("T")

LOCK_SECONDS = 1.0
# How much is done, of how much.
Progress = Callable[[int, int], None]
# Writes rows as they were read, each with all columns of the table in their order.
Insert = Callable[[sa.Table, Sequence[Row]], Awaitable[None]]


class NotAtOnce(Exception):
    """A read has to wait for something."""


class Wiped(NamedTuple):
    """Of how many records the personal data were wiped."""

    visits: int = 0
    care_enquiries: int = 0
    contacts: int = 0

    def plus(self, other: "Wiped") -> "Wiped":
        return Wiped(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def __str__(self) -> str:
        words = (("visit", "visits"), ("care enquiry", "care enquiries"), ("contact", "contacts"))
        visits, enquiries, contacts = (f"{number:,} {word[number != 1]}" for number, word in zip(self, words, strict=True))
        return f"{visits}, {enquiries} and {contacts}"


class WipedSince(NamedTuple):
    """Of how many records personal data are back, and the IDs of whom somebody had erased, not age."""

    wiped: Wiped
    care_enquiries: list[str]
    contacts: list[str]


class Remains(NamedTuple):
    """Where some of what was wiped may still be: what a repeat removes, files that an operator must delete, and what to know."""

    to_repeat: tuple[str, ...] = ()
    to_delete: tuple[str, ...] = ()
    to_know: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Tell whether neither a repeat nor an operator has anything left to remove."""
        return not (self.to_repeat or self.to_delete)

    def plus(self, other: "Remains") -> "Remains":
        return Remains(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def sentences(self) -> list[str]:
        return [sentence for sentences in self for sentence in sentences]


class Database(ABC):
    """Runs statements that read and transactions that write.

    `statement_count` is how many statements reads have sent, `transaction_count` how many transactions were committed.
    `accounts`, set before it opens, are charged with the time of reads. `lock_seconds` is how long a purge may keep others from
    writing.
    """

    dialect: Dialect
    # Whether reads never wait: one that would have to raises NotAtOnce, as does whatever is no read.
    is_at_once = False

    def __init__(self) -> None:
        self.statement_count = 0
        self.transaction_count = 0
        self.reference_cache = ReferenceCache(self.version)
        self.accounts: Accounts = NoAccounts()
        self.followers = Followers()
        self.lock_seconds = LOCK_SECONDS

    @abstractmethod
    def __str__(self) -> str:
        """Return what it is called in messages, without a password."""

    # What a server does with it, from `open` to `close`

    @abstractmethod
    async def open(self) -> Self:
        """Connect; raise DatabaseUnusable where it cannot be used."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what is being written, then disconnect."""

    @abstractmethod
    async def check(self) -> None:
        """Raise DatabaseUnusable where it does not answer, or is no longer what was opened."""

    @abstractmethod
    async def fetch(self, statement: Statement, values: Mapping[str, Any], subject: str = OURSELVES) -> Sequence[Row]:
        """Run one statement for the caller who has this subject, and return its rows."""

    def at_once(self) -> "Database | None":
        """Return this database as one that `is_at_once`; None where every read has to wait."""
        return None

    def begin(self, reading: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
        """Begin a reading that several may wait for."""
        return asyncio.ensure_future(reading)

    @abstractmethod
    def others_wait(self, subject: str) -> bool:
        """Tell whether a read waits that is not for this caller."""

    @abstractmethod
    async def write(self, work: Callable[[Session], T], state: WriteState | None = None) -> T:
        """Run `work` in one transaction and commit it, also when the caller goes away.

        `work` runs again from its start when the database was busy, or when it met another transaction. `state` says how far
        the write has come. With it, a caller that goes away withdraws what has not begun, and waits a moment for what has.
        Raises WriteInDoubt where nobody can say whether it was committed.
        """

    @abstractmethod
    def version(self) -> int | None:
        """Return a number that is another one once anybody has written; None where that cannot be told at once."""

    @abstractmethod
    def changes(self) -> AsyncGenerator[None]:
        """Yield at once, and again whenever somebody, in any process, may have appended events since; each second at the latest.

        What is appended while the caller reads makes it yield again at once. A lost connection only makes it slower. Close it.
        """

    # What an import does with it

    @abstractmethod
    def importing(self, *, large: bool) -> AbstractAsyncContextManager[None]:
        """Prepare for an import, and make good afterwards what this one, or one that was killed, did without."""

    @abstractmethod
    async def optimize(self) -> None:
        """Rebuild what an import leaves behind that makes reads slow, or that holds what was deleted."""

    @abstractmethod
    async def number_on(self) -> None:
        """Number new rows beyond those that were inserted with their numbers."""

    # What a wipe of personal data does with it

    @abstractmethod
    async def purge(self) -> Remains:
        """Remove from the files of the database what was overwritten or deleted."""

    @abstractmethod
    def other_copies(self) -> list[Path]:
        """Return what was kept of it beside it on purpose; remove what runs that were killed have left of copies."""

    @abstractmethod
    def wiped_since(self, kept: Path, eraser: str) -> WipedSince | None:
        """Return what a restored backup has brought back that was wiped in the database which is kept under this name.

        `eraser` is the actor of erasures. None where nobody can tell. The database is not open.
        """

    # What a restore does with it

    @abstractmethod
    def revoked_since(self, kept: Path, source: Path) -> Collection[str] | None:
        """Return the API keys of a backup that was restored, and that were revoked in the database kept under this name.

        None where nobody can tell. The database is not open.
        """

    # What a move does with it

    @abstractmethod
    def frozen(self) -> AbstractAsyncContextManager[None]:
        """Let nobody write until the block ends; raise DatabaseBusy where somebody does."""

    @abstractmethod
    def filling(self) -> AbstractAsyncContextManager[Insert]:
        """Prepare a database for being filled, and make good afterwards what this block, or one that was killed, did without."""

    @abstractmethod
    def other_user(self) -> str | None:
        """Return who else has it open, while it is not open itself; None where nobody has, or nobody can tell."""

    # What the command line does with it, while it is not open

    @abstractmethod
    def obstacle(self) -> str | None:
        """Return why no database can be made or written where the URL says, and what to do; None where one can."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Tell whether nothing was ever stored in it; raise DatabaseUnusable for what is no database of ours."""

    @abstractmethod
    def migrate(self) -> bool:
        """Bring it up to date and return whether there was anything to do; raise DatabaseUnusable where that cannot be."""

    @abstractmethod
    def backup(self, target: Path, progress: Progress | None = None) -> None:
        """Copy it to a new file, also while it is served; raise DatabaseUnusable where that cannot be."""

    @abstractmethod
    def readable(self) -> AbstractContextManager["Database"]:
        """Return it, or a copy of it where it could not be opened or brought up to date where it is.

        Raises DatabaseUnusable where that cannot be.
        """

    @abstractmethod
    def restore(self, source: Path) -> Path | None:
        """Put a backup in its place and return where the old one is kept; raise DatabaseUnusable where that cannot be."""


def run_with(database: Database, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` on an open database, in an event loop of its own."""
    return asyncio.run(opened(database, work))


async def opened(database: Database, work: Callable[[Database], Awaitable[T]]) -> T:
    """Open a database, run `work`, and close it."""
    await database.open()
    try:
        return await work(database)
    finally:
        await database.close()


def database_of(url: str, *, pgbouncer: bool = False) -> Database:
    """Return the database that a URL such as `sqlite:///home_visits.db` names; raise DatabaseUnusable for any other.

    `pgbouncer`: it is reached through PgBouncer in transaction mode.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme in ("postgresql", "postgres"):
        return _postgresql(url, pgbouncer)
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise DatabaseUnusable("The database URL cannot be read: write it like sqlite:///home_visits.db.") from None
    if scheme != "sqlite":
        raise DatabaseUnusable(f"{scheme} databases are not served: give a URL like sqlite:///home_visits.db or postgresql://….")
    from storage.sqlite.database import SQLiteDatabase  # noqa: PLC0415 - only the driver that is used is loaded

    return SQLiteDatabase.of(parsed)


def _postgresql(url: str, pgbouncer: bool) -> Database:
    try:
        from storage.postgresql.database import PostgreSQLDatabase  # noqa: PLC0415 - only the driver that is used is loaded
    except ImportError as error:
        if error.name not in ("asyncpg", None):
            raise
        # SQLAlchemy's own error about greenlet names no module.
        raise DatabaseUnusable(
            f"PostgreSQL needs {error.name or 'greenlet'}, which is not installed: run pip install -e '.[postgresql]'."
        ) from None
    return PostgreSQLDatabase(url, pooled=pgbouncer)
