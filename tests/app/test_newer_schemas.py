"""A newer version migrates the database while this one serves it: it goes on where it can, and says so where it cannot."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from storage import migrations
from storage.database import database_of
from tests import databases
from tests.app.calling import COUNT, ask, get
from tests.app.test_storage_faults import BOOK, ENQUIRIES, UNAVAILABLE, booked, codes, lines, soon
from tests.conftest import ROOT, RunCommand, Server, StartServer
from tests.databases import url_of
from tests.inspection import inspect

NEXT = f"{int(migrations.HEAD) + 1:04}"
MIGRATION = """
from alembic import op

revision = "{revision}"
down_revision = "{before}"
{declaration}


def upgrade() -> None:
    op.execute("{statement}")
"""
NEWER_PROGRAM = """
import sys
from pathlib import Path
from storage import migrations
from storage.database import database_of
migrations.FOLDER, migrations.HEAD = Path(sys.argv[1]), sys.argv[2]
database_of(sys.argv[3]).migrate()
"""
NEWER = (
    f"A newer version of this program has brought the database to step {NEXT}, which this version cannot use. "
    "Restart the server with the newer version."
)


class Step(NamedTuple):
    statement: str
    declaration: str


EXPANSION = Step("ALTER TABLE users ADD COLUMN nickname VARCHAR", f'serves_from = "{migrations.HEAD}"')
CONTRACTION = Step("ALTER TABLE home_visits RENAME COLUMN notes TO remarks", "")
# Nothing that is read or written fails, and yet the older version must not go on.
CHANGE_OF_MEANING = Step("UPDATE home_visits SET version = version + 1", "")


def migrate_by_newer_program(step: Step, path: Path, folder: Path) -> str:
    """Return what it warns of."""
    newer = folder / "newer"
    shutil.copytree(migrations.FOLDER, newer, ignore=shutil.ignore_patterns("__pycache__"))
    values = {"revision": NEXT, "before": migrations.HEAD, **step._asdict()}
    (newer / "versions" / f"{NEXT}_next.py").write_text(MIGRATION.format(**values))
    command = [sys.executable, "-c", NEWER_PROGRAM, str(newer), NEXT, url_of(path)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stderr.strip()


def warned(server: Server, consequence: str) -> str:
    """Return what is warned of where the database tells who has it open."""
    return f"{server.database} is open in process {server.process.pid}: {consequence}." if databases.is_sqlite() else ""


def test_a_server_goes_on_with_a_schema_that_serves_its_version(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("--dev", "--demo", LOG_FORMAT="json")
    enquiry = ask(server.port, ENQUIRIES).json["data"]["homeVisits"]["nodes"][0]["careEnquiry"]["id"]

    warning = migrate_by_newer_program(EXPANSION, server.database, tmp_path)
    answers = [ask(server.port, COUNT), ask(server.port, BOOK, {"careEnquiry": enquiry}), get(server.port, "/readyz")]
    server.stop()
    again = start_server("--dev")
    answers.append(ask(again.port, COUNT))

    goes_on = "a server of the version before goes on, and can be restarted at any time"
    assert warning == warned(server, goes_on)
    assert [answer.status for answer in answers] == [200] * 4
    assert (codes(answers[0]), booked(answers[1]) is not None, codes(answers[3])) == ([], True, [])
    assert [line["event"] for line in lines(server) if line["level"] != "info"] == []


@pytest.mark.sqlite  # elsewhere nobody is told at once
@pytest.mark.parametrize("step", [CONTRACTION, CHANGE_OF_MEANING], ids=["contraction", "change of meaning"])
def test_a_server_whose_version_is_not_served_says_so_at_once(start_server: StartServer, tmp_path: Path, step: Step) -> None:
    server = start_server("--dev", "--demo", LOG_FORMAT="json")
    enquiry = ask(server.port, ENQUIRIES).json["data"]["homeVisits"]["nodes"][0]["careEnquiry"]["id"]

    warning = migrate_by_newer_program(step, server.database, tmp_path)
    before = inspect(server.database).query("SELECT count(*) FROM home_visits")
    write = ask(server.port, BOOK, {"careEnquiry": enquiry})
    read, ready = ask(server.port, "{ homeVisits { nodes { notes } } }"), get(server.port, "/readyz")
    server.stop()

    answers_nothing = "a server of the version before answers nothing until it is restarted"
    assert warning == warned(server, answers_nothing)
    assert (codes(write), codes(read)) == ([("STORAGE_UNAVAILABLE", UNAVAILABLE)],) * 2
    assert (ready.status, ready.body.decode()) == (503, f"{NEWER}\n")
    assert [line["level"] for line in lines(server) if line["event"] == f"The database cannot be used. {NEWER}"] == ["error"]
    assert inspect(server.database).query("SELECT count(*) FROM home_visits") == before


@pytest.mark.slow
def test_a_read_that_meets_a_changed_schema_is_no_fault_of_the_program(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("--dev", "--demo", LOG_FORMAT="json")
    migrate_by_newer_program(CONTRACTION, server.database, tmp_path)

    read = ask(server.port, "{ homeVisits { nodes { notes } } }")

    assert codes(read) == [("STORAGE_UNAVAILABLE", UNAVAILABLE)]


@pytest.mark.parametrize("step", [CONTRACTION, CHANGE_OF_MEANING], ids=["contraction", "change of meaning"])
@pytest.mark.slow
def test_a_server_whose_version_is_not_served_is_not_ready(start_server: StartServer, tmp_path: Path, step: Step) -> None:
    server = start_server("--dev", "--demo", LOG_FORMAT="json")
    before = get(server.port, "/readyz")

    migrate_by_newer_program(step, server.database, tmp_path)
    after = get(server.port, "/readyz")

    assert before.status == 200
    assert (after.status, after.body.decode()) == (503, f"{NEWER}\n")


@pytest.mark.sqlite
@pytest.mark.slow
def test_an_idle_server_logs_that_its_version_is_not_served(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("--dev", "--demo", LOG_FORMAT="json")

    migrate_by_newer_program(CONTRACTION, server.database, tmp_path)

    assert soon(lambda: any(NEWER in line["event"] for line in lines(server)))


def test_a_version_that_is_not_served_does_not_start(run_command: RunCommand, tmp_path: Path) -> None:
    assert run_command("migrate").code == 0
    warning = migrate_by_newer_program(CONTRACTION, tmp_path / "visits.db", tmp_path)

    ended = run_command("serve", "--dev", "--port", "0")

    sentence = f"was made by a newer version of this program (step {NEXT}): install that one or a later one."
    name = str(database_of(url_of(tmp_path / "visits.db")))
    assert (warning, ended.code, ended.err.strip()) == ("", 1, f"home-visits: {name} {sentence}")
