from importlib.metadata import version
from pathlib import Path

import pytest

from schema.server.version import current_version


@pytest.mark.parametrize(
    "project_file",
    ['[project]\nname = "ill-built"\nversion = "9.9.9"\n', '[project]\nname = "ill-built"\n', "[tool.ruff]\nline-length = 100\n"],
    ids=["of another version", "of a version that its build finds", "of no project"],
)
def test_another_projects_file_beside_an_installed_copy_is_not_ours(tmp_path: Path, project_file: str) -> None:
    (tmp_path / "pyproject.toml").write_text(project_file)

    assert current_version(tmp_path / "pyproject.toml") == version("home-visits")


def test_a_checkout_tells_its_own_version_whatever_is_installed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "home-visits"\nversion = "9.9.9"\n')

    assert current_version(tmp_path / "pyproject.toml") == "9.9.9"
