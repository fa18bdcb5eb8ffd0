"""Keys as operators make, list and end them, and a server that takes them."""

import asyncio
import json
import re
import secrets

import pytest

from resolvers.key_sets import SECRET_BYTES
from storage.caller import Role
from storage.demo import CARE_ENQUIRY, LOCATION
from tests.app.calling import SECRET, ask, call, get, token
from tests.conftest import Ended, RunCommand, StartServer
from tests.resolvers.carehq import FORM, VISITS, Key, sign

KEYS_SECRET = secrets.token_urlsafe(48)
EVENTS = "{ homeVisitEvents(last: 1) { nodes { actor type } } }"
LINE = re.compile(r"(\S+) of (\S+), account ([0-9a-f]{24}), (.+), made \S+Z, (never used|last used \S+Z)(, revoked \S+Z)?")


def key_of(ended: Ended) -> Key:
    assert (ended.code, ended.err) == (0, "")
    return Key(*ended.out.splitlines())


def test_a_key_is_made_listed_and_revoked(run_command_here: RunCommand) -> None:
    def run(*words: str) -> Ended:
        return run_command_here("key", *words, KEYS_SECRET=KEYS_SECRET)

    first = key_of(run("--role", "viewer", "--role", "COORDINATOR", "--name", "reports", "--allow-signature-1"))
    second = key_of(run("--role", "VIEWER", "--location", LOCATION))
    revoked, again = run("--revoke", first.key), run("--revoke", first.key)
    listed = run("--list")

    lines = [match.groups() for match in map(LINE.fullmatch, listed.out.splitlines()) if match]
    assert [line[:5] for line in lines] == [
        (first.key, "reports", first.account_id, "COORDINATOR VIEWER, all locations, signatures 1 and 2", "never used"),
        (second.key, second.key, first.account_id, f"VIEWER, locations {LOCATION}, signature 2", "never used"),
    ]
    assert [line[5] is None for line in lines] == [False, True]
    assert second.account_id == first.account_id
    assert (first.secret in listed.out, len(first.secret) >= SECRET_BYTES) == (False, True)
    assert revoked == (0, "", "")
    assert again == (
        1,
        "",
        "home-visits: There is no such key, or it was revoked before: `key --list` shows those that there are.\n",
    )


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        ((), {}, "Give a new key a --role, or choose --list or --revoke: one of the three."),
        (("--role", "VIEWER", "--list"), {}, "Give a new key a --role, or choose --list or --revoke: one of the three."),
        (
            ("--role", "VIEWER"),
            {},
            "Secrets of API keys are kept encrypted under HOME_VISITS_KEYS_SECRET: set it to 32 random bytes or more.",
        ),
        (
            ("--role", "VIEWER", "--location", "Willow Court"),
            {"KEYS_SECRET": KEYS_SECRET},
            "The key cannot be made: a location is known by its ID, 24 hexadecimal characters",
        ),
        (
            ("--role", "VIEWER", "--name", "two\nlines"),
            {"KEYS_SECRET": KEYS_SECRET},
            "The key cannot be made: a name has 1 to 255 printable characters, and no spaces around them",
        ),
    ],
)
def test_a_key_that_cannot_be_made_is_refused(
    run_command_here: RunCommand, words: tuple[str, ...], settings: dict[str, str], sentence: str
) -> None:
    assert run_command_here("key", *words, **settings) == (1, "", f"home-visits: {sentence}\n")


@pytest.mark.parametrize("words", [("key", "--role", "VIEWER"), ("serve",)])
def test_a_secret_that_could_be_guessed_stops_everything(run_command_here: RunCommand, words: tuple[str, ...]) -> None:
    ended = run_command_here(*words, KEYS_SECRET="secret", JWT_SECRET=SECRET)  # noqa: S106 - that is the point

    assert (ended.code, ended.err.partition(" Set one")[0]) == (
        1,
        "home-visits: HOME_VISITS_KEYS_SECRET: The secret has only 6 bytes.",
    )


async def test_a_server_takes_a_key_beside_tokens_and_keeps_when_it_was_used(
    start_server: StartServer, run_command_here: RunCommand
) -> None:
    server = start_server("--demo", JWT_SECRET=SECRET, KEYS_SECRET=KEYS_SECRET)

    def run(*words: str) -> Ended:
        return run_command_here("key", *words, KEYS_SECRET=KEYS_SECRET)

    key = key_of(await asyncio.to_thread(run, "--role", "COORDINATOR", "--name", "script"))
    when = ("date_time", "2030-11-03T11:00:00Z")
    pairs = [("care_enquiry", CARE_ENQUIRY), when, ("host", "nurse"), ("visit_type", "virtual")]
    body = "&".join(f"{name}={value}" for name, value in pairs).encode()
    booked = call(server.port, "PUT", VISITS, body, sign(key, "PUT", VISITS, pairs) | {"Content-Type": FORM})
    mounted = call(server.port, "GET", f"/crm{VISITS}", headers=sign(key, "GET", VISITS))
    stranger = get(server.port, VISITS)
    event = ask(server.port, EVENTS, bearer=token(Role.VIEWER)).json["data"]["homeVisitEvents"]["nodes"][0]
    code = server.stop()
    listed = await asyncio.to_thread(run, "--list")

    assert (booked.status, mounted.status, stranger.status, code) == (200, 200, 401, 0)
    assert booked.headers["X-Request-Id"]
    assert booked.headers["Cache-Control"] == "no-store"
    assert event == {"actor": "script", "type": "BOOKED"}
    match = LINE.fullmatch(listed.out.strip())
    assert match is not None
    assert match[5].startswith("last used ")
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    calls = [(line["operation"], line["caller"], line["outcome"]) for line in lines if line.get("type") == "rest"]
    assert calls == [("bookHomeVisit", "script", "ok"), ("homeVisits", "script", "ok")]
    assert key.secret not in server.log.read_text()


def test_whatever_is_refused_has_a_hint(start_server: StartServer) -> None:
    server = start_server("--dev", KEYS_SECRET=KEYS_SECRET)
    key = Key("a" * 24, "nobody", "secret")
    ids = "&".join(f"filters-ids={number:024x}" for number in range(250))

    long_address = get(server.port, f"{VISITS}?{ids}")
    long_header = get(server.port, VISITS, X_Long="x" * 20_000)
    paths = [get(server.port, path) for path in ("/v1", "/crm/v1", "/v1/")]
    doubled = call(server.port, "GET", f"/{VISITS}", headers=sign(key, "GET", VISITS))

    assert long_address.status == 414
    assert long_address.json["hint"] == (
        "The first line of the request is longer than 8,192 bytes. Send a shorter one, or GraphQL by POST."
    )
    assert (long_header.status, list(long_header.json)) == (431, ["errors", "hint", "arg_errors"])
    assert [error["message"] for error in long_header.json["errors"]] == [long_header.json["hint"]]
    assert [(answer.status, answer.json["arg_errors"]) for answer in paths] == [(404, None), (404, None), (401, None)]
    assert paths[0].json["hint"] == "Paths begin with /v1/, unescaped. Check the base URL."
    assert (doubled.status, doubled.json["hint"]) == (
        401,
        "The signature does not match. Check the account ID, the key and its secret.",
    )


@pytest.mark.sqlite  # PostgreSQL's backups are its own
def test_a_key_that_was_revoked_stays_so_when_a_backup_is_put_back(run_command_here: RunCommand) -> None:
    first, second = [key_of(run_command_here("key", "--role", "VIEWER", KEYS_SECRET=KEYS_SECRET)) for _ in range(2)]
    run_command_here("backup", "before.db")
    run_command_here("key", "--revoke", first.key)

    restored = run_command_here("restore", "before.db")
    listed = run_command_here("key", "--list")

    assert restored.err.splitlines()[2:] == [f"Revoked since it was made, and still: {first.key}."]
    lines = [match.groups() for match in map(LINE.fullmatch, listed.out.splitlines()) if match]
    assert [(line[0], line[5] is None) for line in lines] == [(first.key, False), (second.key, True)]


def test_without_a_secret_there_is_no_such_api(start_server: StartServer) -> None:
    server = start_server("--dev")

    assert get(server.port, VISITS).status == 404
