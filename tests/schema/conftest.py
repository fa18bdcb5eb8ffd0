"""The exported schema and the contract it keeps, as graphql-core reads them; and the event loop that serves."""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from graphql import GraphQLSchema, build_schema

from resolvers.api import schema_definition
from tests.asking import ask, database, world_file

__all__ = ["ask", "contract", "database", "exported", "world_file"]


@pytest.fixture(scope="session")
def exported() -> GraphQLSchema:
    return build_schema(schema_definition())


@pytest.fixture(scope="session")
def contract() -> GraphQLSchema:
    return build_schema((Path(__file__).parent / "contract.graphql").read_text())


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}
