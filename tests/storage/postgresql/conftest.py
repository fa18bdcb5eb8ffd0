"""These always use PostgreSQL, whichever database the others are run with."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.postgresql.database import PostgreSQLDatabase
from tests import databases
from tests.storage.outbox.conftest import post_office  # noqa: F401 - a mail server


@pytest.fixture(autouse=True)
def _on_postgresql(tmp_path: Path) -> Iterator[None]:
    kind, databases.KIND = databases.KIND, "postgresql"
    yield
    databases.drop_below(tmp_path)
    databases.KIND = kind


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    return databases.made(tmp_path / "visits.db")


@pytest.fixture
async def database(url: str) -> AsyncIterator[PostgreSQLDatabase]:
    """A migrated database of two connections, whose callers wait a tenth of a second for one."""
    database = PostgreSQLDatabase(url, connections=2, wait_seconds=0.1)
    database.migrate()
    yield await database.open()
    await database.close()
