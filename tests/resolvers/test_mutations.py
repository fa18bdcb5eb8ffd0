"""Each change answers with the visit as it is now, or with why nothing was changed; what was left out is not null."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from graphql import GraphQLUnionType

from storage.database import Database
from tests import world
from tests.asking import Ask, schema
from tests.world import (
    ANNA,
    BEN,
    CANCELLED,
    COMPLETED,
    DAUGHTER,
    FOR_WILLOWS,
    PENDING,
    SON,
    UNKNOWN,
    VISIT_IDS,
    WILLOWS,
    Role,
    limited_to,
)

VISIT = "id status version modified"
REFUSALS = {
    "HomeVisitNotFoundError": "homeVisitId",
    "HomeVisitNotPendingError": f"homeVisit {{ {VISIT} notes careEnquiry {{ careSeeker {{ firstName }} }} }}",
    "VersionConflictError": f"homeVisit {{ {VISIT} }}",
    "IdempotencyConflictError": "idempotencyKey",
    "InvalidInputError": "problems { path code message }",
}
BOOKING = {"careEnquiry": FOR_WILLOWS, "dateTime": "2024-11-20T15:00:00+01:00", "host": "NURSE", "visitType": "VIRTUAL"}


def mutation(name: str, selection: str = VISIT) -> str:
    """Return a document that selects the success, and all that each possible error tells."""
    type = name[0].upper() + name[1:]
    union = schema()._schema.get_type(f"{type}Result")
    assert isinstance(union, GraphQLUnionType)
    told = {f"{type}Success": f"homeVisit {{ {selection} }}"} | {error: f"message {fields}" for error, fields in REFUSALS.items()}
    parts = " ".join(f"... on {member.name} {{ {told[member.name]} }}" for member in union.types)
    return f"mutation ($input: {type}Input!) {{ {name}(input: $input) {{ __typename {parts} }} }}"


async def change(ask: Ask, name: str, input: dict[str, Any], selection: str = VISIT) -> Any:
    """Return the result of a change that was committed."""
    told = await ask(mutation(name, selection), {"input": input})
    assert (told.errors, told.written) == ([], 1)
    return told.data[name]


async def refused(ask: Ask, name: str, input: dict[str, Any], caller: world.Caller = world.EVERYBODY) -> Any:
    """Return the result of a change that has changed nothing."""
    before = everything(ask.database)
    told = await ask(mutation(name), {"input": input}, caller=caller)
    assert (told.errors, told.written) == ([], 0)
    assert everything(ask.database) == before
    return told.data[name]


def everything(database: Database) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(database.path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608 - its own tables


def problem(path: str, code: str, message: str) -> dict[str, Any]:
    return {"path": ["input", path], "code": code, "message": message}


async def test_a_booking_has_what_was_given_and_takes_the_rest_from_the_enquiry(ask: Ask) -> None:
    selection = """status dateTime visitType host notes version created modified cancelled completed confirmation
        careEnquiry { id } location { name } assignedTo { firstName } serviceUserContact { id } allowedOperations"""

    booked = await change(ask, "bookHomeVisit", BOOKING, selection)

    assert booked == {
        "__typename": "BookHomeVisitSuccess",
        "homeVisit": {
            "status": "PENDING",
            "dateTime": "2024-11-20T14:00:00Z",
            "visitType": "VIRTUAL",
            "host": "NURSE",
            "notes": "",
            "version": 1,
            "created": "2024-11-04T09:30:00Z",
            "modified": "2024-11-04T09:30:00Z",
            "cancelled": None,
            "completed": None,
            "confirmation": "QUEUED",
            "careEnquiry": {"id": FOR_WILLOWS},
            "location": {"name": "The Willows"},
            "assignedTo": {"firstName": "Anna"},
            "serviceUserContact": None,
            "allowedOperations": ["UPDATE", "CANCEL", "COMPLETE"],
        },
    }


async def test_a_booking_may_name_its_user_contact_and_notes(ask: Ask) -> None:
    named = {"assignedTo": BEN, "serviceUserContact": DAUGHTER, "notes": "Ring twice.", "suppressConfirmation": True}

    booked = await change(
        ask, "bookHomeVisit", BOOKING | named, "assignedTo { firstName } serviceUserContact { firstName } notes confirmation"
    )

    assert booked["homeVisit"] == {
        "assignedTo": {"firstName": "Ben"},
        "serviceUserContact": {"firstName": "Dora"},
        "notes": "Ring twice.",
        "confirmation": "SUPPRESSED",
    }


async def test_null_in_a_booking_is_the_same_as_nothing(ask: Ask) -> None:
    nothing = {"assignedTo": None, "serviceUserContact": None, "idempotencyKey": None}

    booked = await change(ask, "bookHomeVisit", BOOKING | nothing, "assignedTo { id } serviceUserContact { id }")

    assert booked["homeVisit"] == {"assignedTo": {"id": ANNA}, "serviceUserContact": None}


async def test_a_booked_visit_is_found_at_once(ask: Ask) -> None:
    booked = await change(ask, "bookHomeVisit", BOOKING, "id")

    found = await ask.data(f'{{ node(id: "{booked["homeVisit"]["id"]}") {{ __typename ... on HomeVisit {{ host }} }} }}')

    assert found == {"node": {"__typename": "HomeVisit", "host": "NURSE"}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"careEnquiry": UNKNOWN},
            problem("careEnquiry", "NOT_FOUND", "No care enquiry with this ID exists, or you may not see it. Check the ID."),
        ),
        (
            {"careEnquiry": world.STUB_ENQUIRY},
            problem("careEnquiry", "REQUIRED", "This care enquiry has no location to visit. Give it one first."),
        ),
        (
            {"careEnquiry": world.ANONYMIZED_ENQUIRY},
            problem("careEnquiry", "INVALID", "This care enquiry has been anonymized. Book for a current one."),
        ),
        ({"assignedTo": UNKNOWN}, problem("assignedTo", "NOT_FOUND", "No user with this ID exists. Check the ID.")),
        (
            {"serviceUserContact": UNKNOWN},
            problem("serviceUserContact", "NOT_FOUND", "No contact with this ID exists, or you may not see it. Check the ID."),
        ),
        (
            {"serviceUserContact": SON},
            problem("serviceUserContact", "INVALID", "This contact belongs to another care enquiry. Choose one of this enquiry."),
        ),
        (
            {"notes": "x" * 10_001},
            problem("notes", "TOO_LONG", "Notes may have at most 10,000 characters: these have 10,001."),
        ),
        (
            {"notes": "a\0b"},
            problem("notes", "INVALID", "Notes cannot hold NUL or half a character (a lone surrogate). Remove it."),
        ),
        ({"idempotencyKey": ""}, problem("idempotencyKey", "INVALID", "Give a key of 1 to 255 characters, without NUL.")),
        ({"idempotencyKey": "k" * 256}, problem("idempotencyKey", "TOO_LONG", "Give a key of 1 to 255 characters, without NUL.")),
    ],
)
async def test_a_booking_is_refused_at_the_value_that_is_wrong(ask: Ask, given: dict[str, Any], told: dict[str, Any]) -> None:
    result = await refused(ask, "bookHomeVisit", BOOKING | given)

    assert result == {
        "__typename": "InvalidInputError",
        "message": "Some values were refused. Nothing was saved: correct them and try again.",
        "problems": [told],
    }


async def test_every_value_that_is_wrong_is_told_at_once(ask: Ask) -> None:
    wrong = {
        "careEnquiry": UNKNOWN,
        "assignedTo": UNKNOWN,
        "serviceUserContact": UNKNOWN,
        "notes": "x" * 10_001,
        "idempotencyKey": "",
    }

    result = await refused(ask, "bookHomeVisit", BOOKING | wrong)

    assert [(problem["path"][-1], problem["code"]) for problem in result["problems"]] == [
        ("careEnquiry", "NOT_FOUND"),
        ("serviceUserContact", "NOT_FOUND"),
        ("assignedTo", "NOT_FOUND"),
        ("notes", "TOO_LONG"),
        ("idempotencyKey", "INVALID"),
    ]


async def test_the_same_key_with_the_same_input_books_once(ask: Ask) -> None:
    keyed = BOOKING | {"idempotencyKey": "2f7c"}
    first = await change(ask, "bookHomeVisit", keyed)

    again = await change(ask, "bookHomeVisit", keyed)

    assert again == first
    assert (await ask.data("{ homeVisits { totalCount } }"))["homeVisits"] == {"totalCount": 25}


async def test_the_same_key_answers_with_the_booking_as_it_is_now(ask: Ask) -> None:
    keyed = BOOKING | {"idempotencyKey": "2f7c"}
    first = await change(ask, "bookHomeVisit", keyed, "id")
    await change(ask, "cancelHomeVisit", first["homeVisit"])

    again = await change(ask, "bookHomeVisit", keyed, "id status")

    assert again["homeVisit"] == first["homeVisit"] | {"status": "CANCELLED"}


async def test_the_same_key_with_other_input_is_a_conflict(ask: Ask) -> None:
    await change(ask, "bookHomeVisit", BOOKING | {"idempotencyKey": "2f7c"})

    result = await refused(ask, "bookHomeVisit", BOOKING | {"idempotencyKey": "2f7c", "host": "OTHER"})

    assert result == {
        "__typename": "IdempotencyConflictError",
        "message": (
            "This idempotency key was used for another booking. Use a new key for each booking, the same key only to retry it."
        ),
        "idempotencyKey": "2f7c",
    }


UPDATED = "notes host dateTime assignedTo { id } version modified"
AS_IT_WAS = {
    "notes": "",
    "host": "MANAGER",
    "dateTime": "2024-11-03T21:30:00Z",
    "assignedTo": {"id": ANNA},
    "version": 1,
    "modified": "2024-10-25T09:06:00Z",
}
CHANGED = {"version": 2, "modified": "2024-11-04T09:30:00Z"}


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"notes": ""}, {}),
        ({"host": "MANAGER", "dateTime": "2024-11-03T22:30:00+01:00", "assignedTo": ANNA}, {}),
        ({"notes": "Ring."}, {"notes": "Ring."} | CHANGED),
        ({"host": "OTHER"}, {"host": "OTHER"} | CHANGED),
        ({"dateTime": "2025-01-01T00:00:00.25Z"}, {"dateTime": "2025-01-01T00:00:00.250Z"} | CHANGED),
        ({"assignedTo": BEN}, {"assignedTo": {"id": BEN}} | CHANGED),
        # The enquiry's own user.
        ({"assignedTo": None}, {}),
    ],
)
async def test_an_update_changes_what_was_given_and_nothing_else(
    ask: Ask, given: dict[str, Any], changed: dict[str, Any]
) -> None:
    result = await change(ask, "updateHomeVisit", {"id": PENDING} | given, UPDATED)

    assert result == {"__typename": "UpdateHomeVisitSuccess", "homeVisit": AS_IT_WAS | changed}


async def test_null_notes_are_empty_and_a_null_user_is_the_enquirys(ask: Ask) -> None:
    visit = VISIT_IDS[15]
    assert await ask.data(f'{{ homeVisit(id: "{visit}") {{ notes assignedTo {{ id }} }} }}') == {
        "homeVisit": {"notes": "Visit 15: café", "assignedTo": {"id": BEN}}
    }

    result = await change(ask, "updateHomeVisit", {"id": visit, "notes": None, "assignedTo": None}, "notes assignedTo { id }")

    assert result["homeVisit"] == {"notes": "", "assignedTo": {"id": ANNA}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"dateTime": None},
            problem("dateTime", "REQUIRED", "A visit needs a time. Leave the field out to keep the time it has."),
        ),
        ({"host": None}, problem("host", "REQUIRED", "A visit needs a host. Leave the field out to keep the host it has.")),
        (
            {"notes": "x" * 10_001},
            problem("notes", "TOO_LONG", "Notes may have at most 10,000 characters: these have 10,001."),
        ),
        ({"assignedTo": UNKNOWN}, problem("assignedTo", "NOT_FOUND", "No user with this ID exists. Check the ID.")),
    ],
)
async def test_an_update_is_refused_at_the_value_that_is_wrong(ask: Ask, given: dict[str, Any], told: dict[str, Any]) -> None:
    result = await refused(ask, "updateHomeVisit", {"id": PENDING} | given)

    assert result == {
        "__typename": "InvalidInputError",
        "message": "Some values were refused. Nothing was saved: correct them and try again.",
        "problems": [told],
    }


ENDINGS = [
    ("cancelHomeVisit", "CANCELLED", "CancelHomeVisitSuccess"),
    ("completeHomeVisit", "COMPLETED", "CompleteHomeVisitSuccess"),
]


@pytest.mark.parametrize(("name", "status", "success"), ENDINGS)
async def test_a_pending_visit_is_ended(ask: Ask, name: str, status: str, success: str) -> None:
    result = await change(ask, name, {"id": PENDING, "expectedVersion": 1}, f"{VISIT} cancelled completed allowedOperations")

    now = "2024-11-04T09:30:00Z"
    ended = {"CANCELLED": (now, None), "COMPLETED": (None, now)}[status]
    assert result == {
        "__typename": success,
        "homeVisit": {
            "id": PENDING,
            "status": status,
            "version": 2,
            "modified": now,
            "cancelled": ended[0],
            "completed": ended[1],
            "allowedOperations": [],
        },
    }


CHANGES = ["updateHomeVisit", "cancelHomeVisit", "completeHomeVisit"]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("id", [UNKNOWN, "", WILLOWS])
async def test_a_visit_that_is_not_there_is_told_with_its_id(ask: Ask, name: str, id: str) -> None:
    result = await refused(ask, name, {"id": id})

    assert result == {
        "__typename": "HomeVisitNotFoundError",
        "message": "No home visit with this ID exists, or you may not see it. Check the ID.",
        "homeVisitId": id,
    }


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize(("id", "status"), [(CANCELLED, "CANCELLED"), (COMPLETED, "COMPLETED")])
async def test_a_visit_that_has_ended_is_told_as_it_is(ask: Ask, name: str, id: str, status: str) -> None:
    # Whatever else is wrong: that it has ended comes first.
    result = await refused(ask, name, {"id": id, "expectedVersion": 99})

    n = VISIT_IDS.index(id)
    assert result == {
        "__typename": "HomeVisitNotPendingError",
        "message": f"Only a pending home visit can be changed. This one was {status.lower()} on 03 November 2024.",
        "homeVisit": {
            "id": id,
            "status": status,
            "version": 2,
            "modified": f"2024-11-03T09:29:59.99{10 - n}Z",
            "notes": f"Visit {n}: café",
            "careEnquiry": {"careSeeker": {"firstName": "Wilma"}},
        },
    }


@pytest.mark.parametrize("name", CHANGES)
async def test_a_visit_that_has_changed_since_is_told_as_it_is(ask: Ask, name: str) -> None:
    result = await refused(ask, name, {"id": PENDING, "expectedVersion": 2} | ({"host": None} if name[0] == "u" else {}))

    assert result == {
        "__typename": "VersionConflictError",
        "message": "Somebody else has changed this home visit. Look at it as it is now, then try again with its version.",
        "homeVisit": {"id": PENDING, "status": "PENDING", "version": 1, "modified": "2024-10-25T09:06:00Z"},
    }


@pytest.mark.parametrize("name", CHANGES)
async def test_the_version_that_was_read_is_as_good_as_none(ask: Ask, name: str) -> None:
    result = await change(ask, name, {"id": PENDING, "expectedVersion": 1})

    assert result["__typename"].endswith("Success")


@pytest.mark.parametrize("name", ["bookHomeVisit", *CHANGES])
async def test_who_may_only_read_changes_nothing(ask: Ask, name: str) -> None:
    before = everything(ask.database)
    input = BOOKING if name == "bookHomeVisit" else {"id": PENDING}

    told = await ask(mutation(name), {"input": input}, caller=limited_to(WILLOWS, role=Role.VIEWER))

    assert told.data == {name: None}
    assert [(error["message"], error["path"], error["extensions"]["code"]) for error in told.errors] == [
        (f"{name} needs the role COORDINATOR. Ask whoever manages your account for it.", [name], "FORBIDDEN")
    ]
    assert everything(ask.database) == before


async def test_changes_of_one_request_are_made_in_their_order(ask: Ask) -> None:
    document = f"""mutation {{
        late: cancelHomeVisit(input: {{ id: "{PENDING}", expectedVersion: 1 }}) {{ __typename }}
        later: completeHomeVisit(input: {{ id: "{PENDING}" }}) {{ __typename ... on UserError {{ message }} }}
        other: completeHomeVisit(input: {{ id: "{VISIT_IDS[6]}" }}) {{ __typename }}
    }}"""

    data = await ask.data(document)

    assert [result["__typename"] for result in data.values()] == [
        "CancelHomeVisitSuccess",
        "HomeVisitNotPendingError",
        "CompleteHomeVisitSuccess",
    ]
    assert data["later"]["message"] == "Only a pending home visit can be changed. This one was cancelled on 04 November 2024."


async def test_each_change_of_a_request_tells_what_is_then(ask: Ask) -> None:
    statuses = f'homeVisits(filter: {{ ids: ["{PENDING}", "{VISIT_IDS[6]}"] }}) {{ totalCount nodes {{ status }} }}'
    cancelled = f"... on CancelHomeVisitSuccess {{ homeVisit {{ location {{ {statuses} }} }} }}"
    document = f"""mutation {{
        first: cancelHomeVisit(input: {{ id: "{PENDING}" }}) {{ {cancelled} }}
        second: cancelHomeVisit(input: {{ id: "{VISIT_IDS[6]}" }}) {{ {cancelled} }}
    }}"""

    data = await ask.data(document)

    told = [[node["status"] for node in result["homeVisit"]["location"]["homeVisits"]["nodes"]] for result in data.values()]
    assert told == [["CANCELLED", "PENDING"], ["CANCELLED", "CANCELLED"]]
