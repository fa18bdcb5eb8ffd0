"""Servers answer straight, and once more by the ordinary way alone, which is the only one on PostgreSQL."""

import pytest

from tests import databases
from tests.schema.transport.http import served


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if hasattr(metafunc.module, "served") and "straight" not in metafunc.module.__name__:
        metafunc.parametrize("_way", ["straight", "ordinary"] if databases.is_sqlite() else ["ordinary"], indirect=True)


# Used by all: pytest drops a fixture that is only parametrized.
@pytest.fixture(autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "STRAIGHT", getattr(request, "param", "straight") == "straight")
