"""The commands beside `serve`: what each writes, and where."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from storage.database import database_of
from tests.app.calling import SECRET
from tests.conftest import APP, ROOT, RunCommand, environment
from tests.databases import url_of

SAMPLES = ROOT / "tests/storage/carehq/samples"
RELATED = ("users.json", "locations.json", "care_enquiries.json", "service_user_contacts.json")
LOCATION = "6724fbc74f73a2cebf6377fa"


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder that a user works in, with CareHQ's documents."""
    for sample in SAMPLES.glob("*.json"):
        shutil.copy(sample, tmp_path)
    return tmp_path


def test_the_version_is_that_of_the_project(run_command_here: RunCommand) -> None:
    [version] = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)

    assert run_command_here("--version") == (0, f"home-visits {version}\n", "")


def test_a_word_that_is_no_command_is_refused_all_the_same(run_command_here: RunCommand) -> None:
    ended = run_command_here("--demo")

    assert (ended.code, ended.out) == (2, "")
    assert "No such option: --demo" in ended.err


def test_the_schema_goes_to_standard_output(run_command_here: RunCommand) -> None:
    ended = run_command_here("schema")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.strip() == (ROOT / "schema/schema.graphql").read_text().strip()


def test_a_database_is_created_once(run_command_here: RunCommand, tmp_path: Path) -> None:
    first, second = run_command_here("migrate"), run_command_here("migrate")

    name = str(database_of(url_of(tmp_path / "visits.db")))
    assert first == (0, "", f"{name} has been brought up to date.\n")
    assert second == (0, "", f"{name} is up to date.\n")


@pytest.mark.parametrize("hours", ["inf", "1e30", "nan", "-1"])
def test_a_token_is_not_for_ever(run_command_here: RunCommand, hours: str) -> None:
    ended = run_command_here("token", "--subject", "reports", "--role", "VIEWER", "--expires", hours, JWT_SECRET=SECRET)

    assert (ended.code, ended.out) == (2, "")
    assert "Invalid value for '--expires': Input should be " in ended.err


def test_a_token_stands_alone_on_one_line(run_command_here: RunCommand) -> None:
    words = ("--subject", "reports", "--role", "viewer", "--role", "coordinator", "--location", LOCATION, "--expires", "24")

    ended = run_command_here("token", *words, JWT_SECRET=SECRET, JWT_AUDIENCE="visits")
    claims = jwt.decode(ended.out.removesuffix("\n"), SECRET, ["HS256"], audience="visits")

    assert (ended.code, ended.err) == (0, "")
    assert claims["exp"] - claims["iat"] == 24 * 3600
    assert {name: claims[name] for name in ("sub", "roles", "locations")} == {
        "sub": "reports",
        "roles": ["COORDINATOR", "VIEWER"],
        "locations": [LOCATION],
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--location", "Willow Court"),
            ("The token cannot be made: "
            "The token's `locations` must be a list of location IDs, 24 hexadecimal characters each, or absent."),
        ),
        (
            ("--subject", " "),
            ("The token cannot be made: "
            "The token's `sub` must be a text of 1 to 255 printable characters. Ask its issuer."),
        ),
    ],
)  # fmt: skip
def test_a_token_that_would_be_refused_is_not_minted(run_command_here: RunCommand, words: tuple[str, ...], sentence: str) -> None:
    ended = run_command_here("token", "--subject", "reports", "--role", "VIEWER", *words, JWT_SECRET=SECRET)

    assert ended == (1, "", f"home-visits: {sentence}\n")


def test_a_token_needs_the_secret(run_command_here: RunCommand) -> None:
    ended = run_command_here("token", "--subject", "reports", "--role", "VIEWER")

    sentence = "Tokens are signed with HOME_VISITS_JWT_SECRET: set it, or ask the issuer whose keys are used for one."
    assert ended == (1, "", f"home-visits: {sentence}\n")


def test_documents_are_tallied_by_kind(run_command_here: RunCommand, documents: Path) -> None:
    first = run_command_here("import", *RELATED, "home_visits.json")
    second = run_command_here("import", "home_visits.json")

    assert first == (
        0,
        "",
        (
            "users: 2 new, 0 updated, 0 unchanged, 0 refused\n"
            "locations: 1 new, 0 updated, 0 unchanged, 0 refused\n"
            "care_enquiries: 15 new, 0 updated, 0 unchanged, 0 refused\n"
            "service_user_contacts: 3 new, 0 updated, 0 unchanged, 0 refused\n"
            "home_visits: 5 new, 0 updated, 0 unchanged, 0 refused\n"
        ),
    )
    assert second == (0, "", "home_visits: 0 new, 0 updated, 5 unchanged, 0 refused\n")


def test_documents_that_cannot_be_used_are_reported_and_the_rest_is_imported(
    run_command_here: RunCommand, documents: Path
) -> None:
    ended = run_command_here("import", "home_visits_page.json", "home_visits.json")

    *refused, tally = ended.err.splitlines()
    assert (ended.code, ended.out, len(refused)) == (1, "", 10)
    assert refused[0] == (
        "home_visits_page.json: document 1 (line 4): created is missing; location is missing; modified is missing; "
        "visit_type is missing"
    )
    assert tally == "home_visits: 5 new, 0 updated, 0 unchanged, 10 refused"


def read_to_the_end(terminal: int) -> Iterator[bytes]:
    # Linux says that a terminal has ended by an error.
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 4096):
            yield part


def test_a_terminal_is_shown_how_far_an_import_has_come(documents: Path) -> None:
    terminal, inside = os.openpty()
    command = [sys.executable, APP, "import", "home_visits_page.json", "home_visits.json"]
    variables = environment(documents) | {"TERM": "xterm", "COLUMNS": "200"}

    with subprocess.Popen(command, cwd=documents, env=variables, stdout=inside, stderr=inside) as process:
        os.close(inside)
        shown = b"".join(read_to_the_end(terminal)).decode()
    os.close(terminal)

    assert process.returncode == 1
    assert re.search(r"Importing .+100%", shown)
    assert shown.count("location is missing") == 10
    assert shown.endswith("home_visits: 5 new, 0 updated, 0 unchanged, 10 refused\r\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("notes.json",), "notes.json does not tell what it holds: name its kind with --kind, one of "),
        (("users.json",), "users.json cannot be read: No such file or directory. Check its name and its permissions."),
        (("missing.json",), "missing.json cannot be read: No such file or directory. Check its name and its permissions."),
        (("notes.json", "--kind", "notes"), "There are no documents called notes: choose one of users, "),
    ],
)
def test_a_file_that_cannot_be_imported_is_reported(
    run_command_here: RunCommand, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "notes.json").write_text("[]")

    ended = run_command_here("import", *words)

    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert ended.err.startswith(f"home-visits: {sentence}")


def test_what_was_imported_is_exported(run_command_here: RunCommand, documents: Path) -> None:
    run_command_here("import", *RELATED, "home_visits.json")

    visits, users = run_command_here("export"), run_command_here("export", "--kind", "users")

    assert (visits.code, visits.err) == (0, "home_visits: 5 exported\n")
    assert [visit["_id"] for visit in json.loads(visits.out)] == sorted(
        visit["_id"] for visit in json.loads((documents / "home_visits.json").read_text())
    )
    assert (users.code, users.err) == (0, "users: 2 exported\n")
    assert json.loads(users.out) == json.loads((documents / "users.json").read_text())


@pytest.mark.sqlite  # PostgreSQL has tools of its own for backups
def test_a_backup_is_put_back_and_what_was_there_is_kept(run_command_here: RunCommand, documents: Path) -> None:
    run_command_here("import", *RELATED, "home_visits.json")

    copied = run_command_here("backup", "copy.db")
    (documents / "visits.db").write_bytes(b"It was there a moment ago.")
    restored = run_command_here("restore", "copy.db")
    exported = run_command_here("export")

    assert copied == (0, "", f"{documents}/visits.db was copied to copy.db.\n")
    assert restored.code == 0
    assert restored.err == (
        f"copy.db was checked and copied to {documents}/visits.db. "
        f"What was there is kept as {documents}/visits.db.before-restore.\n"
        f"Whether anything was wiped since it was made, nobody can tell: {documents}/visits.db.before-restore cannot be read. "
        "Run anonymize, and person --erase for all who asked for it since, again.\n"
    )
    assert (documents / "visits.db.before-restore").read_bytes() == b"It was there a moment ago."
    assert exported.err == "home_visits: 5 exported\n"


@pytest.mark.sqlite
def test_a_backup_needs_a_file_of_its_own(run_command_here: RunCommand, documents: Path) -> None:
    run_command_here("migrate")

    ended = run_command_here("backup", "users.json")

    assert ended == (1, "", "home-visits: users.json exists already: name a new file for the backup.\n")


@pytest.mark.sqlite
def test_what_is_no_backup_is_not_restored(run_command_here: RunCommand, documents: Path) -> None:
    ended = run_command_here("restore", "users.json")

    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert ended.err.startswith("home-visits: users.json cannot be opened as a database: ")
    assert not (documents / "visits.db").exists()


def test_mail_without_a_mail_server_is_refused(run_command_here: RunCommand) -> None:
    run_command_here("migrate")

    ended = run_command_here("deliver", "--once")

    sentence = "There is no mail server to deliver to: set HOME_VISITS_SMTP_URL and HOME_VISITS_MAIL_FROM."
    assert ended == (1, "", f"home-visits: {sentence}\n")


def test_the_help_names_every_command(run_command_here: RunCommand) -> None:
    ended = run_command_here("--help")

    kept = ("migrate", "import", "export", "backup", "restore", "move", "anonymize", "person", "deliver", "outbox")
    commands = ("serve", "follow", "schema", "token", "key", *kept)
    assert ended.code == 0
    assert [command for command in commands if f" {command} " not in ended.out] == []
