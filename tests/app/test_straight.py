"""A usual load is answered straight, each answer with its line and its place in the metrics, as by the ordinary way."""

import http.client
import json
import re
import socket
import time
from typing import Any

import pytest

from storage.caller import Role
from tests import databases
from tests.app.calling import SECRET, get, token
from tests.conftest import Server, StartServer

REQUESTS = 40
PEOPLE = "location { name } assignedTo { firstName } careEnquiry { careSeeker { lastName } }"
DOCUMENTS = [
    f"query Page {{ homeVisits(orderBy: [{{ field: DATE_TIME }}], first: 5) {{ nodes {{ id status notes {PEOPLE} }} }} }}",
    "query Count { homeVisits(filter: { status: [PENDING] }) { totalCount } }",
    "query Source { source { kind } }",
]


def load(server: Server, bearer: str) -> list[tuple[int, list[str], bytes]]:
    """Send each document again and again on one connection; return the answers without what differs each time."""
    common = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Bearer {bearer}\r\n"
    common += f"traceparent: 00-{'a' * 32}-{'b' * 16}-01\r\n"
    answers = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        for number in range(REQUESTS):
            for index, document in enumerate(DOCUMENTS):
                body = json.dumps({"query": document}).encode()
                head = f"POST /graphql HTTP/1.1\r\n{common}X-Request-Id: {number}-{index}\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
                response = http.client.HTTPResponse(connection)
                response.begin()
                lines = [f"{name}: {value}" for name, value in response.headers.items() if name != "Date"]
                answers.append((response.status, lines, response.read()))
    return answers


def logged(server: Server) -> list[dict[str, Any]]:
    """Return the lines of the load, which come just after the last answer."""
    until = time.monotonic() + 20
    lines: list[dict[str, Any]] = []
    while len(lines) < REQUESTS * len(DOCUMENTS) and time.monotonic() < until:
        time.sleep(0.05)
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if '"event":"request"' in line]
    return [{name: value for name, value in line.items() if name not in ("milliseconds", "timestamp")} for line in lines]


def counted(server: Server, metric: str) -> float | None:
    text = get(server.port, "/metrics", Authorization=f"Bearer {token(Role.ADMIN)}").body.decode()
    found = re.search(rf"^{re.escape(metric)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


@pytest.mark.parametrize("flags", [("--demo",), ("--demo", "--dev")], ids=["signed in", "development"])
def test_a_usual_load_is_answered_straight_and_told_of_as_ever(start_server: StartServer, flags: tuple[str, ...]) -> None:
    bearer = token(Role.VIEWER)
    server = start_server(*flags, JWT_SECRET=SECRET, LOG_FORMAT="json")

    answers, lines, straight = load(server, bearer), logged(server), counted(server, "home_visits_straight_answers_total")
    pages = counted(server, 'home_visits_requests_total{operation="Page",outcome="ok",type="query"}')
    server.stop()
    server.log.write_text("")
    ordinary = start_server(*flags, JWT_SECRET=SECRET, LOG_FORMAT="json", STRAIGHT="off")
    ordinary_answers, ordinary_lines = load(ordinary, bearer), logged(ordinary)

    assert answers == ordinary_answers
    assert {status for status, *_ in answers} == {200}
    assert (lines, pages) == (ordinary_lines, REQUESTS)
    assert counted(ordinary, "home_visits_straight_answers_total") is None
    if databases.is_sqlite():
        # The first of each is signed in and compiled; on a busy machine some take long.
        assert straight is not None
        assert 0.7 * len(answers) < straight <= len(answers) - len(DOCUMENTS)
    else:
        assert straight is None
