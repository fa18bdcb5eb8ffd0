from pathlib import Path

import pytest

from tests.databases import migrate


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty database to be copied: to migrate one takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "home_visits.db"
    migrate(path)
    return path
