"""The commands that wipe and show personal data, as an operator runs them: what they say, and what they never say."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.demo import CARE_ENQUIRY
from tests.conftest import ROOT, RunCommand, environment, fill
from tests.databases import is_sqlite, url_of
from tests.inspection import inspect

EMAIL = "agnes.young@family.example"
# Of no other visit's notes.
WORD = "zebrafishxyzzy"
ERASED_WITH_A_CONTACT = f"""
    SELECT visit.care_enquiry, contact.id FROM home_visits AS visit
    JOIN service_user_contacts AS contact ON contact.id = visit.service_user_contact
    WHERE visit.care_enquiry <> '{CARE_ENQUIRY}' AND contact.care_enquiry = visit.care_enquiry AND EXISTS (
        SELECT 1 FROM home_visits AS other WHERE other.care_enquiry = visit.care_enquiry AND other.cancelled IS NULL)
    ORDER BY visit.id LIMIT 1"""  # noqa: S608 - our own


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


def rows_without_details(path: Path, table: str) -> set[str]:
    return {row["id"] for row in inspect(path).records(table) if row["anonymized"]}


def test_old_visits_are_counted_then_wiped(run_command_here: RunCommand, path: Path) -> None:
    closed_long_ago(path)
    closed = count(path, "cancelled IS NOT NULL")

    dry = run_command_here("anonymize", "--older-than", "365", "--dry-run")
    untouched = count(path, "anonymized IS NOT NULL")
    wiped = run_command_here("anonymize", "--older-than", "365")
    again = run_command_here("anonymize", "--older-than", "365")

    assert (dry.code, dry.out, wiped.code, wiped.out) == (0, "", 0, "")
    assert dry.err.startswith(f"To be wiped: {closed} visits, ")
    assert dry.err.removeprefix("To be wiped: ") == wiped.err.splitlines()[0].removeprefix("Wiped: ") + " Nothing was wiped.\n"
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


def test_an_address_may_come_from_standard_input(
    run_command_here: RunCommand, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{EMAIL}\n"))

    shown = run_command_here("person", "--email", "-")

    assert [enquiry["id"] for enquiry in json.loads(shown.out)["care_enquiries"]] == [CARE_ENQUIRY]


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
def test_a_restore_says_who_is_back_and_how_to_wipe_them_again(run_command_here: RunCommand, path: Path, tmp_path: Path) -> None:
    closed_long_ago(path)
    [[other, contact]] = inspect(path).query(ERASED_WITH_A_CONTACT)
    run_command_here("backup", "before.db")
    run_command_here("person", "--care-enquiry", CARE_ENQUIRY, "--erase")
    run_command_here("person", "--contact", contact, "--erase")
    inspect(path).execute(f"UPDATE home_visits SET cancelled = '2024-01-01T00:00:00' WHERE care_enquiry = '{other}'")  # noqa: S608 - our own
    run_command_here("anonymize", "--older-than", "1500")
    wiped = {table: rows_without_details(path, table) for table in ("home_visits", "care_enquiries", "service_user_contacts")}
    people = {table: ids for table, ids in wiped.items() if table != "home_visits"}

    restored = run_command_here("restore", "before.db")
    sentence, *commands, by_age = restored.err.splitlines()[1:]
    for command in commands:
        run_command_here(*command.split()[1:])
    again = run_command_here(*by_age.replace("DAYS", "1500").split()[1:])

    assert restored.code == 0
    assert sentence.startswith(f"Wiped since it was made, and back with it: {len(wiped['home_visits'])} visits, ")
    assert commands == [f"  app.py person --care-enquiry {CARE_ENQUIRY} --erase", f"  app.py person --contact {contact} --erase"]
    assert by_age == "  app.py anonymize --older-than DAYS"
    assert {table: rows_without_details(path, table) for table in people} == people
    assert again.code == 1
    assert again.err.splitlines()[-1] == f"{path}.before-restore may hold what was wiped: delete it."


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "Nothing was wiped since it was made."),
        (b"no database", "Whether anything was wiped since it was made, nobody can tell"),
    ],
)
def test_a_restore_says_that_nobody_is_back_or_that_it_cannot_tell(
    content: bytes | None, sentence: str, run_command_here: RunCommand, path: Path, tmp_path: Path
) -> None:
    run_command_here("backup", "before.db")
    if content:
        path.write_bytes(content)

    restored = run_command_here("restore", "before.db")

    assert restored.err.splitlines()[1].startswith(sentence)


@pytest.mark.parametrize(
    ("whom", "repeat", "code"),
    [(EMAIL, ("person", "--email", EMAIL, "--erase"), 1), ("365", ("anonymize", "--older-than", "365"), 0)],
)
def test_who_was_wiped_right_before_a_kill_is_out_of_files_after_a_repeat(
    whom: str, repeat: tuple[str, ...], code: int, run_command_here: RunCommand, path: Path, tmp_path: Path
) -> None:
    ended = f"completed = NULL, cancelled = '2020-01-01T00:00:00', notes = '{WORD}', notes_folded = '{WORD}'"
    inspect(path).execute(f"UPDATE home_visits SET {ended} WHERE care_enquiry = '{CARE_ENQUIRY}'")  # noqa: S608 - our own
    [visit, *_] = json.loads(run_command_here("person", "--care-enquiry", CARE_ENQUIRY).out)["home_visits"]
    times = dict.fromkeys(("date_time", "created", "due", "give_up"), "2020-01-01T00:00:00")
    sent = {"id": "8" * 24, "home_visit": visit["id"], "sequence": 1, "status": "SENT", "attempts": 1, "reasons": ""}
    inspect(path).insert("outbox_messages", sent | times | {"method": "REQUEST"})
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / f"{sent['id']}.eml").write_text(f"To: {EMAIL}")

    killed = subprocess.run(
        [sys.executable, "-m", "tests.app.doomed", url_of(path), tmp_path / "mail", whom], cwd=ROOT, timeout=60, check=False
    )
    left = (count(path, f"notes = '{WORD}'"), len(list((tmp_path / "mail").iterdir())), in_files(tmp_path))
    again = run_command_here(*repeat)

    assert (killed.returncode, left) == (-signal.SIGKILL, (0, 1, is_sqlite()))
    assert again.code == code
    assert list((tmp_path / "mail").iterdir()) == []
    assert not in_files(tmp_path)


def in_files(folder: Path) -> bool:
    return any(WORD.encode() in file.read_bytes() for file in folder.rglob("*") if file.is_file())
