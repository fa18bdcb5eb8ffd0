"""How tests run documents: on a copy of the world, without HTTP, with the errors as a client reads them."""

from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import strawberry

from resolvers.api import make_engine, make_schema
from resolvers.auth import allowed_operations
from resolvers.errors import present
from schema.context import Context
from schema.execution.engine import Engine, Request, Result, Served
from schema.execution.limits import Limits
from storage.caller import Caller
from storage.database import Database
from tests import world
from tests.databases import copied, database_at


class Response(NamedTuple):
    """`statements` is how many statements read the database, `written` how many transactions it has committed."""

    data: Any
    errors: list[dict[str, Any]]
    statements: int
    written: int
    served: Served | None


@cache
def schema() -> strawberry.Schema:
    return make_schema()


def engine(*, planned: bool, limits: Limits | None = None) -> Engine:
    return make_engine(limits or Limits(), schema=schema(), planned=planned)


async def execute(engine: Engine, request: Request, context: Any) -> Result:
    """Run a request; fail the test where compiled code had a fault, whatever served in its place."""
    result = await engine.subscribe(request, context)
    if result.faults:
        raise AssertionError(f"a fault in compiled code was served by {result.served}") from result.faults[0]
    return result


class Ask:
    def __init__(self, database: Database, engine: Engine) -> None:
        self.database = database
        self.engine = engine

    def context(self, caller: Caller = world.EVERYBODY) -> Context:
        return Context(self.database, caller, lambda: world.NOW, "Europe/London", allowed_operations)

    async def __call__(
        self, document: str, variables: dict[str, Any] | None = None, *, caller: Caller = world.EVERYBODY, name: str | None = None
    ) -> Response:
        reads, writes = self.database.statement_count, self.database.transaction_count
        context = self.context(caller)
        result = await execute(self.engine, Request(document, name, variables or {}), context)
        errors = [present(error, "the-request", context) for error in result.errors]
        statements, transactions = self.database.statement_count - reads, self.database.transaction_count - writes
        return Response(result.data, errors, statements, transactions, result.served)

    async def data(self, document: str, variables: dict[str, Any] | None = None, *, caller: Caller = world.EVERYBODY) -> Any:
        """Return the data of a response that has no errors."""
        response = await self(document, variables, caller=caller)
        assert response.errors == []
        return response.data


@pytest.fixture(scope="session")
def world_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the world, to be copied: to migrate one takes longer than most tests."""
    path = tmp_path_factory.mktemp("world") / "world.db"
    world.make(path)
    return path


@pytest.fixture
async def database(world_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    database = await database_at(copied(world_file, tmp_path / "home_visits.db")).open()
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
