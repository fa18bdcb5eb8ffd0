"""The list of changes between two releases, and what the policy for changes refuses."""

import importlib.util
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT

WITHIN = "Within a major version:"
SCRIPT = ROOT / ".github/changes.py"
OLD = """
enum Host { MANAGER OWNER }
input Filter { keyword: String }
type Visit { id: ID! host: Host person: String @deprecated(reason: "Use seeker; stays until 2031-01-31.") }
type Query { visits(filter: Filter, limit: Int): [Visit!]! }
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("changes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_was_added_and_deprecated_is_listed_and_allowed(script: ModuleType) -> None:
    new = (
        OLD.replace("OWNER", "OWNER OTHER")
        .replace("limit: Int", 'first: Int, limit: Int @deprecated(reason: "Use first; stays until 2030-08-31.")')
        .replace("host: Host", "host: Host seeker: Seeker")
    ) + "type Seeker { name: String! }"

    found = script.changes(script.Release(1, date(2029, 11, 1), OLD), script.Release(1, date(2030, 2, 1), new))

    assert found.markdown() == (
        "### Deprecated\n\n- `Query.visits(limit:)`: Use first; stays until 2030-08-31.\n\n"
        "### Added\n\n- `Host.OTHER`\n- `Visit.seeker`\n- `Query.visits(first:)`\n- `Seeker`\n\n"
        "### To be handled\n\n- Enum value Host.OTHER was added.\n- An optional argument Query.visits(first:) was added.\n"
    )
    assert found.offences == []


@pytest.mark.parametrize(
    ("old", "new", "major", "offences"),
    [
        (
            "host: Host",
            "",
            1,
            [f"{WITHIN} Field Visit.host was removed.", "Visit.host was removed before its time."],
        ),
        ("host: Host", "", 2, ["Visit.host was removed before its time."]),
        (
            "limit: Int",
            "limit: Int!",
            1,
            [f"{WITHIN} Argument Query.visits(limit:) has changed type from Int to Int!."],
        ),
        ("limit: Int", "limit: Int!", 2, []),
        (
            "host: Host",
            'host: Host @deprecated(reason: "Old.")',
            1,
            ["Visit.host is deprecated without a day in its reason, half a year after 2030-02-01 at least."],
        ),
        (
            "host: Host",
            'host: Host @deprecated(reason: "Stays until 2030-06-30.")',
            1,
            ["Visit.host is deprecated without a day in its reason, half a year after 2030-02-01 at least."],
        ),
        ("host: Host", 'host: Host @deprecated(reason: "Stays until 2030-08-02.")', 1, []),
    ],
)
def test_what_is_against_the_policy_is_told(script: ModuleType, old: str, new: str, major: int, offences: list[str]) -> None:
    before, after = script.Release(1, date(2029, 11, 1), OLD), script.Release(major, date(2030, 2, 1), OLD.replace(old, new))

    assert script.changes(before, after).offences == offences


@pytest.mark.parametrize(
    ("day", "offences"), [(date(2031, 1, 30), ["Visit.person was removed before its time."]), (date(2031, 1, 31), [])]
)
def test_what_is_deprecated_goes_with_a_major_version_when_its_day_has_come(
    script: ModuleType, day: date, offences: list[str]
) -> None:
    without = 'person: String @deprecated(reason: "Use seeker; stays until 2031-01-31.")'

    found = script.changes(script.Release(1, date(2030, 2, 1), OLD), script.Release(2, day, OLD.replace(without, "")))

    assert found.breaking == ["Field Visit.person was removed."]
    assert found.offences == offences


def test_two_commits_are_compared_as_tags_are(tmp_path: Path) -> None:
    if subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, check=False).returncode:
        pytest.skip("this is no checkout")
    clone = str(tmp_path / "clone")
    for command in (
        ["git", "clone", "-q", "--depth=1", f"file://{ROOT}", clone],
        ["cp", SCRIPT, f"{clone}/.github/changes.py"],
        ["git", "-C", clone, "tag", "v1.0.0"],
    ):
        subprocess.run(command, check=True)

    ran = subprocess.run([sys.executable, f"{clone}/.github/changes.py", "v1.0.0"], capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "The API is the same.\n", "")
