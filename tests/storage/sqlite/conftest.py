"""What several tests of SQLite alone have."""

import asyncio
from pathlib import Path

import pytest

from storage.sqlite.backup import backup
from tests.storage.sqlite.copies import keep_visit


@pytest.fixture
def copy(path: Path, tmp_path: Path) -> Path:
    """A backup of a database with one visit, which has a second one since."""
    asyncio.run(keep_visit(path, 1))
    backup(path, tmp_path / "copy.db")
    asyncio.run(keep_visit(path, 2))
    return tmp_path / "copy.db"
