"""All that a server does, behind PgBouncer in transaction mode, where a statement that was prepared may be gone or another's."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.caller import Role
from storage.errors import DatabaseUnusable
from storage.postgresql.database import PostgreSQLDatabase
from tests.app.calling import SECRET, ask, token
from tests.conftest import ROOT, RunCommand, Server, StartServer
from tests.inspection import PostgreSQLInspection
from tests.storage.outbox.post_office import PostOffice, until
from tests.storage.postgresql.bouncer import bouncing

SAMPLES = ROOT / "tests/storage/carehq/samples"
KINDS = ("users", "locations", "care_enquiries", "service_user_contacts", "home_visits")
ENQUIRY = "6724fbca4f73a2cebf638579"
KEYS, CALLERS, RACES = 12, 5, 6
BOOK = """mutation Book($enquiry: ID!, $key: String, $notes: String) {
  bookHomeVisit(input: {
    careEnquiry: $enquiry, dateTime: "2030-11-03T11:00:00Z", host: MANAGER, visitType: IN_PERSON
    notes: $notes, idempotencyKey: $key
  }) { ... on BookHomeVisitSuccess { homeVisit { id version location { name } careEnquiry { careSeeker { firstName } } } } }
}"""
ENDS = {
    "cancel": "mutation ($id: ID!) { it: cancelHomeVisit(input: { id: $id, expectedVersion: 1 }) { __typename } }",
    "complete": "mutation ($id: ID!) { it: completeHomeVisit(input: { id: $id, expectedVersion: 1 }) { __typename } }",
    "update": 'mutation ($id: ID!) { it: updateHomeVisit(input: { id: $id, notes: "!", expectedVersion: 1 }) { __typename } }',
}
PAGE = """query Page($filter: HomeVisitFilter, $order: [HomeVisitOrder!], $after: String, $first: Int) {
  homeVisits(filter: $filter, orderBy: $order, after: $after, first: $first) {
    totalCount pageInfo { endCursor hasNextPage }
    nodes { id location { name homeVisits(first: 2) { nodes { id } } } assignedTo { id } }
  }
}"""
FILTERS: list[dict[str, Any]] = [
    {},
    {"keyword": "garden"},
    {"keyword": "ga"},
    {"keyword": "nothing like it"},
    {"status": ["PENDING"]},
    {"careEnquiry": [ENQUIRY]},
    {"startDate": "2030-11-03", "timeZone": "Europe/London"},
]


@pytest.fixture
def bounced(url: str) -> Iterator[str]:
    PostgreSQLDatabase(url).migrate()
    with bouncing(url) as through:
        yield through


async def data_of(server: Server, document: str, variables: dict[str, Any]) -> dict[str, Any]:
    answer = await asyncio.to_thread(ask, server.port, document, variables, bearer=token(Role.COORDINATOR))
    assert "errors" not in answer.json, answer.json
    return dict(answer.json["data"])


async def walk(server: Server, filter: dict[str, Any], order: str) -> list[str]:
    """Return the IDs of all visits that a filter finds, three on a page."""
    ids: list[str] = []
    variables: dict[str, Any] = {"filter": filter, "order": [{"field": order}], "first": 3}
    while True:
        page = (await data_of(server, PAGE, variables))["homeVisits"]
        ids += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            assert len(ids) == page["totalCount"]
            return ids
        variables["after"] = page["pageInfo"]["endCursor"]


async def book(server: Server, key: str) -> str:
    booked = await data_of(server, BOOK, {"enquiry": ENQUIRY, "key": key, "notes": f"Would like to see the garden, {key}."})
    return str(booked["bookHomeVisit"]["homeVisit"]["id"])


async def race(server: Server, id: str) -> list[str]:
    ended = await asyncio.gather(*(data_of(server, document, {"id": id}) for document in ENDS.values()))
    return [outcome["it"]["__typename"] for outcome in ended]


def test_a_server_that_knows_nothing_of_pgbouncer_says_what_to_set(bounced: str) -> None:
    advice = r"unsupported startup parameter: .+\. Where that is PgBouncer, set HOME_VISITS_PGBOUNCER=on\."
    with pytest.raises(DatabaseUnusable, match=advice):
        PostgreSQLDatabase(bounced).migrate()


@pytest.mark.slow
async def test_nothing_meets_a_statement_that_is_not_there(
    bounced: str, url: str, run_command: RunCommand, start_server: StartServer, post_office: PostOffice, tmp_path: Path
) -> None:
    for kind in KINDS:
        shutil.copy(SAMPLES / f"{kind}.json", tmp_path)
    settings = {"DATABASE_URL": bounced, "PGBOUNCER": "on", "JWT_SECRET": SECRET}
    mail = {"SMTP_URL": f"smtp://127.0.0.1:{post_office.port}?tls=off", "MAIL_FROM": "visits@homes.example"}

    imported = await asyncio.to_thread(run_command, "import", *(f"{kind}.json" for kind in KINDS), **settings)
    server = await asyncio.to_thread(lambda: start_server("--workers", "2", **settings, **mail))
    bookings = [book(server, f"key {number % KEYS}") for number in range(KEYS * CALLERS)]
    pages = [walk(server, filter, order) for filter in FILTERS for order in ("ID", "DATE_TIME")]
    booked, walked = await asyncio.gather(asyncio.gather(*bookings), asyncio.gather(*pages))
    visits = sorted(set(booked))
    raced = await asyncio.gather(*(race(server, id) for id in visits[:RACES]))
    # Those that ended before their turn are not confirmed.
    await until(lambda: {"QUEUED"}.isdisjoint(status for (status,) in inspect_at(url)))
    found = await walk(server, {"keyword": "see the garden"}, "ID")
    exported = await asyncio.to_thread(run_command, "export", **settings)
    listed = await asyncio.to_thread(run_command, "outbox", **settings)
    stopped = await asyncio.to_thread(server.stop)

    assert (imported.code, "home_visits: 5 new" in imported.err) == (0, True), imported.err
    assert Counter(booked) == dict.fromkeys(visits, CALLERS)
    assert len(visits) == KEYS
    assert all(len(ids) == len(set(ids)) for ids in walked)
    assert [sum(name.endswith("Success") for name in outcomes) for outcomes in raced] == [1] * RACES
    overwritten = {id for id, (*_, update) in zip(visits, raced, strict=False) if update.endswith("Success")}
    assert found == [id for id in visits if id not in overwritten]
    assert set(Counter(post_office.message_ids).values()) == {1}
    assert len(json.loads(exported.out)) == 5 + KEYS
    assert (exported.code, listed.code, stopped) == (0, 0, 0)
    assert problems(server.log) == []


def inspect_at(url: str) -> list[tuple[Any, ...]]:
    return PostgreSQLInspection(url).query("SELECT status FROM outbox_messages")


def problems(log: Path) -> list[str]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in map(str, lines) if "error" in line.lower() or "prepared" in line]
