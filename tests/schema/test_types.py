"""Each field answers what is kept under its name, as it is kept for reading and as it comes back from a change."""

from typing import Any

import pytest

from storage.database import Database
from tests import world
from tests.asking import Ask, engine

VISIT = """
id status dateTime visitType host notes created modified cancelled completed anonymized version confirmation allowedOperations
careEnquiry { id } location { id } assignedTo { id } serviceUserContact { id }
"""
SECOND_VISIT = {
    "id": world.CANCELLED,
    "status": "CANCELLED",
    "dateTime": "2024-11-04T04:30:00.000001Z",
    "visitType": "VIRTUAL",
    "host": "DEPUTY_MANAGER",
    "notes": "Visit 1: café",
    "created": "2024-10-25T09:07:00Z",
    "modified": "2024-11-03T09:29:59.999Z",
    "cancelled": "2024-11-03T09:29:59.999Z",
    "completed": None,
    "anonymized": None,
    "version": 2,
    "confirmation": "NOT_REQUIRED",
    "allowedOperations": [],
    "careEnquiry": {"id": world.FOR_WILLOWS},
    "location": {"id": world.WILLOWS},
    "assignedTo": {"id": world.ANNA},
    "serviceUserContact": {"id": world.DAUGHTER},
}


async def one(ask: Ask, field: str, id: str, selection: str) -> Any:
    return (await ask.data(f'{{ {field}(id: "{id}") {{ {selection} }} }}'))[field]


async def test_a_visit_tells_all_that_is_known_of_it(ask: Ask) -> None:
    assert await one(ask, "homeVisit", world.CANCELLED, VISIT) == SECOND_VISIT


async def test_a_visit_that_was_changed_tells_the_same_as_one_that_is_read(ask: Ask) -> None:
    change = f"""mutation ($input: UpdateHomeVisitInput!) {{ updateHomeVisit(input: $input) {{
        ... on UpdateHomeVisitSuccess {{ homeVisit {{ {VISIT} }} }} }} }}"""

    changed = await ask.data(change, {"input": {"id": world.PENDING, "notes": "Bring the dog.", "host": "OTHER"}})
    read = await one(ask, "homeVisit", world.PENDING, VISIT)

    assert changed["updateHomeVisit"]["homeVisit"] == read
    assert (read["notes"], read["host"], read["version"], read["modified"]) == (
        "Bring the dog.",
        "OTHER",
        2,
        "2024-11-04T09:30:00Z",
    )


async def test_a_visit_without_a_user_or_contact_has_none(ask: Ask) -> None:
    visit = await one(ask, "homeVisit", world.VISIT_IDS[6], "assignedTo { id firstName } serviceUserContact { firstName }")

    assert visit == {"assignedTo": None, "serviceUserContact": None}


@pytest.mark.parametrize(
    ("field", "id", "selection", "expected"),
    [
        (
            "location",
            world.WILLOWS,
            "id name email phone timeZone",
            {
                "id": world.WILLOWS,
                "name": "The Willows",
                "email": "willows@homes.example",
                "phone": "0100",
                "timeZone": "Europe/Dublin",
            },
        ),
        # A location that names no zone has the one that is set for all.
        (
            "location",
            world.STUB_HOME,
            "id name email phone timeZone",
            {"id": world.STUB_HOME, "name": None, "email": None, "phone": None, "timeZone": "Europe/London"},
        ),
        (
            "user",
            world.ANNA,
            "id firstName lastName email",
            {"id": world.ANNA, "firstName": "Anna", "lastName": "Ash", "email": "anna@homes.example"},
        ),
        ("user", world.STUB_USER, "firstName lastName email", {"firstName": None, "lastName": None, "email": None}),
        (
            "careEnquiry",
            world.FOR_WILLOWS,
            "id anonymized careSeeker { firstName lastName email phone } assignedTo { firstName } location { name }",
            {
                "id": world.FOR_WILLOWS,
                "anonymized": None,
                "careSeeker": {"firstName": "Wilma", "lastName": "Fern", "email": "wilma@family.example", "phone": "0300"},
                "assignedTo": {"firstName": "Anna"},
                "location": {"name": "The Willows"},
            },
        ),
        (
            "careEnquiry",
            world.STUB_ENQUIRY,
            "careSeeker { firstName } assignedTo { firstName } location { name }",
            {"careSeeker": None, "assignedTo": None, "location": None},
        ),
        (
            "careEnquiry",
            world.ANONYMIZED_ENQUIRY,
            "careSeeker { firstName } anonymized",
            {"careSeeker": None, "anonymized": "2024-10-05T09:30:00Z"},
        ),
    ],
)
async def test_what_a_visit_refers_to_tells_what_is_known_of_it(
    ask: Ask, field: str, id: str, selection: str, expected: dict[str, Any]
) -> None:
    assert await one(ask, field, id, selection) == expected


async def test_a_contact_tells_what_is_known_of_them(ask: Ask) -> None:
    contact = await one(
        ask,
        "node",
        world.DAUGHTER,
        "__typename ... on ServiceUserContact { id firstName lastName email phone careEnquiry { careSeeker { firstName } } }",
    )

    assert contact == {
        "__typename": "ServiceUserContact",
        "id": world.DAUGHTER,
        "firstName": "Dora",
        "lastName": "Fern",
        "email": None,
        "phone": "0400",
        "careEnquiry": {"careSeeker": {"firstName": "Wilma"}},
    }


@pytest.mark.parametrize(
    ("caller", "offered"),
    [
        (world.EVERYBODY, ["UPDATE", "CANCEL", "COMPLETE"]),
        (world.limited_to(world.WILLOWS), ["UPDATE", "CANCEL", "COMPLETE"]),
        (world.limited_to(world.WILLOWS, role=world.Role.VIEWER), []),
    ],
)
async def test_only_what_the_caller_may_do_is_offered(ask: Ask, caller: world.Caller, offered: list[str]) -> None:
    data = await ask.data(f'{{ homeVisit(id: "{world.PENDING}") {{ allowedOperations }} }}', caller=caller)

    assert data == {"homeVisit": {"allowedOperations": offered}}


@pytest.mark.parametrize(
    "selection", ["location { id }", "location { kind: __typename id }", "location { id id }", "location { __typename }"]
)
async def test_an_id_alone_is_answered_without_reading_what_it_is_of(database: Database, selection: str) -> None:
    response = await Ask(database, engine(planned=False))(f'{{ homeVisit(id: "{world.PENDING}") {{ {selection} }} }}')

    assert response.errors == []
    assert response.statements == 1
