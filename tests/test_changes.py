"""The list of changes between two releases, and what the policy for changes refuses."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT
from tests.scripts import CHANGES, last_release, load

WITHIN = "Within a major version:"
PROMISED = "stays until 2031-01-31: its reason may name a later day, but must not name an earlier one or none."
OLD = """
enum Host { MANAGER OWNER }
input Filter { keyword: String }
type Visit { id: ID! host: Host person: String @deprecated(reason: "Use seeker; stays until 2031-01-31.") }
type Query { visits(filter: Filter, limit: Int): [Visit!]! }
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load(CHANGES)


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


@pytest.mark.parametrize(
    ("reason", "offences"),
    [
        ("Use seeker; stays until 2031-03-31.", []),
        ("Use its seeker; stays until 2031-01-31.", []),
        ("Use seeker; stays until 2030-12-31.", [f"Visit.person {PROMISED}"]),
        ("Use seeker.", [f"Visit.person {PROMISED}"]),
    ],
    ids=["a later day", "the same in other words", "an earlier day", "no day any more"],
)
def test_a_promised_day_comes_no_sooner_by_another_reason(script: ModuleType, reason: str, offences: list[str]) -> None:
    new = OLD.replace("Use seeker; stays until 2031-01-31.", reason)

    found = script.changes(script.Release(1, date(2029, 11, 1), OLD), script.Release(1, date(2030, 2, 1), new))

    assert found.offences == offences


def test_what_was_deprecated_without_a_day_is_given_half_a_year_from_now(script: ModuleType) -> None:
    undated = OLD.replace("Use seeker; stays until 2031-01-31.", "Use seeker.")
    soon, late = (undated.replace("Use seeker.", f"Use seeker; stays until {day}.") for day in ("2030-08-01", "2030-08-02"))

    before = script.Release(1, date(2029, 11, 1), undated)
    found = [script.changes(before, script.Release(1, date(2030, 2, 1), new)).offences for new in (soon, late)]

    assert found == [["Visit.person is deprecated without a day in its reason, half a year after 2030-02-01 at least."], []]


def test_what_changed_since_the_last_release_is_within_the_policy(script: ModuleType) -> None:
    assert script.changes(last_release(), script.working_tree()).offences == []


def test_two_commits_are_compared_as_tags_are(repository: Path) -> None:
    git(repository, "tag", "v1.0.0")

    assert run(repository, "changes.py", "v1.0.0") == (0, "The API is the same.\n", "")
    assert run(repository, "changes.py") == (0, "The API is the same.\n", "")


def test_a_release_is_as_old_as_its_tag(repository: Path) -> None:
    git(repository, "tag", "-a", "-m", "Late", "v1.0.0", GIT_COMMITTER_DATE="2031-05-01T12:00:00Z")

    assert load(repository / ".github/changes.py").release_of("v1.0.0").day == date(2031, 5, 1)


def test_the_notes_of_a_release_are_its_section_and_what_changed_in_the_api(repository: Path) -> None:
    git(repository, "tag", "v1.0.0")
    write_log(repository, "## 9.9.9\n\nOf another.\n\n## VERSION\n\nOf this.\n\n## 1.0.0\n\nThe first.\n")
    tag = release(repository)

    assert run(repository, "notes.py", tag) == (0, "Of this.\n\n## The API\n\nThe API is the same.\n", "")


def test_no_release_has_another_version_than_its_tag(repository: Path) -> None:
    assert run(repository, "notes.py", "v9.9.9") == (
        1,
        "",
        f"pyproject.toml has version {version(repository)}, the tag is v9.9.9.\n",
    )


@pytest.mark.parametrize("log", ["## 9.9.9\n\nOf another.\n", "## VERSION\n\n## 1.0.0\n\nThe first.\n"], ids=["no", "empty"])
def test_nothing_is_released_that_the_change_log_says_nothing_of(repository: Path, log: str) -> None:
    write_log(repository, log)

    assert run(repository, "notes.py", f"v{version(repository)}") == (
        1,
        "",
        f".github/CHANGELOG.md says nothing of {version(repository)}.\n",
    )


def test_nothing_is_released_that_is_against_the_policy(repository: Path) -> None:
    git(repository, "tag", "v1.0.0")
    sdl = repository / "schema/schema.graphql"
    sdl.write_text(sdl.read_text().replace("  allowedOperations: ", "  operations: "))

    ended, notes, complaint = run(repository, "notes.py", release(repository))

    assert (ended, notes) == (1, "")
    assert "HomeVisit.allowedOperations was removed before its time.\n" in complaint


def test_the_change_log_begins_with_the_version_of_the_project() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / ".github/CHANGELOG.md").read_text(), re.MULTILINE)

    assert sections[0] == version(ROOT)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, of what a release is made of."""
    git(tmp_path, "init", "-q")
    for file in (".github/changes.py", ".github/notes.py", ".github/CHANGELOG.md", "pyproject.toml", "schema/schema.graphql"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *command: str, **variables: str) -> None:
    me = ["-c", "user.name=Amy", "-c", "user.email=amy@example.org"]
    subprocess.run(["git", *me, "-C", folder, *command], check=True, env=os.environ | variables)


def commit(repository: Path) -> None:
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "--allow-empty", "-m", "On with it")


def write_log(repository: Path, sections: str) -> None:
    (repository / ".github/CHANGELOG.md").write_text("# Changes\n\n" + sections.replace("VERSION", version(repository)))


def release(repository: Path) -> str:
    commit(repository)
    git(repository, "tag", tag := f"v{version(repository)}")
    return tag


def version(folder: Path) -> str:
    return str(tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"])


def run(repository: Path, script: str, *arguments: str) -> tuple[int, str, str]:
    ran = subprocess.run(
        [sys.executable, "-B", repository / ".github" / script, *arguments], capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout, ran.stderr
