from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.databases import copied, database_at
from tests.storage.outbox.post_office import PostOffice
from tests.storage.outbox.practice import Practice, prepare


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database to be copied: to make one takes longer than most tests."""
    path = tmp_path_factory.mktemp("prepared") / "home_visits.db"
    prepare(path)
    return path


@pytest.fixture
async def practice(prepared: Path, tmp_path: Path) -> AsyncIterator[Practice]:
    database = await database_at(copied(prepared, tmp_path / "home_visits.db")).open()
    yield Practice(database)
    await database.close()


@pytest.fixture
async def post_office() -> AsyncIterator[PostOffice]:
    office = PostOffice()
    await office.start()
    yield office
    await office.stop()
