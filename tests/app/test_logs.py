"""A line for each request, and no secret in any line or answer."""

import json
import logging
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from resolvers.tokens import TokenRules, mint
from schema.server.logs import Line, Log
from storage.caller import Caller, Role
from storage.instants import clock
from tests import databases
from tests.app.calling import COUNT, SECRET, Answer, ask, call, get, token
from tests.conftest import Server, StartServer, serving
from tests.inspection import inspect

CANARY = "canary-7d1e"


def minted(*, hours: float = 1, issuer: str = "issuer", audience: str = "ours") -> str:
    rules = TokenRules(SECRET, issuer=issuer, audience=audience)
    return mint(rules, Caller("amy", frozenset({Role.VIEWER})), timedelta(hours=hours), clock())


PRIVATE = "private-53ab"
ENQUIRY = "67251cbede305d547963780e"
BOOK = """
mutation Book($input: BookHomeVisitInput!) {
  bookHomeVisit(input: $input) {
    ... on BookHomeVisitSuccess { homeVisit { id } }
    ... on InvalidInputError { problems { path message } }
    ... on UserError { message }
  }
}
"""


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def requests(server: Server) -> list[dict[str, Any]]:
    return [line for line in lines(server) if line["event"] == "request"]


def request(server: Server, id: str) -> dict[str, Any]:
    """Return its one line, which comes just after its answer."""
    until = time.monotonic() + 20
    while not (matching := [line for line in requests(server) if line["request_id"] == id]) and time.monotonic() < until:
        time.sleep(0.01)
    [line] = matching
    return line


def booking(**changes: object) -> dict[str, Any]:
    visit = {"careEnquiry": ENQUIRY, "dateTime": "2030-11-03T11:00:00Z", "host": "MANAGER", "visitType": "IN_PERSON"}
    return {"input": visit | changes}


def test_a_request_is_one_line_of_json(start_server: StartServer) -> None:
    server = start_server(JWT_SECRET=SECRET)

    answer = ask(server.port, "query Coming { homeVisits { nodes { id } } }", bearer=token(Role.VIEWER))
    server.stop()

    [line] = lines(server)
    seconds = line.pop("milliseconds") / 1000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert 0 < seconds < 10
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": answer.headers["X-Request-Id"],
        "operation": "Coming",
        "type": "query",
        "caller": "amy",
        "client": "127.0.0.1",
        "outcome": "ok",
        "status": 200,
    }


@pytest.mark.parametrize(
    ("body", "bearer", "line"),
    [
        (b'{"query":"{ nothing }"}', Role.VIEWER, (None, "amy", "GRAPHQL_VALIDATION_FAILED", 200)),
        (b'{"query":"{"}', Role.VIEWER, (None, "amy", "GRAPHQL_PARSE_FAILED", 200)),
        (b"null", Role.VIEWER, (None, "amy", "BAD_REQUEST", 400)),
        (b'{"query":"{ viewer { subject } }"}', None, (None, None, "UNAUTHENTICATED", 401)),
    ],
)
def test_a_refused_request_is_one_line_as_well(
    signed_in_server: Server, body: bytes, bearer: Role | None, line: tuple[object, ...]
) -> None:
    headers = {"Content-Type": "application/json", "X-Request-Id": f"refused-{line[2]}"}
    headers |= {"Authorization": f"Bearer {token(bearer)}"} if bearer else {}

    answer = call(signed_in_server.port, "POST", "/graphql", body, headers)

    logged = request(signed_in_server, f"refused-{line[2]}")
    assert answer.json["errors"][0]["extensions"]["requestId"] == answer.headers["X-Request-Id"] == logged["request_id"]
    assert (logged["type"], logged["caller"], logged["outcome"], logged["status"]) == line


REASONS = {
    "missing": (None, "missing"),
    "no token": ("Bearer", "malformed"),
    "not a token": ("Bearer a.b.c", "malformed"),
    "expired": (f"Bearer {minted(hours=-2)}", "expired"),
    "another key": (f"Bearer {token(Role.VIEWER, secret='s' + SECRET[1:] + 'x')}", "wrong key"),
    "another audience": (f"Bearer {minted(audience='theirs')}", "wrong audience"),
    "another issuer": (f"Bearer {minted(issuer='theirs')}", "wrong issuer"),
}


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("strict")) as start:
        yield start(JWT_SECRET=SECRET, JWT_AUDIENCE="ours", JWT_ISSUER="issuer", TRUSTED_PROXIES="127.0.0.0/8")


@pytest.mark.parametrize(("authorization", "reason"), REASONS.values(), ids=REASONS)
def test_why_a_sign_in_failed_is_in_the_log_alone(strict_server: Server, authorization: str | None, reason: str) -> None:
    headers = {
        "Content-Type": "application/json",
        "X-Request-Id": f"reason-{list(REASONS.values()).index((authorization, reason))}",
    }
    headers |= {"Authorization": authorization} if authorization else {}

    answer = call(strict_server.port, "POST", "/graphql", b'{"query":"{ viewer { subject } }"}', headers)

    line = request(strict_server, headers["X-Request-Id"])
    assert (line["outcome"], line["reason"]) == ("UNAUTHENTICATED", reason)
    assert answer.json["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED", "requestId": headers["X-Request-Id"]}


def test_a_line_says_the_client_behind_a_proxy_and_the_trace(strict_server: Server) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"X-Request-Id": "traced", "X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
    headers["traceparent"] = f"00-{trace}-00f067aa0ba902b7-01"

    ask(strict_server.port, COUNT, headers=headers)

    line = request(strict_server, "traced")
    assert (line["client"], line["trace_id"]) == ("198.51.100.7", trace)


# Controls of a terminal, its own and those of Unicode: of colours, lines, directions.
CONTROLS = "\x00\x07\x1b[31m\r\n\x7f\x85\x9b31m\u2028\u2029\u202e\u2066\u200f\ufeff\U000e0041é"


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_a_terminal_would_obey_is_escaped(start_server: StartServer, form: str) -> None:
    server = start_server("--dev", LOG_FORMAT=form)
    body = json.dumps({"query": "{", "operationName": CONTROLS}).encode()

    call(server.port, "POST", "/graphql", body, {"Content-Type": "application/json"})
    server.stop()

    [line] = server.log.read_bytes().decode().split("\n")[:-1]
    assert line.isprintable()
    assert "é" in line
    assert r"\u001b[31m" in line.replace(r"\\", "\\")
    assert form == "console" or json.loads(line)["operation"] == CONTROLS


def test_health_and_readiness_are_not_logged(signed_in_server: Server) -> None:
    before = len(lines(signed_in_server))

    for path in ("/healthz", "/readyz", "/nowhere"):
        get(signed_in_server.port, path)

    assert len(lines(signed_in_server)) == before


def test_what_is_no_http_is_not_logged(start_server: StartServer) -> None:
    server = start_server(JWT_SECRET=SECRET)

    answer = call(server.port, "POST", f"/graphql?token={CANARY}", b"{}", {"Content-Length": CANARY})
    server.stop()

    assert (answer.status, server.log.read_text()) == (400, "")


def test_what_libraries_log_comes_without_the_words_of_exceptions(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("json").capture_logging()
    try:
        raise ValueError(CANARY) from RuntimeError(CANARY)
    except ValueError as failure:
        logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: %r", failure, exc_info=failure)
    log.flush()

    line = json.loads(capfd.readouterr().out)
    types = [entry for entry in line.pop("failure") if "test_logs.py" not in entry]
    assert types == ["builtins.ValueError", "builtins.RuntimeError"]
    del line["timestamp"]
    assert line == {"level": "error", "event": "Task exception was never retrieved", "logger": "asyncio"}


def test_a_line_for_a_console_is_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("console")
    log.write([Line("info", {"event": "request", "outcome": "ok", "milliseconds": 1.25})])
    log.flush()

    line = capfd.readouterr().out

    assert re.fullmatch(r"\S+Z \[info +\] request +milliseconds=1.25 outcome=ok\n", line)


@pytest.mark.parametrize(("form", "caller"), [("json", r'"caller": "\ud800"'), ("console", r"caller=\ud800")])
def test_half_a_character_costs_no_line(form: str, caller: str, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(form)
    log.write(
        [Line("info", {"event": name, "caller": who}) for name, who in [("one", "amy"), ("two", "\ud800"), ("three", "bob")]]
    )
    log.flush()

    written = capfd.readouterr().out.splitlines()

    assert [name in line for name, line in zip(("one", "two", "three"), written, strict=True)] == [True] * 3
    assert caller in written[1]


FAILURE = {"sqlite": "sqlite3.OperationalError", "postgresql": "asyncpg.exceptions.InvalidTextRepresentationError"}


def break_notes(path: Path) -> None:
    """Let whoever reads or writes notes meet an error that says the canary."""
    inspection = inspect(path)
    columns = [name for name in inspection.columns("home_visits") if name != "notes"]
    broken = {
        "sqlite": f'ALTER TABLE home_visits RENAME COLUMN notes TO "notes_{CANARY}"',
        "postgresql": f"""
            ALTER TABLE home_visits RENAME TO elsewhere;
            CREATE VIEW home_visits AS SELECT {", ".join(columns)},
            CASE WHEN CAST(concat('{CANARY}') AS integer) = number THEN notes END AS notes FROM elsewhere;
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE '{CANARY}'; END $$;
            CREATE TRIGGER fail INSTEAD OF INSERT ON home_visits FOR EACH ROW EXECUTE FUNCTION fail()
        """,  # noqa: S608 - ours
    }
    inspection.execute(broken[databases.KIND])


def test_an_unexpected_error_is_masked_in_the_answer_and_logged_without_its_words(start_server: StartServer) -> None:
    server = start_server("--demo", JWT_SECRET=SECRET)
    break_notes(server.database)

    answer = ask(server.port, "{ homeVisits { nodes { notes } } }", bearer=token(Role.VIEWER))
    server.stop()

    [error] = answer.json["errors"]
    [line] = requests(server)
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": line["request_id"]}
    assert error["message"].startswith("Something went wrong on our side, and it has been noted.")
    assert (line["level"], line["outcome"]) == ("error", "INTERNAL_SERVER_ERROR")
    assert line["failure"][0] == FAILURE[databases.KIND]
    assert "no such column" not in answer.body.decode() + server.log.read_text()
    assert CANARY not in answer.body.decode() + server.log.read_text()


def test_no_secret_is_in_a_log_or_an_answer(start_server: StartServer, tmp_path: Path) -> None:
    secret, folder = f"{SECRET}{CANARY}", tmp_path / CANARY
    folder.mkdir()
    path = folder / "visits.db"
    url = databases.made(path)
    server = start_server(
        "--demo",
        JWT_SECRET=secret,
        DATABASE_URL=url.replace("postgres@", f"postgres:{CANARY}@"),
        SMTP_URL=f"smtp://user:{CANARY}@127.0.0.1:1?tls=off",
        MAIL_FROM="visits@homes.example",
    )
    bearer, admin = token(Role.COORDINATOR, secret=secret), token(Role.ADMIN, secret=secret)

    answers = confide(server, bearer)
    break_notes(path)
    answers += confide(server, bearer)
    answers += [get(server.port, path, Authorization=f"Bearer {admin}") for path in ("/metrics", "/readyz", f"/{PRIVATE}")]
    server.stop()

    log = server.log.read_text()
    assert {answer.status for answer in answers} == {200, 401, 404}
    assert sum(b"INTERNAL_SERVER_ERROR" in answer.body for answer in answers) == 5
    assert [answer.body for answer in answers if CANARY.encode() in answer.body or secret.encode() in answer.body] == []
    assert [hidden for hidden in (CANARY, PRIVATE, secret, bearer, admin) if hidden in log] == []
    assert server.process.stderr is not None
    assert server.process.stderr.read() == ""


def confide(server: Server, bearer: str) -> list[Answer]:
    """Send what is private wherever it can be sent."""
    operations = [
        (BOOK, booking(notes=f"Her password is {PRIVATE}.")),
        (BOOK, booking(careEnquiry=PRIVATE)),
        (BOOK, booking(dateTime=PRIVATE)),
        (BOOK, booking(idempotencyKey=PRIVATE)),
        (BOOK, booking(idempotencyKey=PRIVATE, host="NURSE")),
        ("query ($id: ID!) { homeVisit(id: $id) { notes } }", {"id": PRIVATE}),
        ("query ($after: String) { homeVisits(after: $after) { nodes { id } } }", {"after": PRIVATE}),
        (f'{{ homeVisits(filter: {{ keyword: "{PRIVATE}" }}) {{ nodes {{ notes }} }} }}', None),
    ]
    answers = [ask(server.port, document, variables, bearer=bearer) for document, variables in operations]
    return [*answers, *(ask(server.port, "{ viewer { subject } }", bearer=bad) for bad in (bearer + PRIVATE, "a.b." + PRIVATE))]
