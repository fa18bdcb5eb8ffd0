"""A connection that is cut while it saves: what may be saved is in doubt, what cannot be is not, and the same key tells."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from storage.caller import Role
from tests.app.calling import SECRET, Answer, ask, token
from tests.conftest import Server, StartServer, fill
from tests.inspection import PostgreSQLInspection
from tests.storage.postgresql.cutting import Wire, wired

BOOK = """mutation { it: bookHomeVisit(input: {
  careEnquiry: "67251cbede305d547963780e", dateTime: "2030-11-03T11:00:00Z", host: MANAGER, visitType: IN_PERSON
  notes: "Once.", idempotencyKey: "k"
}) { ... on BookHomeVisitSuccess { homeVisit { id } } } }"""
BOOKED = "SELECT count(*) FROM home_visits WHERE notes = 'Once.'"
ONE_PENDING = "{ homeVisits(filter: { status: [PENDING] }, first: 1) { nodes { id version } } }"
CANCEL = 'mutation { it: cancelHomeVisit(input: { id: "%s", expectedVersion: %d }) { __typename } }'
# What background tasks commit is left alone.
WRITE = b"INSERT INTO home_visit_events"
FAILED = "The database failed while it saved this, which may have been saved all the same."
KEY = f"{FAILED} The same idempotency key tells; without one, look for the visit before you book again."
VERSION = f"{FAILED} The version of the visit tells: read it before you send this again."


class Wired(NamedTuple):
    server: Server
    wire: Wire
    rows: PostgreSQLInspection


@pytest.fixture
async def over_a_wire(url: str, start_server: StartServer) -> AsyncIterator[Wired]:
    fill(url)
    async with wired(url) as (through, wire):
        server = await asyncio.to_thread(start_server, JWT_SECRET=SECRET, DATABASE_URL=through)
        yield Wired(server, wire, PostgreSQLInspection(url))
        await asyncio.to_thread(server.stop)


async def send(server: Server, document: str) -> Answer:
    return await asyncio.to_thread(ask, server.port, document, bearer=token(Role.COORDINATOR))


def error_of(answer: Answer) -> tuple[str, str, dict[str, Any]]:
    [error] = answer.json["errors"]
    extensions = dict(error["extensions"])
    del extensions["requestId"]
    return error["message"], extensions.pop("code"), extensions


@pytest.mark.parametrize(("is_heard", "saved"), [(False, 0), (True, 1)], ids=["not heard", "heard"])
async def test_a_booking_whose_commit_was_cut_is_in_doubt_and_its_key_tells(
    over_a_wire: Wired, is_heard: bool, saved: int
) -> None:
    server, wire, rows = over_a_wire
    wire.text, wire.after, wire.is_heard = b"COMMIT", WRITE, is_heard

    answer = await send(server, BOOK)
    after_the_cut = rows.query(BOOKED)
    again = [(await send(server, BOOK)).json["data"]["it"]["homeVisit"]["id"] for _ in range(2)]

    assert error_of(answer) == (KEY, "IN_DOUBT", {})
    assert (wire.cuts, after_the_cut) == (1, [(saved,)])
    assert again[0] == again[1]
    assert rows.query(BOOKED) == [(1,)]
    assert "The database cannot be written. connection was closed in the middle of operation" in server.log.read_text()


@pytest.mark.parametrize(("is_heard", "saved"), [(False, 0), (True, 1)], ids=["not heard", "heard"])
async def test_a_cancellation_whose_commit_was_cut_is_in_doubt_and_the_version_tells(
    over_a_wire: Wired, is_heard: bool, saved: int
) -> None:
    server, wire, rows = over_a_wire
    [visit] = (await send(server, ONE_PENDING)).json["data"]["homeVisits"]["nodes"]
    cancelled = f"SELECT count(*) FROM home_visits WHERE id = '{visit['id']}' AND cancelled IS NOT NULL"  # noqa: S608 - ours
    wire.text, wire.after, wire.is_heard = b"COMMIT", WRITE, is_heard

    answer = await send(server, CANCEL % (visit["id"], visit["version"]))
    after_the_cut = rows.query(cancelled)
    again = (await send(server, CANCEL % (visit["id"], visit["version"]))).json["data"]["it"]["__typename"]

    assert error_of(answer) == (VERSION, "IN_DOUBT", {})
    assert (wire.cuts, after_the_cut) == (1, [(saved,)])
    assert again == ("HomeVisitNotPendingError" if saved else "CancelHomeVisitSuccess")


async def test_what_is_cut_before_it_commits_is_not_saved_and_may_be_sent_again(over_a_wire: Wired) -> None:
    server, wire, rows = over_a_wire
    wire.text = WRITE

    answer = await send(server, BOOK)
    after_the_cut = rows.query(BOOKED)
    again = await send(server, BOOK)

    message, code, _ = error_of(answer)
    assert (code, "try again later" in message) == ("STORAGE_UNAVAILABLE", True)
    assert (wire.cuts, after_the_cut, rows.query(BOOKED)) == (1, [(0,)], [(1,)])
    assert "errors" not in again.json
