"""Lists by page, filter and order: the same visits and people as GraphQL lists, in the words of the source."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from storage.caller import Caller
from storage.carehq.documents import KINDS, read_document
from storage.carehq.exporting import attributes_of
from storage.database import Database
from tests import world
from tests.resolvers.carehq import VISITS, Gateway, Key, gateway_over
from tests.world import (
    ANNA,
    ANONYMIZED_ENQUIRY,
    BEECHES,
    BEN,
    DAUGHTER,
    FOR_BEECHES,
    FOR_WILLOWS,
    SON,
    STUB_USER,
    VISIT_IDS,
    WILLOWS,
    visit,
)

MODIFIED = datetime(2024, 11, 3, 9, 29, 59, 990_000, UTC)
EVERY = [visit(n) for n in range(world.VISITS)]


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with gateway_over(database) as gateway:
        yield gateway


@pytest.fixture
async def key(gateway: Gateway) -> Key:
    return await gateway.key()


async def ids(gateway: Gateway, key: Key, *pairs: tuple[str, str], of: str = VISITS) -> list[str]:
    answer = await gateway.call(key, "GET", of, [*pairs, ("per_page", "100")])
    assert answer.status == 200, answer.json
    return [item["_id"] for item in answer.json["items"]]


async def test_a_list_is_a_page_of_ten_ids(gateway: Gateway, key: Key) -> None:
    answer = await gateway.call(key, "GET", VISITS)

    items = [{"_id": id} for id in VISIT_IDS[:10]]
    assert (answer.status, answer.json) == (
        200,
        {"item_count": 24, "items": items, "page": 1, "page_count": 3, "per_page": 10},
    )


async def test_attributes_are_those_that_are_named_in_the_order_of_the_source(gateway: Gateway, key: Key) -> None:
    named = [("attributes", name) for name in ("notes", "host", "date_time", "care_enquiry")]

    answer = await gateway.call(key, "GET", VISITS, [*named, ("per_page", "1")])

    [item] = answer.json["items"]
    assert list(item.items()) == [
        ("_id", VISIT_IDS[0]),
        ("care_enquiry", FOR_WILLOWS),
        ("date_time", "2024-11-03 21:30:00"),
        ("host", "manager"),
        ("notes", ""),
    ]


@pytest.mark.parametrize("sort", ["_id", "-_id", "date_time", "-date_time", "created", "modified", "-modified"])
@pytest.mark.parametrize(
    "caller",
    [world.EVERYBODY, world.limited_to(WILLOWS, BEECHES), world.limited_to(BEECHES)],
    ids=["everything", "two homes", "one home"],
)
async def test_pages_by_number_are_the_whole_list_once(gateway: Gateway, sort: str, caller: Caller) -> None:
    key = await gateway.key(caller)
    whole = await ids(gateway, key, ("sort", sort))

    pages = [await gateway.call(key, "GET", VISITS, [("sort", sort), ("per_page", "5"), ("page", str(n))]) for n in range(1, 8)]

    count = -(-len(whole) // 5)
    assert [item["_id"] for page in pages for item in page.json["items"]] == whole
    assert {(page.json["item_count"], page.json["page_count"]) for page in pages} == {(len(whole), count)}
    assert [len(page.json["items"]) for page in pages[count:]] == [0] * (7 - count)


async def test_a_list_is_sorted_by_several_keys(gateway: Gateway, key: Key) -> None:
    found = await ids(gateway, key, ("sort", "-date_time"), ("sort", "_id"))

    expected = sorted(sorted(EVERY, key=lambda visit: visit.id), key=lambda visit: visit.date_time, reverse=True)
    assert found == [visit.id for visit in expected]


async def test_an_empty_list_has_one_page(gateway: Gateway, key: Key) -> None:
    answer = await gateway.call(key, "GET", VISITS, [("filters-ids", world.UNKNOWN), ("page", "2")])

    assert answer.json == {"item_count": 0, "items": [], "page": 2, "page_count": 1, "per_page": 10}


def expected(condition: Any) -> list[str]:
    return [visit.id for visit in EVERY if condition(visit)]


@pytest.mark.parametrize(
    ("pairs", "condition"),
    [
        ([("cancelled", "no"), ("completed", "no")], lambda v: not v.cancelled and not v.completed),
        ([("cancelled", "yes")], lambda v: v.cancelled),
        ([("cancelled", "True")], lambda v: v.cancelled),
        ([("cancelled", "unset"), ("completed", "")], lambda _: True),
        ([("anonymized", "yes")], lambda v: v.anonymized),
        ([("assigned_to", ANNA), ("assigned_to", BEN)], lambda v: v.assigned_to in (ANNA, BEN)),
        ([("care_enquiry", FOR_BEECHES)], lambda v: v.care_enquiry == FOR_BEECHES),
        ([("care_enquiries", FOR_BEECHES)], lambda v: v.care_enquiry == FOR_BEECHES),
        ([("ids", VISIT_IDS[3]), ("ids", VISIT_IDS[5])], lambda v: v.id in (VISIT_IDS[3], VISIT_IDS[5])),
        ([("location", BEECHES)], lambda v: v.location == BEECHES),
        ([("locations", BEECHES), ("locations", WILLOWS)], lambda _: True),
        ([("location", "")], lambda _: False),
        ([("modified_after", "2024-11-03 09:29:59.990")], lambda v: v.modified > MODIFIED),
        ([("modified_before", "2024-11-01 00:00:00")], lambda v: not v.cancelled and not v.completed),
        ([("q", "CAFÉ")], lambda v: v.notes),
        ([("q", " ")], lambda _: True),
        ([("start_date", "2024-11-05")], lambda v: f"{v.date_time:%F}" >= "2024-11-05"),
        ([("start", "2024-11-05 00:00:00")], lambda v: f"{v.date_time:%F}" >= "2024-11-05"),
        ([("end_date", "2024-11-04"), ("start", "")], lambda v: f"{v.date_time:%F}" <= "2024-11-04"),
        ([("end", "2024-11-04")], lambda v: f"{v.date_time:%F}" <= "2024-11-04"),
        ([("visit_type", "virtual")], lambda v: v.visit_type == "VIRTUAL"),
        ([("type", "virtual"), ("type", "in_person")], lambda _: True),
    ],
    ids=lambda value: " ".join("=".join(pair) for pair in value) if isinstance(value, list) else "",
)  # fmt: skip
async def test_a_filter_finds_what_it_says(gateway: Gateway, key: Key, pairs: list[tuple[str, str]], condition: Any) -> None:
    found = await ids(gateway, key, *((f"filters-{name}", value) for name, value in pairs))

    assert found == expected(condition)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("page", "0"), "Not a valid number: use one from 1 to 100,000."),
        (("page", "-1"), "Not a valid number: use one from 1 to 100,000."),
        (("page", "one"), "Not a valid number: use one from 1 to 100,000."),
        (("page", "10001"), "Pages end after 100,000 documents. Use filters-modified_after, sorted by modified, to go on."),
        (("per_page", "101"), "Not a valid number: use one from 1 to 100."),
        (("sort", "host"), "Not a valid choice: use _id, -_id, date_time, -date_time, created, -created, modified or -modified."),
        (("filters-status", "x"), "There is no such filter."),
        (("filters-cancelled", "perhaps"), "Not a valid choice: use yes, no or unset."),
        (("filters-start_date", "2024-11-05 11:00:00"), "Not a valid date: use YYYY-MM-DD."),
        (("filters-start_date", "2024-02-30"), "Not a valid date: use YYYY-MM-DD."),
        (("filters-modified_after", "yesterday"), "Not a valid date/time: use YYYY-MM-DD HH:MM:SS."),
        (("filters-visit_type", "both"), "Not a valid choice: use in_person or virtual."),
        (("cursor", "x"), "There is no such argument."),
    ],
    ids=str,
)
async def test_what_cannot_be_asked_for_is_told(gateway: Gateway, key: Key, pair: tuple[str, str], message: str) -> None:
    answer = await gateway.call(key, "GET", VISITS, [pair])

    assert (answer.status, answer.json["arg_errors"]) == (400, {pair[0]: [message]})


async def test_one_filter_by_two_names_is_refused(gateway: Gateway, key: Key) -> None:
    answer = await gateway.call(key, "GET", VISITS, [("filters-location", WILLOWS), ("filters-locations", BEECHES)])

    assert answer.json["arg_errors"] == {"filters-locations": ["This filter is given by another name as well."]}


async def test_the_last_page_that_there_may_be_is_answered(gateway: Gateway, key: Key) -> None:
    answer = await gateway.call(key, "GET", VISITS, [("page", "1000"), ("per_page", "100"), ("sort", "modified")])

    assert (answer.status, answer.json["items"], answer.json["page_count"]) == (200, [], 1)


@pytest.mark.parametrize(
    ("path", "id", "document"),
    [
        (
            "users",
            ANNA,
            {
                "_id": ANNA,
                "email": "anna@homes.example",
                "first_name": "Anna",
                "last_name": "Ash",
                "location_role": None,
                "locations": None,
                "suspended": False,
            },
        ),
        (
            "locations",
            WILLOWS,
            {
                "_id": WILLOWS,
                "email": "willows@homes.example",
                "name": "The Willows",
                "phone": "0100",
                "time_zone": "Europe/Dublin",
            },
        ),
        (
            "care-enquiries",
            ANONYMIZED_ENQUIRY,
            {
                "_id": ANONYMIZED_ENQUIRY,
                "anonymized": "2024-10-05 09:30:00",
                "assigned_to": STUB_USER,
                "email": None,
                "first_name": None,
                "last_name": None,
                "location": WILLOWS,
                "phone": None,
            },
        ),
        (
            "service-user-contacts",
            DAUGHTER,
            {
                "_id": DAUGHTER,
                "care_enquiry": FOR_WILLOWS,
                "email": None,
                "first_name": "Dora",
                "last_name": "Fern",
                "phone": "0400",
            },
        ),
    ],
)
async def test_what_visits_refer_to_is_listed_and_read(
    gateway: Gateway, key: Key, path: str, id: str, document: dict[str, Any]
) -> None:
    attributes = [("attributes", name) for name in document]

    one = await gateway.call(key, "GET", f"/v1/{path}/{id}")
    listed = await gateway.call(key, "GET", f"/v1/{path}", [*attributes, ("filters-ids", id)])
    unknown = await gateway.call(key, "GET", f"/v1/{path}/{world.UNKNOWN}")

    assert (one.json, list(one.json)) == (document, list(document))
    assert listed.json == {"item_count": 1, "items": [document], "page": 1, "page_count": 1, "per_page": 10}
    assert unknown.status == 404


@pytest.mark.parametrize("path", ["users", "locations", "care-enquiries", "service-user-contacts"])
@pytest.mark.parametrize(
    "caller",
    [world.EVERYBODY, world.limited_to(WILLOWS), world.limited_to(world.STUB_HOME)],
    ids=["everything", "one home", "a stub"],
)
async def test_pages_of_people_are_the_whole_list_once(gateway: Gateway, path: str, caller: Caller) -> None:
    key = await gateway.key(caller)
    whole = await ids(gateway, key, of=f"/v1/{path}")

    pages = [await gateway.call(key, "GET", f"/v1/{path}", [("per_page", "2"), ("page", str(n))]) for n in range(1, 5)]
    backward = await ids(gateway, key, ("sort", "-_id"), of=f"/v1/{path}")

    assert [item["_id"] for page in pages for item in page.json["items"]] == whole
    assert backward == whole[::-1]
    assert {page.json["item_count"] for page in pages} == {len(whole)}


async def test_people_are_found_as_the_vendors_example_looks_for_them(gateway: Gateway, key: Key) -> None:
    named = [("attributes", "first_name"), ("attributes", "last_name"), ("filters-q", "ann")]

    users = await gateway.call(key, "GET", "/v1/users", named)
    contacts = await ids(gateway, key, ("filters-q", "sam@"), of="/v1/service-user-contacts")

    assert users.json["items"] == [{"_id": ANNA, "first_name": "Anna", "last_name": "Ash"}]
    assert contacts == [SON]


async def test_a_key_limited_to_a_location_sees_its_people_alone(gateway: Gateway) -> None:
    key = await gateway.key(world.limited_to(BEECHES))

    contact, location = [
        await gateway.call(key, "GET", f"/v1/{path}") for path in (f"service-user-contacts/{DAUGHTER}", f"locations/{WILLOWS}")
    ]

    assert (contact.status, location.status) == (404, 404)
    assert await ids(gateway, key, of="/v1/locations") == [BEECHES]


@pytest.mark.parametrize(
    ("path", "pairs", "statements"),
    [
        (VISITS, [], 3),
        (VISITS, [("page", "2")], 4),
        (VISITS, [("page", "9")], 4),
        (f"{VISITS}/{VISIT_IDS[0]}", [], 2),
        ("/v1/users", [("page", "2"), ("per_page", "1")], 4),
        (f"/v1/users/{ANNA}", [], 2),
    ],
)
async def test_a_call_takes_few_statements(
    gateway: Gateway, key: Key, path: str, pairs: list[tuple[str, str]], statements: int
) -> None:
    before = gateway.database.statement_count

    answer = await gateway.call(key, "GET", path, pairs)

    # The key's, the row before the page, the page, and how many there are.
    assert (answer.status, gateway.database.statement_count - before) == (200, statements)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_listed_can_be_imported(gateway: Gateway, key: Key, kind: str) -> None:
    attributes = [("attributes", name) for name in attributes_of(KINDS[kind])]

    listed = await gateway.call(key, "GET", f"/v1/{kind.replace('_', '-')}", [*attributes, ("per_page", "100")])

    documents = [read_document(KINDS[kind], item) for item in listed.json["items"]]
    assert {len(warnings) for _, warnings in documents} == {0}
    assert [document.id for document, _ in documents] == [item["_id"] for item in listed.json["items"]]
