"""Each example client is generated, type-checked strictly and put through the same day at a small visits screen."""

import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from storage.demo import CARE_ENQUIRY
from tests.clients.bench import PutOnBench
from tests.clients.examples import APOLLO, ARIADNE, CODEGEN, GQL, RELAY, URQL, Example
from tests.conftest import Server, StartServer

pytestmark = pytest.mark.slow

BOOK = """mutation ($careEnquiry: ID!, $dateTime: DateTime!) {
  bookHomeVisit(input: { careEnquiry: $careEnquiry, dateTime: $dateTime, host: NURSE, visitType: VIRTUAL }) {
    ... on BookHomeVisitSuccess { homeVisit { location { id } careEnquiry { id careSeeker { firstName } } } }
  }
}"""
FROM_MAY = """{
  homeVisits(filter: { startDate: "2031-05-01" }, orderBy: [{ field: DATE_TIME }]) {
    nodes { dateTime status version cancelled }
  }
}"""

USED = "This idempotency key was used for another booking. Use a new key for each booking, the same key only to retry it."
CHANGED = "Somebody else has changed this home visit. Look at it as it is now, then try again with its version."
CLOSED = "Only a pending home visit can be changed."
TOO_LARGE = "Variable '$first' has invalid value: Int cannot represent non 32-bit signed integer value: 2147483648."
UNKNOWN_ENQUIRY = "No care enquiry with this ID exists, or you may not see it. Check the ID."
UNKNOWN_VISIT = "No home visit with this ID exists, or you may not see it. Check the ID."


async def ask(url: str, query: str, **variables: Any) -> Any:
    """Return the data that the live server answers, asked without any of the clients."""
    async with ClientSession() as session, session.post(url, json={"query": query, "variables": variables}) as response:
        answer = await response.json(content_type=None)
    assert "errors" not in answer, answer
    return answer["data"]


async def book_the_first_four_days_of_may(url: str) -> Any:
    """Book four visits of one care enquiry, and return the last."""
    for day in (1, 2, 3, 4):
        booked = await ask(url, BOOK, careEnquiry=CARE_ENQUIRY, dateTime=f"2031-05-0{day}T09:00:00Z")
    return booked["bookHomeVisit"]["homeVisit"]


def rows(seeker: str, *days: int) -> list[str]:
    return [f"2031-05-0{day}T09:00:00Z {seeker} PENDING UPDATE CANCEL COMPLETE" for day in days]


def pages(seeker: str) -> dict[str, list[str]]:
    """Return what the list shows while its pages are turned."""
    return {
        "opened at the end": rows(seeker, 3, 4),
        "paged back": rows(seeker, 1, 2, 3, 4),
        "opened": rows(seeker, 1, 2),
        "paged on": rows(seeker, 1, 2, 3, 4),
    }


def words(seeker: str, cancelled: str) -> dict[str, str]:
    """Return what the user of the screen is told, the visit having been cancelled at that instant."""
    beside, booked, moved = rows(seeker, 4, 7, 8)
    closed = f"2031-05-08T09:00:00Z {seeker} CANCELLED"
    day = datetime.fromisoformat(cancelled)
    return {
        "booked": booked,
        "booked again": booked,
        "another visit with the same key": USED,
        "booked for nobody": f"input.careEnquiry: {UNKNOWN_ENQUIRY}",
        "moved": moved,
        "moved by one who had not seen that": f"{CHANGED} Now: {moved}",
        "cancelled": closed,
        "cancelled again": f"{CLOSED} This one was cancelled on {day.day} {day:%B %Y}. Now: {closed}",
        "cancelled nothing": UNKNOWN_VISIT,
        "booked beside another": f"2031-05-04T09:30:00Z {seeker} PENDING UPDATE CANCEL COMPLETE Beside: {beside}",
        "asked for too many": "`first` must be from 0 to 100: it is 101. Page through longer lists with cursors.",
        "asked for more than an Int holds": TOO_LARGE,
    }


def form(seeker: str) -> dict[str, list[str]]:
    """Return what the booking form offers, and warns of."""
    return {
        "for": [f"{seeker} Young at Willow Court (demo), Dilys Young"],
        "at": ["Willow Court (demo)"],
        "assigned to": ["Grace Murphy", "Ada Okafor"],
        "beside": rows(seeker, 4),
        "beside, at another time": [],
    }


DASHBOARD = {
    "by day": ["2031-05-01 1", "2031-05-02 1", "2031-05-03 1", "2031-05-04 2", "2031-05-08 1"],
    "by status": ["PENDING 5", "CANCELLED 1"],
    "by day and status": [
        "2031-05-01 PENDING 1",
        "2031-05-02 PENDING 1",
        "2031-05-03 PENDING 1",
        "2031-05-04 PENDING 2",
        "2031-05-08 CANCELLED 1",
    ],
}


def kept(seeker: str) -> dict[str, dict[str, list[str]]]:
    """Return what the lists of a client with a cache show after each change, in their order, without being asked for again."""
    one, two, three, four, seven = rows(seeker, 1, 2, 3, 4, 7)
    [eight] = rows(seeker, 8)
    moments = ("2031-05-02T10:00:00", "2031-05-04T09:30:00")
    between, late = (f"{moment}Z {seeker} PENDING UPDATE CANCEL COMPLETE" for moment in moments)
    cancelled = [f"2031-05-08T09:00:00Z {seeker} CANCELLED"]

    def lists(listed: list[str], garden: list[str], cancelled: list[str]) -> dict[str, list[str]]:
        return {"list": listed, "garden": garden, "cancelled": cancelled, "elsewhere": []}

    return {
        "booked": lists([one, two, three, four, seven], [seven], []),
        "moved": lists([one, two, three, four, eight], [eight], []),
        "cancelled": lists([one, two, three, four], [], cancelled),
        "moved between": lists([one, two, between, three, four], [between], cancelled),
        "moved back": lists([one, two, three, four, late], [late], cancelled),
    }


@pytest.mark.parametrize(
    ("example", "has_cache"),
    [
        pytest.param(CODEGEN, False, id="codegen"),
        pytest.param(RELAY, True, id="relay"),
        pytest.param(APOLLO, True, id="apollo"),
        pytest.param(URQL, True, id="urql"),
        pytest.param(ARIADNE, False, id="ariadne"),
        pytest.param(GQL, False, id="gql"),
    ],
)
async def test_a_client_turns_pages_books_moves_cancels_and_tells_every_refusal(
    example: Example, has_cache: bool, running_server: Server, put_on_bench: PutOnBench
) -> None:
    bench = await put_on_bench(example.folder)
    visit = await book_the_first_four_days_of_may(running_server.url)
    seeker = visit["careEnquiry"]["careSeeker"]["firstName"]

    await bench.succeed(example.generate)
    await bench.succeed(example.check)
    ran = await bench.run(example.run, HOME_VISITS_URL=running_server.url, LOCATION=visit["location"]["id"])
    visits = (await ask(running_server.url, FROM_MAY))["homeVisits"]["nodes"]

    assert (ran.err, ran.code) == ("", 0)
    seen = json.loads(ran.out)
    assert seen["list"] == pages(seeker)
    assert seen["form"] == form(seeker)
    assert seen["dashboard"] == DASHBOARD
    assert seen["messages"] == words(seeker, visits[-1]["cancelled"])
    assert seen["kept"] == (kept(seeker) if has_cache else None)
    assert [(visit["dateTime"], visit["status"], visit["version"]) for visit in visits] == [
        ("2031-05-01T09:00:00Z", "PENDING", 1),
        ("2031-05-02T09:00:00Z", "PENDING", 1),
        ("2031-05-03T09:00:00Z", "PENDING", 1),
        ("2031-05-04T09:00:00Z", "PENDING", 1),
        ("2031-05-04T09:30:00Z", "PENDING", 3 if has_cache else 1),
        ("2031-05-08T09:00:00Z", "CANCELLED", 3),
    ]


async def test_types_read_from_a_server_in_development_are_those_of_the_schema_file(
    running_server: Server, put_on_bench: PutOnBench
) -> None:
    bench = await put_on_bench(CODEGEN.folder)
    generated = bench.folder / "generated"
    await bench.succeed(CODEGEN.generate)
    from_file = {file.name: file.read_text() for file in generated.iterdir()}
    shutil.rmtree(generated)

    bench.replace("tests/clients/codegen/codegen.ts", "{.,../../../schema}/schema.graphql", running_server.url)
    await bench.succeed(CODEGEN.generate)

    assert {file.name: file.read_text() for file in generated.iterdir()} == from_file
    assert sorted(from_file) == ["gql.ts", "graphql.ts", "index.ts"]


@pytest.mark.parametrize(
    ("client", "unstored", "stored"),
    [
        pytest.param("apollo", ["POST hash", "POST text", "POST text"], ["POST hash", "POST hash"], id="apollo"),
        pytest.param("urql", ["POST hash", "POST text", "POST text"], ["POST hash", "POST hash"], id="urql"),
        pytest.param("urql-by-get", None, ["GET hash", "GET hash"], id="urql-by-get"),
    ],
)
async def test_a_client_that_asks_by_hash_gets_its_answers(
    client: str,
    unstored: list[str] | None,
    stored: list[str],
    start_server: StartServer,
    put_on_bench: PutOnBench,
    tmp_path: Path,
) -> None:
    bench = await put_on_bench("persisted")
    document = "{\n  __typename\n}"
    (tmp_path / "documents.json").write_text(json.dumps({hashlib.sha256(document.encode()).hexdigest(): document}))
    storing = start_server("--dev", TRUSTED_DOCUMENTS="documents.json")
    answers = [{"__typename": "Query"}] * 2

    ran = await bench.run(f"node ask.mjs {client}", HOME_VISITS_URL=storing.url)
    assert (ran.err, json.loads(ran.out)) == ("", {"answers": answers, "requests": stored})

    if unstored is not None:
        ran = await bench.run(f"node ask.mjs {client}", HOME_VISITS_URL=start_server("--dev").url)
        assert (ran.err, json.loads(ran.out)) == ("", {"answers": answers, "requests": unstored})
