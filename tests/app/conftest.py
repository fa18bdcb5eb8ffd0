from collections.abc import Iterator

import pytest

from tests.app.calling import SECRET
from tests.conftest import Server, serving

# What two workers do is seen in the slow run.
ONE_OR_TWO = pytest.mark.parametrize(
    "flags",
    [pytest.param((), id="one process"), pytest.param(("--workers", "2"), id="two workers", marks=pytest.mark.slow)],
)


@pytest.fixture(scope="module")
def signed_in_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server set up as little as it can be: with sign-in, and with made-up visits."""
    with serving(tmp_path_factory.mktemp("signed-in")) as start:
        yield start("--demo", JWT_SECRET=SECRET)


@pytest.fixture(scope="module")
def development_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("development")) as start:
        yield start("--dev", "--demo")
