"""Which version this is."""

import tomllib
from importlib.metadata import version
from pathlib import Path

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def current_version() -> str:
    """Return the version: that of the checkout, where there is one, as what was installed from it may be older."""
    if _PROJECT.exists():
        return str(tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"])
    return version("home-visits")
