"""A bench for each test, over packages that are installed once."""

from functools import partial
from pathlib import Path

import pytest

from tests.clients import bench


@pytest.fixture
def put_on_bench(tmp_path: Path, pytestconfig: pytest.Config) -> bench.PutOnBench:
    """Return a function that puts a folder of the examples on a bench."""
    return partial(bench.put_on_bench, root=tmp_path / "checkout", cache=pytestconfig.cache.mkdir("clients"))
