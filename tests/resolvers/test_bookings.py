"""A booking answers with the visit, or with every value that is wrong; a key books once."""

from typing import Any

import pytest

from tests import world
from tests.asking import Ask
from tests.resolvers.changing import BOOKING, NO_USER, change, problem, refused
from tests.world import ANNA, BEN, DAUGHTER, FOR_WILLOWS, SON, UNKNOWN


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
    ("values", "problem"),
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
        ({"assignedTo": UNKNOWN}, problem("assignedTo", "NOT_FOUND", NO_USER)),
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
async def test_a_booking_is_refused_at_the_value_that_is_wrong(ask: Ask, values: dict[str, Any], problem: dict[str, Any]) -> None:
    result = await refused(ask, "bookHomeVisit", BOOKING | values)

    assert result == {
        "__typename": "InvalidInputError",
        "message": "Some values were refused. Nothing was saved: correct them and try again.",
        "problems": [problem],
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
