"""Servers answer straight, and once more by the ordinary way alone, which is the only one on PostgreSQL."""

import pytest

from tests import databases
from tests.schema.transport.http import served


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if hasattr(metafunc.module, "served") and "straight" not in metafunc.module.__name__:
        metafunc.fixturenames.append("_way")
        metafunc.parametrize("_way", ["straight", "ordinary"] if databases.is_sqlite() else ["ordinary"], indirect=True)


@pytest.fixture
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "STRAIGHT", request.param == "straight")
