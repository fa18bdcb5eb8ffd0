"""Every command and example of the README, as a reader would try it."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from storage.caller import Role
from storage.database import database_of
from storage.demo import CARE_ENQUIRY, LOCATION
from tests.app.calling import COUNT, SECRET, ask, call, token
from tests.app.subscribing import subscribed
from tests.conftest import ROOT, RunCommand, Server, StartServer, environment
from tests.databases import made

SAMPLES = ROOT / "tests/storage/carehq/samples"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)]+)\)")
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q -e "


class Example(NamedTuple):
    """A block of the README, under the heading of its section and after the file that was linked last."""

    section: str
    language: str
    text: str
    file: str | None


def examples() -> list[Example]:
    text = (ROOT / "README.md").read_text()
    found = []
    for block in BLOCK.finditer(text):
        before = text[: block.start()]
        links = [link for link in LINK.findall(before) if not link.startswith(("http", "#"))]
        section = re.findall(r"^#+ (.+)$", re.sub(BLOCK, "", before), re.MULTILINE)[-1]
        found.append(Example(section, block[1], block[2], links[-1] if links else None))
    return found


def of(language: str, *sections: str) -> list[Example]:
    return [example for example in examples() if example.language == language and example.section in sections]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like that of a checkout after the first command, with documents to import."""
    (tmp_path / "app.py").symlink_to(ROOT / "app.py")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    for sample in SAMPLES.glob("*.json"):
        shutil.copy(sample, tmp_path)
    return tmp_path


def run(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    variables = environment(folder)
    del variables["HOME_VISITS_DATABASE_URL"]
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_first_two_commands_are_one_line_each_and_right_when_run_again() -> None:
    first, second = of("sh", "Home visits")

    assert first.text == f"{INSTALL}. && .venv/bin/python app.py serve --dev --demo\n"
    assert second.text == f"{INSTALL}'.[test]' && .venv/bin/python -m pytest\n"


def test_all_checks_run_the_tests_by_the_same_command() -> None:
    [_, tests] = of("sh", "Home visits")

    assert tests.text.strip() in (ROOT / ".ci/run").read_text()


def test_the_request_by_curl_is_answered(start_server: StartServer, folder: Path) -> None:
    server = start_server("--dev", "--demo")
    [curl] = of("sh", "Query")
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    ended = run(curl.text.replace("http://127.0.0.1:8080", server.origin), folder)
    data = json.loads(ended.stdout)["data"]["homeVisits"]

    assert (ended.returncode, len(data["nodes"])) == (0, 3)
    assert data["nodes"][0].keys() == {"id", "dateTime", "visitType", "host", "careEnquiry"}
    assert [node["dateTime"] for node in data["nodes"] if node["dateTime"] < now] == []
    assert data["totalCount"] > 3


def test_the_booking_form_and_the_dashboard_are_answered_as_a_shell_asks(start_server: StartServer, folder: Path) -> None:
    server = start_server("--dev", "--demo")
    script = "".join(block.text for block in of("sh", "From zero to a booking form and a dashboard"))

    ended = run(script.replace("http://127.0.0.1:8080", server.origin), folder)
    enquiries, choices, conflicts, booked, month, waiting, calling = map(json.loads, ended.stdout.splitlines())

    [enquiry] = enquiries["data"]["careEnquiries"]["nodes"]
    assert (enquiry["id"], enquiry["location"]["id"]) == (CARE_ENQUIRY, LOCATION)
    assert [contact["firstName"] for contact in enquiry["serviceUserContacts"]["nodes"]] == ["Dilys"]
    assert [user["firstName"] for user in choices["data"]["users"]["nodes"]] == ["Grace", "Ada"]
    assert len(choices["data"]["locations"]["nodes"]) == 6
    assert conflicts == {"data": {"homeVisitConflicts": []}}
    visit = booked["data"]["bookHomeVisit"]["homeVisit"]
    assert booked["data"]["bookHomeVisit"]["conflicts"] == []
    assert month["data"]["homeVisitCounts"] == [{"day": "2030-11-04", "status": "PENDING", "count": 1}]
    assert waiting["data"].keys() == {"unassigned", "unconfirmed"}
    assert calling["data"]["homeVisits"]["nodes"][0]["id"] == visit["id"]


@pytest.mark.parametrize(
    "example",
    [one for one in examples() if one.language == "graphql" and not one.text.startswith("subscription")],
    ids=lambda one: one.section,
)
def test_a_document_is_answered_without_errors(running_server: Server, example: Example) -> None:
    answer = ask(running_server.port, example.text)

    assert answer.json.keys() == {"data"}
    assert "problems" not in json.dumps(answer.json)


async def test_a_subscription_follows_changes(running_server: Server) -> None:
    [_, changes] = of("graphql", "Follow")
    [book] = of("graphql", "Book, move, cancel, complete")

    async with subscribed(running_server.url, document=changes.text) as subscriber:
        await asyncio.sleep(0.5)
        await asyncio.to_thread(ask, running_server.port, book.text)
        change = await subscriber.change()

    assert (change["node"]["type"], change["node"]["homeVisit"]["dateTime"]) == ("BOOKED", "2030-11-03T11:00:00Z")


def test_a_request_costs_what_is_said(running_server: Server) -> None:
    [shown] = of("json", "Share")
    document, *_ = re.findall(r"With `(\{.*?\})` the answer", (ROOT / "README.md").read_text())
    body = json.dumps({"query": document, "extensions": {"cost": True}}).encode()

    answer = call(running_server.port, "POST", "/graphql", body, {"Content-Type": "application/json"}).json

    # It fills up again by the time that the answer is written.
    share = answer["extensions"]["cost"]["share"]
    expected = json.loads(shown.text)
    assert expected["extensions"]["cost"]["share"]["available"] <= share.pop("available") <= share["quota"]
    expected["extensions"]["cost"]["share"].pop("available")
    assert {name: value for name, value in answer.items() if name != "data"} == expected


def test_the_commands_do_what_is_said(folder: Path) -> None:
    sections = ("Import and export", "Scripts written for CareHQ", "Deploy", "Operate")
    commands = [example for example in of("sh", *sections) if "serve" not in example.text]

    ended = {example.section: run(example.text, folder) for example in commands}

    assert {section: one.returncode for section, one in ended.items()} == dict.fromkeys(sections, 0)
    assert len(json.loads(ended["Import and export"].stdout)) == 5
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", ended["Deploy"].stdout)
    account, key, _, line = ended["Scripts written for CareHQ"].stdout.splitlines()
    assert line.startswith(f"{key} of reports, account {account}, COORDINATOR, all locations, signature 2, made 20")
    assert ended["Operate"].stdout == "0 in all.\n"
    assert (folder / "visits-backup.db").stat().st_size > 100_000


def test_what_is_old_or_asked_for_is_forgotten_as_is_said(folder: Path) -> None:
    by_age, one = of("sh", "Forget")
    documents = "users.json locations.json care_enquiries.json service_user_contacts.json home_visits.json"
    visits = folder / "home_visits.json"
    visits.write_text(visits.read_text().replace('"2024-', '"2020-'))
    [enquiries] = (json.loads(file.read_text()) for file in folder.glob("care_enquiries.json"))
    kept = {"_id": CARE_ENQUIRY, "email": "agnes@family.example"}
    (folder / "care_enquiries.json").write_text(json.dumps([*enquiries, kept]))

    ended = run(f".venv/bin/python app.py import {documents}\n{by_age.text}{one.text}", folder)

    lines = ended.stderr.splitlines()
    assert ended.returncode == 0
    assert [line for line in lines if re.match("(To be w|W)iped: ", line)] == [
        "To be wiped: 3 visits, 3 care enquiries and 1 contact. Nothing was wiped.",
        "Wiped: 3 visits, 3 care enquiries and 1 contact.",
    ]
    assert json.loads(ended.stdout)["care_enquiries"][0]["email"] == "agnes@family.example"
    assert lines[-1] == (
        "Cancelled 0 pending visits; wiped 0 visits, 1 care enquiry and 0 contacts; removed 0 from the folder of letters."
    )


def test_it_serves_to_others_as_is_said(folder: Path) -> None:
    secret, serve = of("sh", "Deploy")
    command = f"{secret.text.splitlines()[0]}\nexec {serve.text.strip()} --port 0"
    variables = environment(folder)

    process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=variables, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr as output:
        line = output.readline()
        process.terminate()
        code = process.wait(timeout=30)

    database = re.escape(str(database_of(variables["HOME_VISITS_DATABASE_URL"])))
    assert re.fullmatch(rf"Serving {database} at http://0\.0\.0\.0:\d+/graphql\n", line)
    assert code == 0


def test_an_account_is_followed_as_is_said(start_server: StartServer, run_command_here: RunCommand, folder: Path) -> None:
    account = start_server("--dev", "--demo", KEYS_SECRET=SECRET)
    key = run_command_here("key", "--role", "COORDINATOR", KEYS_SECRET=SECRET).out.splitlines()
    [block] = of("sh", "Follow a CareHQ account")
    script = block.text.replace("https://api.carehq.co.uk", account.origin).replace("…", "{}").format(*key)
    variables = environment(folder, DATABASE_URL=made(folder / "mirror.db"), JWT_SECRET=SECRET)
    command = script.strip().replace(".venv", "exec .venv") + " --port 0"

    with subprocess.Popen(["bash", "-ec", command], cwd=folder, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            serving, _, following = process.stderr.readline().partition(", following ")
            port, count = int(re.findall(r":(\d+)/graphql", serving)[0]), 0
            until = time.monotonic() + 60
            while count < 300 and time.monotonic() < until:
                count = ask(port, COUNT, bearer=token(Role.VIEWER)).json["data"]["homeVisits"]["totalCount"]
        finally:
            process.terminate()

    assert (len(block.text.splitlines()), count, process.returncode) == (5, 300, 0)
    assert following == f"the CareHQ account {key[0]} at {account.origin}\n"


def test_every_file_that_is_linked_is_there() -> None:
    links = [link for link in LINK.findall((ROOT / "README.md").read_text()) if not link.startswith(("http", "#"))]

    assert [link for link in links if not (ROOT / link).exists()] == []
    assert len(links) > 10


@pytest.mark.parametrize(
    "example",
    [one for language in ("ts", "tsx", "python") for one in of(language, "Generate a client", "Keep a list up to date")],
    ids=lambda one: one.file,
)
def test_what_is_quoted_of_a_client_stands_in_the_file_that_is_named(example: Example) -> None:
    assert example.file is not None
    lines = {line.strip() for line in (ROOT / example.file).read_text().splitlines()}

    assert [line for line in example.text.splitlines() if line.strip() not in lines] == []


@pytest.mark.parametrize("example", of("sh", "Generate a client"), ids=lambda one: one.file)
def test_what_is_installed_for_a_client_is_what_the_example_has(example: Example) -> None:
    assert example.file is not None
    named = set(re.findall(r"(?:npm install|pip install)(?: --save-dev)? ([^\n]+)", example.text))
    packages = {package.strip('"') for line in named for package in line.split()}
    client = (ROOT / example.file).parent

    if (client / "package.json").exists():
        kept = json.loads((client / "package.json").read_text())
        assert packages - {*kept.get("dependencies", {}), *kept["devDependencies"]} == set()
        assert kept["scripts"]["generate"] == example.text.splitlines()[-1].removeprefix("npx ")
    else:
        assert packages <= {line.partition("==")[0] for line in (client / "requirements.txt").read_text().splitlines()}


def test_every_example_is_tried() -> None:
    tried = {
        "Home visits": {"sh"},
        "Query": {"sh"},
        "Page": {"graphql"},
        "Find people": {"graphql"},
        "Count": {"graphql"},
        "From zero to a booking form and a dashboard": {"sh"},
        "Book, move, cancel, complete": {"graphql"},
        "Follow": {"graphql"},
        "Share": {"json"},
        "Generate a client": {"sh", "ts", "tsx", "python"},
        "Keep a list up to date": {"ts", "python"},
        "Import and export": {"sh"},
        "Scripts written for CareHQ": {"sh", "python"},
        "Follow a CareHQ account": {"sh"},
        "Deploy": {"sh"},
        # Tried in tests/storage/postgresql/.
        "PostgreSQL": {"sh", "sql"},
        "Sizes": {"ini"},
        "Keep PostgreSQL": {"ini", "sh"},
        "Operate": {"sh"},
        # Read back in tests/test_operating.py.
        "Run as a service": {"ini", "dockerfile", "nginx"},
        "Forget": {"sh", "sql"},
        # The plan of the rooms, which another test holds the code to.
        "Change it": {""},
    }

    assert {section: {one.language for one in examples() if one.section == section} for section in tried} == tried
    assert {one.section for one in examples()} == set(tried)
