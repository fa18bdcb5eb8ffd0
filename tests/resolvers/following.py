"""What follows an account that a test answers for, asked through GraphQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from resolvers.errors import present
from schema.context import Context
from schema.execution.engine import Request
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.operations import Operations, RequestState, Response
from storage.carehq.live.writing import LiveHomeVisits
from storage.database import Database
from tests import world
from tests.asking import Ask, shared_engine
from tests.databases import copied
from tests.storage.carehq.live.conftest import Followed, following
from tests.storage.carehq.live.rewriting import Rewriting, rewriting


@pytest.fixture
async def followed(database: Database, world_file: Path, tmp_path: Path) -> AsyncIterator[Followed]:
    async with following(database, copied(world_file, tmp_path / "mirror.db"), rewriting) as followed:
        yield followed


@pytest.fixture
def account(followed: Followed) -> Rewriting:
    assert isinstance(followed.proxy, Rewriting)
    return followed.proxy


def context(followed: Followed, caller: world.Caller = world.EVERYBODY) -> Context:
    return Context(
        followed.database,
        caller,
        followed.clock,
        "Europe/London",
        lambda _caller, operations: list(operations),
        make_visits=lambda *repository: LiveHomeVisits(followed.link, *repository),
    )


class AskFollowed(Ask):
    """Ask what follows an account."""

    def __init__(self, followed: Followed, *, planned: bool) -> None:
        super().__init__(followed.database, shared_engine(planned=planned))
        self._followed = followed

    def context(self, caller: world.Caller = world.EVERYBODY) -> Context:
        return context(self._followed, caller)


def operations(followed: Followed, *, seconds: float) -> Operations[Any]:
    """Return what runs documents as every transport does."""
    return Operations(
        execute=shared_engine(planned=True).execute,
        authenticate=lambda _authorization: world.EVERYBODY,
        make_context=lambda caller, _id: context(followed, caller),
        present_error=present,
        record=lambda _record: None,
        concurrency=ConcurrencyLimiter(),
        execution_seconds=seconds,
        cost_limit=10_000,
    )


def respond(operations: Operations[Any], document: str, input: dict[str, Any] | None = None) -> Awaitable[Response]:
    state = RequestState("the-request")
    request = Request(document, None, {} if input is None else {"input": input})
    return operations.respond(state, operations.execute(state, lambda: request))


def hold(account: Rewriting) -> asyncio.Event:
    """Hold changes from now on until the event that is returned."""
    go_on = asyncio.Event()

    async def before(request: web.Request) -> None:
        if request.method != "GET":
            await asyncio.wait_for(go_on.wait(), 30)

    account.before = before
    return go_on
