"""What CONTRIBUTING.md says is so: its commands run, and what it names is there."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment

GUIDE = (ROOT / ".github/CONTRIBUTING.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
QUOTED = set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", GUIDE, flags=re.MULTILINE | re.DOTALL)))
PATHS = {quoted for quoted in QUOTED if re.fullmatch(r"[\w./-]+(\.(py|md|toml|graphql)|/|/run)", quoted)}
NAMES = {quoted for quoted in QUOTED if re.fullmatch(r"[A-Za-z_]+(\.[a-z_]+)?", quoted)} - PATHS
# The examples: what somebody might add.
INVENTED = {"createdAfter", "meetingPoint", "reopenHomeVisit"}
FOLDERS = ("resolvers", "schema", "storage", "tests")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the commands need, to be changed."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "assets", "node_modules"))
    for file in ("app.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


@pytest.mark.parametrize("commands", COMMANDS)
@pytest.mark.slow
def test_the_commands_run_and_write_what_is_committed(checkout: Path, commands: str) -> None:
    ended = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=checkout,
        env=environment(checkout),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    assert (checkout / "schema/schema.graphql").read_text() == (ROOT / "schema/schema.graphql").read_text()


def test_every_file_that_is_named_is_there() -> None:
    # A file beside another that was named whole is named without its folder.
    beside = ROOT / "schema/transport/http", ROOT / "schema/execution", ROOT / "storage/queries"

    missing = {path for path in PATHS if not any((folder / path).exists() for folder in (ROOT, *beside))}

    assert missing == set()
    assert len(PATHS) > 40


def defined() -> set[str]:
    """Return each name that our code defines or passes on, members with that of their class."""
    names = set[str]()
    for path in (ROOT / "app.py", *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(node.name)
            if isinstance(node, ast.ClassDef):
                names |= {f"{node.name}.{member}" for part in node.body for member in _bound(part)}
            names |= set(_bound(node))
    return names


def _bound(node: ast.AST) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [node.name]
        case ast.Assign():
            return [target.id for target in node.targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name()):
            return [node.target.id]
        case ast.arg():
            return [node.arg]
    return []


def test_every_name_that_is_quoted_is_in_the_code() -> None:
    in_code = defined()

    assert {name for name in NAMES if not name.startswith("home_visits_")} - INVENTED - in_code == set()


def test_every_metric_that_is_quoted_is_exported() -> None:
    exported = (ROOT / "schema/server/metrics.py").read_text()

    metrics = [name for name in NAMES if name.startswith("home_visits_")]

    assert (
        [name for name in metrics if f'"{name.removesuffix("_total")}"' in exported]
        == metrics
        == ["home_visits_fast_path_faults_total"]
    )
