"""How tests ask: a document run on a copy of the world, without HTTP, and what a client is told."""

import shutil
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import strawberry

from resolvers.api import make_schema
from resolvers.auth import allowed_operations
from resolvers.errors import present
from schema.context import Context
from schema.execution.engine import Engine, Request
from schema.execution.limits import Limits
from storage.caller import Caller
from storage.sqlite.database import Database
from tests import world


class Told(NamedTuple):
    """`statements` is how many reads the database was asked for, `written` how many transactions it has committed."""

    data: Any
    errors: list[dict[str, Any]]
    statements: int
    written: int


@cache
def schema() -> strawberry.Schema:
    return make_schema()


def engine(*, planned: bool, limits: Limits | None = None) -> Engine:
    return Engine(schema(), limits or Limits(), planned=planned)


class Ask:
    def __init__(self, database: Database, engine: Engine) -> None:
        self.database = database
        self.engine = engine

    def context(self, caller: Caller = world.EVERYBODY) -> Context:
        return Context(self.database, caller, lambda: world.NOW, "Europe/London", allowed_operations)

    async def __call__(
        self, document: str, variables: dict[str, Any] | None = None, *, caller: Caller = world.EVERYBODY, name: str | None = None
    ) -> Told:
        fetched, written = self.database.fetched, self.database.written
        answer = await self.engine.execute(Request(document, name, variables or {}), self.context(caller))
        errors = [present(error, "the-request") for error in answer.errors]
        return Told(answer.data, errors, self.database.fetched - fetched, self.database.written - written)

    async def data(self, document: str, variables: dict[str, Any] | None = None, *, caller: Caller = world.EVERYBODY) -> Any:
        """Return the data of an answer that has no errors."""
        answer = await self(document, variables, caller=caller)
        assert answer.errors == []
        return answer.data


@pytest.fixture(scope="session")
def world_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the world, to be copied: to migrate one takes longer than most tests."""
    path = tmp_path_factory.mktemp("world") / "world.db"
    world.make(path)
    return path


@pytest.fixture
async def database(world_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database(Path(shutil.copy(world_file, tmp_path / "home_visits.db"))).open()
    yield database
    await database.close()


@cache
def shared_engine(*, planned: bool) -> Engine:
    """Return the engine of all tests that mind no documents but their own."""
    return engine(planned=planned)


@pytest.fixture(params=[True, False], ids=["planned", "standard"])
def ask(database: Database, request: pytest.FixtureRequest) -> Ask:
    """Ask by the fast path, and once more by the standard executor."""
    return Ask(database, shared_engine(planned=request.param))
