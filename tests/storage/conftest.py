from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.database import Database
from storage.repository import HomeVisits
from tests.databases import copied, database_at
from tests.storage.homes import EVERYTHING, Clock, prepare


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of two homes to be copied: to migrate one takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "home_visits.db"
    prepare(path)
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    return copied(template, tmp_path / "home_visits.db")


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await database_at(path).open()
    yield database
    await database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def visits(database: Database, clock: Clock) -> HomeVisits:
    """The visits, as a caller who may see all of them has them."""
    return HomeVisits(database, EVERYTHING, clock)
