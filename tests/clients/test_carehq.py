"""The vendor's own Python clients, of both signatures, run a script for CareHQ with other credentials and another base URL."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from resolvers.api_keys import Encryption, new_key
from storage.api_keys import APIKeys
from storage.caller import Caller, Role
from storage.database import run_with
from storage.demo import CARE_ENQUIRY
from storage.instants import clock
from tests.clients.packages import install
from tests.conftest import ROOT, Server, serving
from tests.databases import database_at
from tests.test_readme import of

carehq = pytest.importorskip("carehq", reason="needs the vendor's client: pip install -e '.[test]'")

DAY = ROOT / "tests/clients/carehq/day.py"
KEYS_SECRET = secrets.token_urlsafe(48)
RATE = 20
NOTES = "é & b=c + d%20\nCare seeker has requested to view ground floor rooms."
REFUSALS = [
    ["InvalidRequest", 400, []],
    ["InvalidRequest", 400, ["care_enquiry", "date_time", "host", "visit_type"]],
    ["NotFound", 404, []],
    ["Forbidden", 405, []],
    ["InvalidRequest", 400, ["filters-colour"]],
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("carehq")) as start:
        yield start("--dev", "--demo", KEYS_SECRET=KEYS_SECRET, KEYS_RATE=str(RATE))


def key(server: Server, role: Role, *, allows_signature_1: bool = False) -> list[str]:
    """Make a key beside the server: account ID, key and secret."""
    new = new_key(Encryption(KEYS_SECRET), Caller("script", frozenset({role})), clock(), allows_signature_1=allows_signature_1)
    credentials = [new.record.account_id, new.record.key, new.secret]
    run_with(database_at(server.database), lambda database: APIKeys(database, clock).add(new.record))
    return credentials


def day(server: Server, python: Path | str, *, allows_signature_1: bool = False) -> Any:
    """Run the script with the client that this Python has."""
    names = ("ACCOUNT_ID", "API_KEY", "API_SECRET")
    credentials = dict(zip(names, key(server, Role.COORDINATOR, allows_signature_1=allows_signature_1), strict=True))
    variables = {**os.environ, **credentials, "API_BASE_URL": server.origin, "CARE_ENQUIRY": CARE_ENQUIRY}
    if python != sys.executable:
        # It has packages of its own.
        variables.pop("PYTHONPATH", None)
    ran = subprocess.run([python, DAY], env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def require_day(answers: Any) -> None:
    booked, listed, read, updated, cancelled, completed, refusals, rate = answers
    assert booked | {"_id": "", "created": "", "modified": "", "assigned_to": "", "location": ""} == {
        "_id": "",
        "anonymized": None,
        "assigned_to": "",
        "cancelled": None,
        "care_enquiry": CARE_ENQUIRY,
        "completed": None,
        "created": "",
        "date_time": "2030-11-03 11:00:00",
        "host": "manager",
        "location": "",
        "modified": "",
        "notes": NOTES,
        "service_user_contact": None,
        "visit_type": "in_person",
    }
    shown = {name: booked[name] for name in ("_id", "care_enquiry", "date_time", "host", "notes")}
    assert listed["items"][-1] == shown
    assert (listed["page"], listed["page_count"], listed["per_page"]) == (1, 1, 10)
    assert read == booked
    assert updated == booked | {"date_time": "2030-11-03 12:00:00", "notes": "", "modified": updated["modified"]}
    assert cancelled == updated | {"cancelled": cancelled["modified"], "modified": cancelled["modified"]}
    assert (completed["completed"], completed["visit_type"]) == (completed["modified"], "virtual")
    assert refusals == REFUSALS
    assert rate == [RATE, True, True]


def test_the_clients_of_today_run_a_script_for_carehq(server: Server) -> None:
    require_day(day(server, sys.executable))


@pytest.mark.slow
def test_the_clients_of_before_run_it_with_a_key_that_allows_it(server: Server, pytestconfig: pytest.Config) -> None:
    packages = install(DAY.parent, pytestconfig.cache.mkdir("clients"))

    require_day(day(server, packages / "bin" / "python", allows_signature_1=True))


def test_every_error_of_the_client_is_raised(server: Server) -> None:
    account, name, secret = key(server, Role.VIEWER)
    client = carehq.APIClient(account, name, secret, server.origin)
    stranger = carehq.APIClient(account, name, secrets.token_urlsafe(32), server.origin)
    errors = carehq.client.exceptions
    booking = {"care_enquiry": CARE_ENQUIRY, "date_time": "2030-11-03 11:00:00", "host": "nurse", "visit_type": "virtual"}
    large = {"notes": "x" * 300_000}

    calls = {
        errors.InvalidRequest: partial(client, "get", "home-visits", {"page": 0}),
        errors.Unauthorized: partial(stranger, "get", "home-visits"),
        errors.Forbidden: partial(client, "put", "home-visits", None, booking),
        errors.NotFound: partial(client, "get", "visits"),
        errors.APIException: partial(client, "patch", f"home-visits/{CARE_ENQUIRY}", None, large),
        errors.RateLimitExceeded: lambda: [client("get", "home-visits") for _ in range(RATE * 20)],
    }

    assert set(calls) == {errors.APIException, *errors.APIException.__subclasses__()}
    raised = {expected: _raised(call) for expected, call in calls.items()}
    assert {expected: type(error) for expected, error in raised.items()} == {error: error for error in calls}
    assert [error.status_code for error in raised.values()] == [400, 401, 403, 404, 413, 429]
    assert raised[errors.RateLimitExceeded].hint == "Too many requests: wait until X-CareHQ-RateLimit-Reset."
    assert all(error.hint for error in raised.values())


def test_the_example_of_the_readme_runs(server: Server) -> None:
    [example] = of("python", "Scripts written for CareHQ")
    names = dict(zip(("ACCOUNT_ID", "API_KEY", "API_SECRET"), map(repr, key(server, Role.VIEWER)), strict=True))
    program = example.text.replace("http://127.0.0.1:8080", server.origin)
    for name, value in names.items():
        program = program.replace(name, value)

    variables: dict[str, Any] = {}
    exec(program, variables)  # noqa: S102 - as a reader would

    assert list(variables["page"]["items"][0]) == ["_id", "date_time", "host"]
    assert variables["visit"]["_id"] == variables["page"]["items"][0]["_id"]


def _raised(call: Any) -> Any:
    try:
        call()
    except carehq.client.exceptions.APIException as error:
        return error
    raise AssertionError("nothing was raised")
