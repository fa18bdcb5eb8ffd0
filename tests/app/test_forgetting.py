"""The commands that wipe and show personal data, as an operator runs them: what they say, and what they never say."""

import json
from pathlib import Path

import pytest

from storage.demo import CARE_ENQUIRY
from tests.conftest import RunCommand, environment, fill
from tests.databases import url_of
from tests.inspection import inspect


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The database that commands find, full of made-up visits."""
    environment(tmp_path)
    path = tmp_path / "visits.db"
    fill(url_of(path))
    return path


def closed_long_ago(path: Path) -> None:
    inspect(path).execute(
        "UPDATE home_visits SET completed = NULL, cancelled = '2020-01-01T00:00:00' "
        "WHERE cancelled IS NOT NULL OR completed IS NOT NULL"
    )


def count(path: Path, condition: str) -> int:
    [[number]] = inspect(path).query(f"SELECT count(*) FROM home_visits WHERE {condition}")  # noqa: S608 - our own
    return int(number)


def test_old_visits_are_counted_then_wiped(run_command_here: RunCommand, path: Path) -> None:
    closed_long_ago(path)
    closed = count(path, "cancelled IS NOT NULL")

    dry = run_command_here("anonymize", "--older-than", "365", "--dry-run")
    untouched = count(path, "anonymized IS NOT NULL")
    wiped = run_command_here("anonymize", "--older-than", "365")
    again = run_command_here("anonymize", "--older-than", "365")

    assert (dry.code, dry.out, wiped.code, wiped.out) == (0, "", 0, "")
    assert dry.err.startswith(f"To be wiped: {closed} visits, ")
    assert dry.err.removeprefix("To be wiped: ") == wiped.err.splitlines()[0].removeprefix("Wiped: ") + " Nothing was changed.\n"
    assert (untouched, count(path, "anonymized IS NOT NULL")) == (0, closed)
    assert count(path, "anonymized IS NOT NULL AND (notes <> '' OR notes_folded <> '')") == 0
    assert again.err.splitlines()[0] == "Wiped: 0 visits, 0 care enquiries and 0 contacts."


def test_a_person_is_shown_then_erased(run_command_here: RunCommand, path: Path) -> None:
    shown = run_command_here("person", "--care-enquiry", CARE_ENQUIRY)
    erased = run_command_here("person", "--care-enquiry", CARE_ENQUIRY, "--erase")
    after = run_command_here("person", "--care-enquiry", CARE_ENQUIRY)

    before, left = json.loads(shown.out), json.loads(after.out)
    [enquiry] = before["care_enquiries"]
    assert (shown.code, shown.err, enquiry["first_name"]) == (0, "", "Agnes")
    assert (erased.code, erased.out) == (0, "")
    assert erased.err.splitlines()[0].startswith("Cancelled ")
    assert [enquiry[name] for name in ("first_name", "last_name", "email") if enquiry[name] in erased.err] == []
    assert [record[name] for record in left["care_enquiries"] + left["contacts"] for name in ("first_name", "email")] == [
        None for record in before["care_enquiries"] + before["contacts"] for _ in range(2)
    ]
    assert {visit["notes"] for visit in left["home_visits"]} <= {""}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--email", "nobody@family.example"), "Nobody is kept with this email address, as far as it was not wiped."),
        (("--care-enquiry", "f" * 24), f"There is no care enquiry {'f' * 24}. Check the ID."),
        ((), "Name one person: by --email, or by --care-enquiry and --contact."),
    ],
)
def test_who_is_not_kept_is_not_shown(run_command_here: RunCommand, path: Path, words: tuple[str, ...], sentence: str) -> None:
    ended = run_command_here("person", *words)

    assert ended == (1, "", f"home-visits: {sentence}\n")


@pytest.mark.sqlite  # PostgreSQL's backups are its own
def test_a_restore_says_how_many_were_wiped_since(run_command_here: RunCommand, path: Path, tmp_path: Path) -> None:
    run_command_here("backup", "before.db")
    run_command_here("person", "--care-enquiry", CARE_ENQUIRY, "--erase")
    wiped = count(path, "anonymized IS NOT NULL")

    restored = run_command_here("restore", "before.db")
    again = run_command_here("anonymize", "--older-than", "36500")

    assert restored.code == 0
    assert restored.err.splitlines()[1].startswith(f"Wiped since it was made, and back with it: {wiped} visit")
    assert restored.err.splitlines()[1].endswith(". Run anonymize, and person --erase, again.")
    assert again.code == 1
    assert again.err.splitlines() == [
        "home-visits: Not everything is gone yet.",
        "Wiped: 0 visits, 0 care enquiries and 0 contacts.",
        f"Letters removed from {tmp_path}/mail: 0.",
        f"{path}.before-restore may hold what was wiped: delete it.",
    ]
