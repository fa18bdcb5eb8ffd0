"""What a server answers to whom, as it is set up."""

import asyncio
import hashlib
import http.client
import json
from pathlib import Path

import pytest

from storage.caller import Role
from tests import databases
from tests.app.calling import COUNT, INTROSPECTION, SECRET, ask, call, get, token
from tests.app.test_storage_faults import soon
from tests.conftest import Server, StartServer
from tests.inspection import inspect

BROWSER = "text/html,application/xhtml+xml"
VISITS_SITE, OTHER_SITE = "https://visits.example", "https://evil.example"
SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "home-visits",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@pytest.mark.parametrize(("path", "text"), [("/healthz", "alive"), ("/readyz", "ready")])
def test_health_and_readiness_need_no_sign_in(signed_in_server: Server, path: str, text: str) -> None:
    answer = get(signed_in_server.port, path)

    assert (answer.status, answer.body.decode()) == (200, f"{text}\n")


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/", "/nowhere", "/graphql/", "/graphql/assets/nothing.js", "/graphql"]
)
def test_whatever_is_answered_bears_the_security_headers(signed_in_server: Server, path: str) -> None:
    answer = get(signed_in_server.port, path)

    assert {name: answer.headers[name] for name in SECURITY} == SECURITY


def test_a_404_says_where_to_go(signed_in_server: Server) -> None:
    answer = get(signed_in_server.port, "/")

    assert (answer.status, answer.body.decode()) == (404, "There is nothing here: GraphQL is at /graphql.\n")


def test_strangers_see_nothing_where_sign_in_is_set_up(signed_in_server: Server) -> None:
    answer = ask(signed_in_server.port, COUNT)

    [error] = answer.json["errors"]
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (error["extensions"]["code"], "data" in answer.json) == ("UNAUTHENTICATED", False)


def test_a_viewer_reads(signed_in_server: Server) -> None:
    answer = ask(signed_in_server.port, COUNT, bearer=token(Role.VIEWER))

    assert (answer.status, answer.json) == (200, {"data": {"homeVisits": {"totalCount": 300}}})


def test_everybody_on_the_machine_may_do_everything_in_development(development_server: Server) -> None:
    answer = ask(development_server.port, "{ viewer { subject roles } }")

    assert answer.json == {"data": {"viewer": {"subject": "developer", "roles": ["VIEWER", "COORDINATOR", "ADMIN"]}}}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", "192.0.2.1"])
def test_development_answers_no_site_whose_name_leads_here(development_server: Server, host: str) -> None:
    answer = ask(development_server.port, COUNT, headers={"Host": host})

    assert (answer.status, answer.body.decode()) == (403, "In development this server answers only to the name localhost.\n")


@pytest.mark.parametrize(
    "host", ["::1", "localhost:abc", "[::1", "[::1]:x", "local host", "user@localhost", "a/b", "[localhost]"]
)
def test_development_refuses_what_is_no_host(development_server: Server, host: str) -> None:
    answer = ask(development_server.port, COUNT, headers={"Host": host})

    assert (answer.status, answer.body.decode()) == (400, "The Host header is no name or address with, perhaps, a port.\n")


@pytest.mark.parametrize("path", ["/graphql", "/metrics"])
def test_two_signatures_are_refused(signed_in_server: Server, path: str) -> None:
    bearer = token(Role.ADMIN)
    connection = http.client.HTTPConnection("127.0.0.1", signed_in_server.port, timeout=30)
    connection.putrequest("POST" if path == "/graphql" else "GET", path)
    for name, value in [("Authorization", f"Bearer {bearer}")] * 2 + [
        ("Content-Type", "application/json"),
        ("Content-Length", "2"),
    ]:
        connection.putheader(name, value)
    connection.endheaders(b"{}")

    response = connection.getresponse()
    body = response.read().decode()
    connection.close()

    assert response.status == 400
    assert "Send one Authorization header" in body


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_development_answers_to_the_names_of_the_machine(development_server: Server, host: str) -> None:
    answer = ask(development_server.port, COUNT, headers={"Host": host})

    assert answer.status == 200


def test_a_server_with_sign_in_answers_to_any_name(signed_in_server: Server) -> None:
    answer = ask(signed_in_server.port, COUNT, bearer=token(Role.VIEWER), headers={"Host": "visits.example"})

    assert answer.status == 200


@pytest.mark.parametrize(("role", "shown"), [(Role.VIEWER, False), (Role.COORDINATOR, False), (Role.ADMIN, True)])
def test_the_schema_is_for_admins(signed_in_server: Server, role: Role, *, shown: bool) -> None:
    answer = ask(signed_in_server.port, INTROSPECTION, bearer=token(role))

    assert ("data" in answer.json) is shown


def test_the_schema_is_shown_in_development(development_server: Server) -> None:
    answer = ask(development_server.port, INTROSPECTION)

    assert answer.json == {"data": {"__schema": {"queryType": {"name": "Query"}}}}


def test_there_is_no_explorer_unless_it_is_set(signed_in_server: Server) -> None:
    answer = get(signed_in_server.port, "/graphql", Accept=BROWSER)

    assert (answer.status, answer.headers["Content-Type"]) == (405, "application/json; charset=utf-8")


def test_the_explorer_is_there_in_development(development_server: Server) -> None:
    answer = get(development_server.port, "/graphql", Accept=BROWSER)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_explorer_and_schema_can_be_opened_by_settings(start_server: StartServer) -> None:
    server = start_server(JWT_SECRET=SECRET, EXPLORER="true", INTROSPECTION="true")

    page = get(server.port, "/graphql", Accept=BROWSER)
    introspected = ask(server.port, INTROSPECTION, bearer=token(Role.VIEWER))

    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert introspected.json == {"data": {"__schema": {"queryType": {"name": "Query"}}}}


@pytest.mark.parametrize(
    ("role", "status", "challenge"), [(None, 401, "Bearer"), (Role.VIEWER, 403, None), (Role.COORDINATOR, 403, None)]
)
def test_metrics_are_not_for_everybody(signed_in_server: Server, role: Role | None, status: int, challenge: str | None) -> None:
    headers = {"Authorization": f"Bearer {token(role)}"} if role else {}

    answer = get(signed_in_server.port, "/metrics", **headers)

    assert (answer.status, answer.headers["WWW-Authenticate"]) == (status, challenge)
    assert b"home_visits_" not in answer.body


def test_metrics_are_exported_whatever_has_become_of_the_outbox(start_server: StartServer) -> None:
    server = start_server("--demo", JWT_SECRET=SECRET)
    inspect(server.database).execute("DROP TABLE outbox_messages")

    answer = get(server.port, "/metrics", Authorization=f"Bearer {token(Role.ADMIN)}")
    server.stop()

    assert answer.status == 200
    assert b"home_visits_executing" in answer.body
    # To PostgreSQL's driver it is the database that cannot be used.
    assert (
        "The outbox could not be counted" if databases.is_sqlite() else "The database cannot be read"
    ) in server.log.read_text()


def test_metrics_count_requests_by_name_and_outcome(signed_in_server: Server) -> None:
    for _ in range(3):
        ask(signed_in_server.port, "query Counted { homeVisits { totalCount } }", bearer=token(Role.VIEWER))
    ask(signed_in_server.port, "query Broken { homeVisit }", bearer=token(Role.VIEWER))

    answer = get(signed_in_server.port, "/metrics", Authorization=f"Bearer {token(Role.ADMIN)}")

    lines = answer.body.decode().splitlines()
    assert 'home_visits_requests_total{operation="Counted",outcome="ok",type="query"} 3.0' in lines
    assert 'home_visits_requests_total{operation="none",outcome="GRAPHQL_VALIDATION_FAILED",type="none"} 1.0' in lines
    assert {line.partition(" ")[0] for line in lines} >= {
        'home_visits_request_seconds_bucket{le="0.25",type="query"}',
        'home_visits_loop_lag_seconds_bucket{le="0.25"}',
        "home_visits_fast_path_faults_total",
        "home_visits_executing",
        "home_visits_events_sent_total",
        "home_visits_subscribers_stalled_total",
        "home_visits_waiting",
        "home_visits_documents",
        "home_visits_documents_bytes",
        "home_visits_shapes",
        "home_visits_statements",
        "home_visits_transactions",
        "home_visits_outbox_waiting",
        "home_visits_outbox_oldest_seconds",
        "home_visits_outbox_given_up",
    }


def test_metrics_are_open_in_development(development_server: Server) -> None:
    answer = get(development_server.port, "/metrics")

    assert (answer.status, b"home_visits_executing 0.0" in answer.body) == (200, True)


def test_only_listed_sites_may_send_requests_from_a_browser(start_server: StartServer) -> None:
    server = start_server(JWT_SECRET=SECRET, ALLOWED_ORIGINS=f"{VISITS_SITE}, http://localhost:5173")

    answers = {
        site: ask(server.port, COUNT, bearer=token(Role.VIEWER), headers={"Origin": site}) for site in (VISITS_SITE, OTHER_SITE)
    }
    preflights = {site: call(server.port, "OPTIONS", "/graphql", headers={"Origin": site}) for site in answers}

    name = "Access-Control-Allow-Origin"
    assert {site: answer.headers[name] for site, answer in answers.items()} == {VISITS_SITE: VISITS_SITE, OTHER_SITE: None}
    assert {site: answer.headers[name] for site, answer in preflights.items()} == {VISITS_SITE: VISITS_SITE, OTHER_SITE: None}


def test_a_slash_at_the_end_of_the_address_changes_nothing(running_server: Server) -> None:
    body, headers = json.dumps({"query": COUNT}).encode(), {"Content-Type": "application/json"}

    with_slash = call(running_server.port, "POST", "/graphql/", body, headers)
    page = call(running_server.port, "GET", "/graphql/", b"", {"Accept": "text/html"})
    beyond = call(running_server.port, "POST", "/graphql//", body, headers)

    assert with_slash.json == ask(running_server.port, COUNT).json
    assert (page.status, page.headers["Location"]) == (308, "../graphql")
    assert beyond.status == 404


def test_only_trusted_documents_run_where_they_are_set(start_server: StartServer, tmp_path: Path) -> None:
    document_id = hashlib.sha256(COUNT.encode()).hexdigest()
    (tmp_path / "documents.json").write_text(json.dumps({document_id: COUNT}))
    server = start_server(JWT_SECRET=SECRET, TRUSTED_DOCUMENTS="documents.json")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(Role.VIEWER)}"}

    by_text = ask(server.port, COUNT, bearer=token(Role.VIEWER))
    by_id = call(server.port, "POST", "/graphql", json.dumps({"documentId": document_id}).encode(), headers)
    other = ask(server.port, "{ homeVisits { nodes { id } } }", bearer=token(Role.VIEWER))

    counted = {"data": {"homeVisits": {"totalCount": 0}}}
    assert (by_text.json, by_id.json) == (counted, counted)
    assert (other.status, other.json["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")


def test_limits_are_settings(start_server: StartServer) -> None:
    server = start_server("--dev", LIMITS__DEPTH="1", HTTP__BODY="200")

    deep = ask(server.port, COUNT)
    long = ask(server.port, "{ viewer { subject } }" + " " * 200)

    assert deep.json["errors"][0]["extensions"].items() >= {"limit": "depth", "allowed": 1, "asked": 2}.items()
    assert (long.status, long.json["errors"][0]["message"]) == (413, "The body is larger than 200 bytes. Split the request.")


# PostgreSQL locks what is written one by one: a write that waits for a lock has begun.
LATE = {
    "sqlite": "Nothing was changed. Ask for less, or again later.",
    "postgresql": (
        "Perhaps done: bookHomeVisit. The same idempotency key tells; without one, look for the visit before you book again."
    ),
}


async def test_what_waits_to_be_written_when_its_time_is_over_is_done_only_where_it_has_begun(start_server: StartServer) -> None:
    server = start_server("--dev", "--demo", HTTP__EXECUTION_SECONDS="1.5")
    document = """mutation { bookHomeVisit(input: {
        careEnquiry: "67251cbede305d547963780e", dateTime: "2030-11-03T11:00:00Z", host: MANAGER, visitType: VIRTUAL
    }) { ... on BookHomeVisitSuccess { homeVisit { id } } } }"""
    before = booked_in(server)

    with inspect(server.database).locked():
        late = await asyncio.to_thread(ask, server.port, document)
    in_time = await asyncio.to_thread(ask, server.port, document)

    [error] = late.json["errors"]
    booked = in_time.json["data"]["bookHomeVisit"]["homeVisit"]["id"]
    assert (late.status, error["extensions"]["code"]) == (504, "TIMEOUT")
    assert error["message"] == f"Given up after 1.5 seconds. {LATE[databases.KIND]}"
    assert soon(lambda: len(booked_in(server) - before) == (1 if databases.is_sqlite() else 2))
    assert booked in booked_in(server) - before


def booked_in(server: Server) -> set[str]:
    return {visit["id"] for visit in inspect(server.database).records("home_visits")}
