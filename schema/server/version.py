"""Which version this is."""

import tomllib
from importlib.metadata import version
from pathlib import Path

_NAME = "home-visits"
_PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def current_version(project_file: Path = _PROJECT) -> str:
    """Return the version: that of the checkout, where there is one, as what was installed from it may be older."""
    # Beside an installed copy may lie the file of another package that was built badly.
    project = tomllib.loads(project_file.read_text(encoding="utf-8")).get("project", {}) if project_file.exists() else {}
    return str(project["version"] if project.get("name") == _NAME else version(_NAME))
