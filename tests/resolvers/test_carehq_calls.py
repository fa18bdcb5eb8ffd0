"""The six calls for visits: documents, forms of values, and refusals, as CareHQ's clients send and read them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schema.transport.http.connections import HTTPLimits
from storage.database import Database
from tests import databases, world
from tests.databases import path_of
from tests.inspection import inspect
from tests.resolvers.carehq import FORM, VISITS, Answer, Gateway, Key, gateway_over, sign
from tests.world import ANNA, BEECHES, BEN, CANCELLED, COMPLETED, DAUGHTER, FOR_BEECHES, FOR_WILLOWS, PENDING, UNKNOWN, WILLOWS

ONE = f"{VISITS}/{PENDING}"
ATTRIBUTES = [
    "_id",
    "anonymized",
    "assigned_to",
    "cancelled",
    "care_enquiry",
    "completed",
    "created",
    "date_time",
    "host",
    "location",
    "modified",
    "notes",
    "service_user_contact",
    "visit_type",
]
BOOKING = {
    "care_enquiry": FOR_WILLOWS,
    "date_time": "2030-11-03 11:00:00",
    "host": "deputy_manager",
    "visit_type": "virtual",
}
HOSTS = "manager, deputy_manager, administrator, receptionist, senior_carer, carer, customer_relations_adviser, nurse or other"
NOT_A_TIME = "Not a valid date/time: use YYYY-MM-DD HH:MM:SS."
UNCHANGEABLE = ["This cannot be changed."]
INVALID = "One or more arguments are not valid."


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with gateway_over(database) as gateway:
        yield gateway


@pytest.fixture
async def key(gateway: Gateway) -> Key:
    return await gateway.key()


async def book(gateway: Gateway, key: Key, **changes: str) -> Answer:
    return await gateway.call(key, "PUT", VISITS, (BOOKING | changes).items())


def stored(database: Database, table: str) -> list[dict[str, Any]]:
    return inspect(path_of(database)).records(table)


async def test_a_booking_is_answered_as_a_document_of_the_source(gateway: Gateway, key: Key) -> None:
    answer = await book(gateway, key, notes="Two steps & a ramp.", service_user_contact=DAUGHTER)

    document = answer.json
    assert (answer.status, list(document)) == (200, ATTRIBUTES)
    assert {name: document[name] for name in ATTRIBUTES if name not in ("_id", "created", "modified")} == {
        **BOOKING,
        "anonymized": None,
        "assigned_to": ANNA,
        "cancelled": None,
        "completed": None,
        "location": WILLOWS,
        "notes": "Two steps & a ramp.",
        "service_user_contact": DAUGHTER,
    }
    assert (len(document["created"]), document["created"]) == (len("2024-11-03 11:00:00"), document["modified"])
    event = stored(gateway.database, "home_visit_events")[-1]
    assert (event["type"], event["actor"], event["home_visit"]) == ("BOOKED", "everybody", document["_id"])
    assert [message["home_visit"] for message in stored(gateway.database, "outbox_messages")] == [document["_id"]]


async def test_a_visit_is_read_as_the_same_document(gateway: Gateway, key: Key) -> None:
    booked = await book(gateway, key)

    read = await gateway.call(key, "GET", f"{VISITS}/{booked.json['_id']}")
    part = await gateway.call(key, "GET", f"{VISITS}/{booked.json['_id']}", [("attributes", "host")])

    assert (read.status, read.json) == (200, booked.json)
    assert part.json == {"_id": booked.json["_id"], "host": "deputy_manager"}


async def test_instants_are_cut_to_seconds(gateway: Gateway, key: Key) -> None:
    document = (await gateway.call(key, "GET", f"{VISITS}/{CANCELLED}")).json

    assert (document["date_time"], document["cancelled"]) == ("2024-11-04 04:30:00", "2024-11-03 09:29:59")
    assert (document["completed"], document["visit_type"], document["host"]) == (None, "virtual", "deputy_manager")


@pytest.mark.parametrize(
    "sent",
    [
        "2030-11-03 11:00:00",
        "2030-11-03 11:00:00.123456",
        "2030-11-03 11:00:00+00:00",
        "2030-11-03 11:00:00.999999+00:00",
        "2030-11-03T12:00:00+01:00",
        "2030-11-03T11:00:00Z",
        " 2030-11-03 11:00:00 ",
    ],
)
async def test_a_time_is_taken_as_any_language_writes_it(gateway: Gateway, key: Key, sent: str) -> None:
    assert (await book(gateway, key, date_time=sent)).json["date_time"] == "2030-11-03 11:00:00"


@pytest.mark.parametrize(
    ("sent", "messages"),
    [("True", 0), ("true", 0), ("1", 0), ("yes", 0), ("False", 1), ("false", 1), ("0", 1), ("", 1), ("no", 1), ("unset", 1)],
)
async def test_a_flag_is_taken_as_any_language_writes_it(gateway: Gateway, key: Key, sent: str, messages: int) -> None:
    answer = await book(gateway, key, suppress_email=sent)

    assert (answer.status, len(stored(gateway.database, "outbox_messages"))) == (200, messages)


@pytest.mark.parametrize("notes", ["é & b=c + d%20\nline", "", "+ % = &amp; ;", "a" * 10_000, "🏡\r\n\t"])
async def test_notes_arrive_unharmed(gateway: Gateway, key: Key, notes: str) -> None:
    assert (await book(gateway, key, notes=notes)).json["notes"] == notes


async def test_all_that_is_wrong_with_a_booking_is_told_at_once_and_nothing_is_kept(gateway: Gateway, key: Key) -> None:
    sent = [
        ("date_time", "tomorrow"),
        ("host", "butler"),
        ("notes", "a"),
        ("notes", "b"),
        ("location", WILLOWS),
        ("suppress", "maybe"),
    ]
    before = inspect(path_of(gateway.database)).everything()

    answer = await gateway.call(key, "PUT", VISITS, sent)

    assert (answer.status, answer.json) == (
        400,
        {
            "hint": INVALID,
            "arg_errors": {
                "care_enquiry": ["This argument is required."],
                "date_time": [NOT_A_TIME],
                "host": [f"Not a valid choice: use {HOSTS}."],
                "visit_type": ["This argument is required."],
                "notes": ["Give one value: there are several."],
                "suppress": ["Not a valid choice: use yes, no or unset."],
                "location": ["There is no such argument."],
            },
        },
    )
    assert inspect(path_of(gateway.database)).everything() == before


async def test_what_the_rules_refuse_is_told_by_the_names_of_arguments(gateway: Gateway, key: Key) -> None:
    answer = await book(gateway, key, care_enquiry=UNKNOWN, assigned_to="\0", notes="a" * 10_001, date_time="1999-01-01 00:00:00")

    assert (answer.status, list(answer.json["arg_errors"])) == (400, ["care_enquiry", "date_time", "assigned_to", "notes"])
    assert answer.json["arg_errors"]["notes"] == ["Notes may have at most 10,000 characters: these have 10,001."]


async def test_a_key_books_once_for_one_idempotency_key(gateway: Gateway, key: Key) -> None:
    first, again = [await book(gateway, key, idempotency_key="form-1") for _ in range(2)]
    other = await book(gateway, key, idempotency_key="form-1", host="nurse")

    assert (first.status, again.json) == (200, first.json)
    assert (other.status, list(other.json["arg_errors"])) == (400, ["idempotency_key"])
    assert len(stored(gateway.database, "home_visits")) == world.VISITS + 1


async def test_an_update_changes_what_is_sent_and_an_empty_value_is_null(gateway: Gateway, key: Key) -> None:
    moved = await gateway.call(
        key, "PATCH", ONE, [("date_time", "2030-11-03 12:00:00"), ("host", "nurse"), ("notes", ""), ("assigned_to", BEN)]
    )
    returned = await gateway.call(key, "PATCH", ONE, [("assigned_to", "")])

    document = moved.json
    assert [document[name] for name in ("date_time", "host", "notes", "assigned_to")] == ["2030-11-03 12:00:00", "nurse", "", BEN]
    # Back to the one of the enquiry.
    assert returned.json == document | {"assigned_to": ANNA, "modified": returned.json["modified"]}


async def test_an_update_of_nothing_changes_nothing(gateway: Gateway, key: Key) -> None:
    before = await gateway.call(key, "GET", ONE)
    events = stored(gateway.database, "home_visit_events")

    # JavaScript's client sends the type of a form that is not there.
    headers = sign(key, "PATCH", ONE) | {"Content-Type": FORM}
    answers = [await gateway.call(key, "PATCH", ONE), await gateway.send_raw("PATCH", ONE, b"", headers)]

    assert [answer.json for answer in answers] == [before.json] * 2
    assert stored(gateway.database, "home_visit_events") == events


async def test_an_update_cannot_change_the_rest(gateway: Gateway, key: Key) -> None:
    sent = [
        ("visit_type", "virtual"),
        ("care_enquiry", FOR_BEECHES),
        ("location", BEECHES),
        ("service_user_contact", ""),
        ("x", ""),
    ]

    answer = await gateway.call(key, "PATCH", ONE, [*sent, ("date_time", ""), ("host", "")])

    assert (answer.status, answer.json["arg_errors"]) == (
        400,
        {name: UNCHANGEABLE for name, _ in sent[:4]} | {"x": ["There is no such argument."]},
    )


async def test_a_visit_keeps_a_time_and_a_host(gateway: Gateway, key: Key) -> None:
    answer = await gateway.call(key, "PATCH", ONE, [("date_time", ""), ("host", "")])

    assert (answer.status, answer.json["arg_errors"]) == (
        400,
        {
            "date_time": ["A visit needs a time. Leave the field out to keep the time it has."],
            "host": ["A visit needs a host. Leave the field out to keep the host it has."],
        },
    )


@pytest.mark.parametrize(
    ("move", "instant", "type"), [("cancel", "cancelled", "CANCELLED"), ("complete", "completed", "COMPLETED")]
)
async def test_a_visit_is_ended_once(gateway: Gateway, key: Key, move: str, instant: str, type: str) -> None:
    ended, again = [await gateway.call(key, "PATCH", f"{ONE}/{move}") for _ in range(2)]

    assert (ended.status, ended.json[instant]) == (200, ended.json["modified"])
    assert (again.status, again.json["arg_errors"]) == (400, None)
    assert again.json["hint"].startswith("Only a pending home visit can be changed. This one was c")
    assert [event["type"] for event in stored(gateway.database, "home_visit_events")] == [type]


@pytest.mark.parametrize("method_and_tail", ["GET", "PATCH", "PATCH /cancel", "PATCH /complete"])
@pytest.mark.parametrize("id", [UNKNOWN, "nothing", "%00", "6724FBD6", "%ff"])
async def test_what_is_no_visit_in_sight_is_not_found(gateway: Gateway, key: Key, method_and_tail: str, id: str) -> None:
    method, _, tail = method_and_tail.partition(" ")

    answer = await gateway.call(key, method, f"{VISITS}/{id}{tail}")

    assert (answer.status, answer.json["hint"]) == (
        404,
        "No home visit with this ID exists, or you may not see it. Check the ID.",
    )


async def test_a_key_limited_to_locations_reaches_no_other(gateway: Gateway) -> None:
    there = await gateway.key(world.limited_to(BEECHES))
    before = inspect(path_of(gateway.database)).records("home_visits")

    answers = [await gateway.call(there, *call) for call in (("GET", ONE), ("PATCH", ONE), ("PATCH", f"{ONE}/cancel"))]
    booked = await book(gateway, there)
    listed = await gateway.call(there, "GET", VISITS, [("per_page", "100"), ("attributes", "location")])

    assert [answer.status for answer in answers] == [404, 404, 404]
    assert (booked.status, list(booked.json["arg_errors"])) == (400, ["care_enquiry"])
    assert {item["location"] for item in listed.json["items"]} == {BEECHES}
    assert inspect(path_of(gateway.database)).records("home_visits") == before


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/v1/visits", 404, None),
        ("GET", "/v1/", 404, None),
        ("GET", f"{ONE}/cancel/now", 404, None),
        ("PATCH", f"{ONE}/reopen", 404, None),
        ("GET", f"/v1/users/{ANNA}/locations", 404, None),
        ("POST", VISITS, 405, "GET, PUT"),
        ("DELETE", ONE, 405, "GET, PATCH"),
        ("OPTIONS", ONE, 405, "GET, PATCH"),
        ("GET", f"{VISITS}/{COMPLETED}/complete", 405, "PATCH"),
        ("PUT", "/v1/users", 405, "GET"),
    ],
)
async def test_what_there_is_not_is_told(
    gateway: Gateway, key: Key, method: str, path: str, status: int, allowed: str | None
) -> None:
    answer = await gateway.call(key, method, path)

    assert (answer.status, answer.headers.get("Allow"), list(answer.json)) == (status, allowed, ["hint", "arg_errors"])


async def test_what_takes_too_long_says_whether_it_was_done(database: Database) -> None:
    limits = HTTPLimits(execution_seconds=0.3)
    async with gateway_over(database, limits=limits) as gateway:
        key = await gateway.key()
        with inspect(path_of(database)).locked():
            answer = await gateway.call(key, "PATCH", f"{ONE}/cancel")
        read = await gateway.call(key, "GET", ONE)

    assert (answer.status, answer.json["arg_errors"]) == (504, None)
    # On SQLite it waited for the lock of all writes, on PostgreSQL for that of the visit, in its transaction.
    done = "Nothing was changed." if databases.is_sqlite() else "Perhaps done: cancelHomeVisit."
    assert answer.json["hint"].startswith(f"Given up after 0.3 seconds. {done}")
    assert read.status == 200
