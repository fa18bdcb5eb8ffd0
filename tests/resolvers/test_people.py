"""Lists of care enquiries, locations and users, and an enquiry's contacts, as a booking form asks for them."""

from typing import Any

import pytest

from tests.asking import Ask
from tests.databases import path_of
from tests.inspection import inspect
from tests.world import (
    ALSO_FOR_WILLOWS,
    ANNA,
    ANONYMIZED_ENQUIRY,
    BEECHES,
    BEN,
    DAUGHTER,
    ELSEWHERE,
    FOR_BEECHES,
    FOR_WILLOWS,
    SON,
    STUB_ENQUIRY,
    STUB_HOME,
    STUB_USER,
    WILLOWS,
    limited_to,
)

LISTS = {
    "careEnquiries": [ELSEWHERE, ANONYMIZED_ENQUIRY, STUB_ENQUIRY, FOR_BEECHES, ALSO_FOR_WILLOWS, FOR_WILLOWS],
    "locations": [BEECHES, WILLOWS, STUB_HOME],
    "users": [ANNA, BEN, STUB_USER],
}


async def ids(ask: Ask, field: str, arguments: str = "", **options: Any) -> list[str]:
    data = await ask.data(f"{{ {field}{arguments} {{ nodes {{ id }} }} }}", **options)
    return [node["id"] for node in data[field]["nodes"]]


@pytest.mark.parametrize("field", LISTS)
async def test_enquiries_come_newest_first_and_others_by_name_with_one_statement(ask: Ask, field: str) -> None:
    response = await ask(f"{{ {field} {{ nodes {{ id }} }} }}")

    assert [node["id"] for node in response.data[field]["nodes"]] == LISTS[field]
    assert (response.errors, response.statements) == ([], 1)


@pytest.mark.parametrize("field", LISTS)
async def test_what_is_listed_is_counted_only_where_that_is_selected(ask: Ask, field: str) -> None:
    response = await ask(f"{{ {field}(first: 2) {{ totalCount nodes {{ id }} pageInfo {{ hasNextPage }} }} }}")

    page = response.data[field]
    assert (page["totalCount"], len(page["nodes"]), page["pageInfo"]) == (len(LISTS[field]), 2, {"hasNextPage": True})
    assert response.statements == 2


async def test_names_order_enquiries_and_those_without_one_come_last(ask: Ask) -> None:
    by_name = await ids(ask, "careEnquiries", "(orderBy: [{ field: NAME }])")
    reversed_names = await ids(
        ask, "careEnquiries", "(orderBy: [{ field: NAME, direction: DESC }, { field: ID, direction: DESC }])"
    )

    assert by_name == [FOR_BEECHES, ELSEWHERE, ALSO_FOR_WILLOWS, FOR_WILLOWS, STUB_ENQUIRY, ANONYMIZED_ENQUIRY]
    assert reversed_names == by_name[::-1]


async def test_suspended_users_are_listed_where_they_are_asked_for(ask: Ask) -> None:
    inspect(path_of(ask.database)).execute(f"UPDATE users SET suspended = TRUE WHERE id = '{BEN}'")  # noqa: S608 - the test's own

    arguments = ["", "(filter: null)", "(filter: {})", "(filter: { suspended: true })", "(filter: { suspended: null })"]
    found = [await ids(ask, "users", one) for one in arguments]

    assert found == [[ANNA, STUB_USER]] * 3 + [[BEN], [ANNA, BEN, STUB_USER]]


@pytest.mark.parametrize(
    ("field", "arguments", "found"),
    [
        ("careEnquiries", '(filter: { search: "FERN Wil" })', [FOR_WILLOWS]),
        ("careEnquiries", '(filter: { search: "family.ex" }, orderBy: [{ field: ID }])', [FOR_WILLOWS, FOR_BEECHES]),
        ("careEnquiries", f'(filter: {{ location: ["{STUB_HOME}"] }})', [ELSEWHERE]),
        ("careEnquiries", f'(filter: {{ assignedTo: ["{BEN}"] }}, last: 1)', [FOR_BEECHES]),
        ("careEnquiries", "(filter: { anonymized: true })", [ANONYMIZED_ENQUIRY]),
        ("locations", '(filter: { search: "bee" })', [BEECHES]),
        ("locations", '(filter: { search: "w" })', [WILLOWS]),
        ("users", '(filter: { search: "birch, b" })', [BEN]),
    ],
)
async def test_a_filter_finds(ask: Ask, field: str, arguments: str, found: list[str]) -> None:
    assert await ids(ask, field, arguments) == found


async def test_contacts_of_a_page_of_enquiries_are_read_by_one_statement(ask: Ask) -> None:
    document = """{ careEnquiries(orderBy: [{ field: ID }]) { nodes {
        id serviceUserContacts(first: 1) { totalCount nodes { id firstName } } } } }"""

    response = await ask(document)

    nodes = {node["id"]: node["serviceUserContacts"] for node in response.data["careEnquiries"]["nodes"]}
    assert nodes[FOR_WILLOWS] == {"totalCount": 1, "nodes": [{"id": DAUGHTER, "firstName": "Dora"}]}
    assert nodes[FOR_BEECHES] == {"totalCount": 1, "nodes": [{"id": SON, "firstName": "Sam"}]}
    assert nodes[STUB_ENQUIRY] == {"totalCount": 0, "nodes": []}
    assert response.statements == 3


async def test_who_is_limited_cannot_ask_who_is_at_a_place_of_others(ask: Ask) -> None:
    caller = limited_to(BEECHES)
    inspect(path_of(ask.database)).execute(f"""UPDATE users SET locations = '["{BEECHES}", "{STUB_HOME}"]' WHERE id = '{BEN}'""")  # noqa: S608

    at_both = f'(filter: {{ location: ["{BEECHES}", "{STUB_HOME}"] }})'
    elsewhere = f'(filter: {{ location: ["{STUB_HOME}"] }})'

    assert await ids(ask, "users", at_both, caller=caller) == [BEN]
    assert await ids(ask, "users", elsewhere, caller=caller) == []
    # Seen because of a visit alone: its own location is not for this caller to know.
    assert STUB_ENQUIRY in await ids(ask, "careEnquiries", caller=caller)
    assert await ids(ask, "careEnquiries", elsewhere, caller=caller) == []


async def test_a_cursor_of_another_list_is_refused(ask: Ask) -> None:
    data = await ask.data("{ users(first: 1) { pageInfo { endCursor } } }")

    cursor = data["users"]["pageInfo"]["endCursor"]
    response = await ask("query ($after: String) { locations(after: $after) { nodes { id } } }", {"after": cursor})

    assert [error["extensions"]["code"] for error in response.errors] == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("type", ["CareEnquiryOrder", "LocationOrder", "UserOrder"])
async def test_an_order_of_more_than_eight_keys_is_refused(ask: Ask, type: str) -> None:
    field = {"CareEnquiryOrder": "careEnquiries", "LocationOrder": "locations", "UserOrder": "users"}[type]
    document = f"query ($order: [{type}!]!) {{ {field}(orderBy: $order) {{ nodes {{ id }} }} }}"

    response = await ask(document, {"order": [{"field": "ID"}] * 9})

    assert [error["message"] for error in response.errors] == [
        "A list may have at most 8 values here: this one has 9. Send fewer, or split the request."
    ]
