import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.storage.conftest import clock, database, path, template, visits  # noqa: F401 - the same database and records


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Print the figures of a proof where whoever runs it sees them."""

    def tell(text: str, **figures: Any) -> None:
        with capsys.disabled():
            listed = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in figures.items())
            # Where tests run in several processes, their standard output goes nowhere.
            print(f"\n  {text}: {listed}", file=sys.stderr)

    return tell
