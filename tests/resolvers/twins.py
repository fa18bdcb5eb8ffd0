"""One world in two databases, SQLite and PostgreSQL: each operation runs on both, and both must answer alike.

They share a clock and a source of random bits, so that IDs are the same too.
"""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson

from resolvers.auth import allowed_operations
from resolvers.errors import present
from schema.context import Context
from schema.execution.engine import Request
from storage import identifiers, moving
from storage.caller import Caller
from storage.carehq.exporting import export_documents
from storage.carehq.importing import import_documents
from storage.database import Database
from storage.events.numbering import number_events
from storage.models import metadata
from storage.outbox.addresses import Sender
from storage.outbox.courier import Courier
from storage.outbox.letter import Letterhead
from storage.outbox.mailroom import retry_and_list
from storage.outbox.transports import NotSent
from tests import databases, world
from tests.asking import execute, shared_engine

T = TypeVar("T")

KINDS = ("sqlite", "postgresql")
# A database numbers rows in the order in which they come, but a transaction that is run again may leave out numbers. The IDs of
# events that an import appends are made by the database.
ITS_OWN = {"home_visits": {"number"}, "home_visit_events": {"number", "id"}}


class Templates(NamedTuple):
    """The world in each of both databases, to be copied."""

    sqlite: Path
    postgresql: Path

    @classmethod
    def make(cls, folder: Path) -> "Templates":
        paths = cls(*(folder / f"{kind}.db" for kind in KINDS))
        for kind, path in zip(KINDS, paths, strict=True):
            with databases.using(kind):
                world.make(path)
        return paths


class Clock:
    def __init__(self) -> None:
        self.now = world.NOW

    def __call__(self) -> datetime:
        return self.now


class Letters:
    """Takes letters as a mail server does, or refuses them: the next of `refusals` each; None takes one."""

    def __init__(self, refusals: list[NotSent | None]) -> None:
        self._refusals = list(refusals)
        self.sent: list[bytes] = []

    async def send(self, letter: Any) -> None:
        refusal = self._refusals.pop(0) if self._refusals else None
        if refusal:
            raise refusal
        self.sent.append(letter.as_bytes())


class Twins:
    """Both databases. Each method returns what both answered, and fails where they differ."""

    def __init__(self, templates: Templates) -> None:
        self.clock = Clock()
        self._folder = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._databases: list[Database] = []
        for kind, template in zip(KINDS, templates, strict=True):
            with databases.using(kind):
                path = databases.copied(template, Path(self._folder.name) / f"{kind}.db")
                self._databases.append(self._runner.run(databases.database_at(path).open()))

    def close(self) -> None:
        for database in self._databases:
            self._runner.run(database.close())
        self._runner.close()
        with databases.using("postgresql"):
            databases.drop_below(Path(self._folder.name))
        self._folder.cleanup()

    def both(self, work: Callable[[Database], Awaitable[T]]) -> T:
        """Run it on one database and then on the other, with the same random bits."""
        answers = []
        bits, last = random.getrandbits(64), identifiers._last
        for database in self._databases:
            with _seeded(bits, last):
                answers.append(self._runner.run(_awaited(work(database))))
        first, second = answers
        assert first == second, f"SQLite and PostgreSQL differ:\n{first}\n{second}"
        return first

    def ask(self, document: str, variables: dict[str, Any], caller: Caller, *, planned: bool = True) -> dict[str, Any]:
        """Return data and errors of a request, as text and back: what is not the same text is not the same answer."""

        async def work(database: Database) -> bytes:
            context = Context(database, caller, self.clock, "Europe/London", allowed_operations)
            result = await execute(shared_engine(planned=planned), Request(document, None, variables), context)
            errors = [_of_any_item(present(error, "the-request", context)) for error in result.errors]
            return orjson.dumps({"data": result.data, "errors": errors}, default=str)

        answer: dict[str, Any] = orjson.loads(self.both(work))
        codes = {error["extensions"]["code"] for error in answer["errors"]}
        assert not codes & {"INTERNAL_SERVER_ERROR", "STORAGE_UNAVAILABLE"}, answer["errors"]
        return answer

    def take_in(self, name: str, content: bytes) -> tuple[Any, ...]:
        """Import a file of documents; return the report and each refusal."""
        path = Path(self._folder.name) / f"{name}.json"
        path.write_bytes(content)

        async def work(database: Database) -> tuple[Any, ...]:
            refused: list[str] = []
            report = await import_documents(
                database,
                [path],
                None,
                self.clock(),
                progress=lambda _read, _size: None,
                refuse=lambda document: refused.append(str(document)),
            )
            return report, refused

        return self.both(work)

    def exported(self, kind: str) -> bytes:
        async def work(database: Database) -> bytes:
            out = BytesIO()
            await export_documents(database, out, kind)
            return out.getvalue()

        return self.both(work)

    def deliver(self, refusals: list[NotSent | None]) -> tuple[Any, ...]:
        """Send what is due; return the letters, and what ended it."""

        async def work(database: Database) -> tuple[Any, ...]:
            letters, head = Letters(refusals), Letterhead(Sender("Homes", "visits@homes.example"))
            courier = Courier(database, letters, head, clock=self.clock, jitter=lambda: 0.5)
            try:
                result: Any = await courier.deliver_once()
            except NotSent as reason:
                result = repr(reason)
            return result, courier.given_up, letters.sent

        return self.both(work)

    def overview(self, retried: list[str]) -> list[str]:
        return self.both(lambda database: retry_and_list(database, retried, self.clock()))

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Return all that is kept, in the order in which it came."""

        async def work(database: Database) -> dict[str, list[dict[str, Any]]]:
            await number_events(database)
            return {table.name: [row async for row in _rows(database, table)] for table in metadata.sorted_tables}

        return self.both(work)


async def _rows(database: Database, table: Any) -> Any:
    async for rows in moving._rows_after(database, table, None):
        for row in rows:
            record = zip(table.c.keys(), row, strict=True)
            yield {name: value for name, value in record if name not in ITS_OWN.get(table.name, ())}


def _of_any_item(error: dict[str, Any]) -> dict[str, Any]:
    """Leave out which item of a list it is: where several fail, the one that was loaded first is told."""
    return error | {"path": [key for key in error.get("path") or [] if isinstance(key, str)]}


async def _awaited(work: Awaitable[T]) -> T:
    return await work


@contextmanager
def _seeded(bits: int, last: int) -> Iterator[None]:
    """Make IDs of the same random bits, after the same ID, as the other database did."""
    source, identifiers.secrets = identifiers.secrets, _Bits(bits)  # type: ignore[assignment,attr-defined]
    identifiers._last = last
    try:
        yield
    finally:
        identifiers.secrets = source  # type: ignore[attr-defined]


class _Bits:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - they shall be the same again

    def randbits(self, number: int) -> int:
        return self._random.getrandbits(number)


def later(clock: Clock, seconds: float) -> None:
    clock.now += timedelta(seconds=seconds)
