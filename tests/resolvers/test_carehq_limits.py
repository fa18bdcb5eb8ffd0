"""Calls cost what they take and no more than a request may; all that an answer could be too long or too dear for is a 400."""

import dataclasses
from collections.abc import AsyncIterator

import pytest

from resolvers.carehq_api import OPTIONAL, REQUIRED, _error_of
from schema.execution.limits import Limits
from storage.caller import Caller
from storage.database import Database
from storage.errors import InvalidInput, Problem
from storage.lifecycle import BookingInput
from storage.queries import listing
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.resolvers.carehq import VISITS, Gateway, Key, gateway_over
from tests.world import ANNA, FOR_WILLOWS, PENDING, VISIT_IDS

ONE = f"{VISITS}/{PENDING}"
BOOKING = {"care_enquiry": FOR_WILLOWS, "date_time": "2030-11-03 11:00:00", "host": "nurse", "visit_type": "virtual"}


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with gateway_over(database) as gateway:
        yield gateway


@pytest.fixture
async def key(gateway: Gateway) -> Key:
    return await gateway.key()


@pytest.mark.parametrize("blank", ["", " ", "\t", "\r\n", "\u00a0", "\u2003", "\x1f"])
@pytest.mark.parametrize("name", BOOKING)
async def test_white_space_is_no_value_of_a_required_argument(gateway: Gateway, key: Key, name: str, blank: str) -> None:
    answer = await gateway.call(key, "PUT", VISITS, (BOOKING | {name: blank}).items())

    assert (answer.status, answer.json["arg_errors"]) == (400, {name: ["This argument is required."]})


@pytest.mark.parametrize("blank", ["", " ", "\t"])
async def test_white_space_is_null_in_an_update(gateway: Gateway, key: Key, blank: str) -> None:
    answer = await gateway.call(key, "PATCH", ONE, [("date_time", blank), ("host", blank)])

    assert (answer.status, list(answer.json["arg_errors"])) == (400, ["date_time", "host"])
    assert answer.json["arg_errors"]["host"] == ["A visit needs a host. Leave the field out to keep the host it has."]


MANY = [("filters-ids", str(n)) for n in range(251)]


@pytest.mark.parametrize(
    ("pairs", "path", "message"),
    [
        (MANY, VISITS, "Give 250 values at most: there are 251."),
        (MANY, "/v1/users", "Give 250 values at most: there are 251."),
        ([("attributes", "_id")] * 251, VISITS, "Give 250 values at most: there are 251."),
        ([("sort", "modified")] * 9, VISITS, "Give 8 values at most: there are 9."),
        ([("filters-q", "é" * 101)], VISITS, "Too long: use 100 characters at most. It has 101."),
        ([("filters-q", "é" * 101)], "/v1/care-enquiries", "Too long: use 100 characters at most. It has 101."),
        ([("filters-q", "a\0")], VISITS, "Not a valid text: it holds NUL or half a character."),
        ([("filters-q", "a\0")], "/v1/locations", "Not a valid text: it holds NUL or half a character."),
    ],
    ids=["ids", "ids of users", "attributes", "sort", "q", "q of enquiries", "NUL", "NUL of locations"],
)
async def test_what_is_too_much_is_told_in_the_words_of_this_api(
    gateway: Gateway, key: Key, pairs: list[tuple[str, str]], path: str, message: str
) -> None:
    answer = await gateway.call(key, "GET", path, pairs)

    assert (answer.status, answer.json) == (
        400,
        {"hint": "One or more arguments are not valid.", "arg_errors": {pairs[0][0]: [message]}},
    )


async def test_as_much_as_there_may_be_is_answered(gateway: Gateway, key: Key) -> None:
    pairs = [*MANY[:249], ("filters-ids", VISIT_IDS[1]), *[("sort", "modified")] * 8, ("filters-q", f" {'é' * 100}\u200b")]

    answer = await gateway.call(key, "GET", VISITS, pairs)

    assert (answer.status, answer.json["item_count"]) == (200, 0)


@pytest.mark.parametrize(("page", "size", "cost"), [(1, 10, 11), (1, 100, 101), (11, 100, 111), (1000, 100, 1_100)])
async def test_a_page_costs_its_documents_and_what_is_passed_over(database: Database, page: int, size: int, cost: int) -> None:
    pairs = [("page", str(page)), ("per_page", str(size))]

    statuses, errors = [], []
    for limit in (cost, cost - 1):
        async with gateway_over(database, answers=Limits(cost=limit)) as gateway:
            answer = await gateway.call(await gateway.key(), "GET", VISITS, pairs)
        statuses.append(answer.status)
        errors.append(answer.json.get("arg_errors"))

    message = f"This page costs {cost:,}, of {cost - 1:,} that a request may: use a smaller one."
    assert (statuses, errors) == ([200, 400], [None, {"per_page": [message]}])


async def test_an_answer_has_as_many_bytes_as_it_may(database: Database) -> None:
    inspect(path_of(database)).execute(f"UPDATE home_visits SET notes = '{'n' * 9_000}'")  # noqa: S608 - ours
    advice = "Ask for a smaller `per_page`, or for fewer `attributes`."
    async with gateway_over(database, answers=Limits(answer_bytes=20_000)) as gateway:
        key = await gateway.key()
        notes = [await gateway.call(key, "GET", VISITS, [("attributes", "notes"), ("per_page", n)]) for n in ("2", "3")]
        others = await gateway.call(key, "GET", VISITS, [("attributes", name) for name in ("host", "modified")])

    assert [answer.status for answer in (*notes, others)] == [200, 400, 200]
    assert notes[1].json == {"hint": f"The answer takes more than 20,000 bytes. {advice}", "arg_errors": None}
    assert {record.outcome for record in gateway.records} == {"ok", "QUERY_TOO_COMPLEX"}


@pytest.mark.parametrize("path", [f"/v1/users/{ANNA}", "/v1/users?attributes=locations"])
async def test_the_bytes_of_people_are_counted_too(database: Database, path: str) -> None:
    homes = [f"{n:024x}" for n in range(100)]
    values = ", ".join(f"('{id}', '')" for id in homes)
    inspect(path_of(database)).execute(f"INSERT INTO locations (id, name_folded) VALUES {values}")  # noqa: S608 - ours
    inspect(path_of(database)).execute(f"UPDATE users SET locations = '{str(homes).replace(chr(39), chr(34))}'")  # noqa: S608 - ours
    path, _, query = path.partition("?")
    pairs = [(query.partition("=")[0], query.partition("=")[2])] if query else []

    answers = []
    for limit in (20_000, 2_000):
        async with gateway_over(database, answers=Limits(answer_bytes=limit)) as gateway:
            answers.append(await gateway.call(await gateway.key(), "GET", path, pairs))

    assert [answer.status for answer in answers] == [200, 400]
    assert "errors" not in answers[1].json


async def test_a_change_is_answered_however_long_its_notes_are(database: Database) -> None:
    async with gateway_over(database, answers=Limits(answer_bytes=1_000)) as gateway:
        answer = await gateway.call(await gateway.key(), "PATCH", ONE, [("notes", "n" * 9_000)])

    # It was made: to refuse the answer would say that it was not.
    assert (answer.status, len(answer.json["notes"])) == (200, 9_000)


@pytest.mark.parametrize(
    ("pairs", "furthest"),
    [
        ([], 100_000),
        ([("sort", "-date_time")], 100_000),
        ([("filters-cancelled", "no")], 100_000),
        ([("filters-modified_after", "2024-01-01 00:00:00"), ("sort", "-modified")], 100_000),
        ([("filters-start", "2024-01-01"), ("filters-end", "2025-01-01"), ("sort", "date_time")], 100_000),
        ([("filters-cancelled", "no"), ("sort", "-date_time")], 10_000),
        ([("filters-modified_after", "2024-01-01 00:00:00"), ("sort", "created")], 10_000),
        ([("filters-q", "a")], 10_000),
    ],
    ids=lambda value: " ".join("=".join(pair) for pair in value) if isinstance(value, list) else "",
)
async def test_pages_are_numbered_further_where_nothing_has_to_be_sorted(
    gateway: Gateway, key: Key, pairs: list[tuple[str, str]], furthest: int
) -> None:
    pages = [
        await gateway.call(key, "GET", VISITS, [*pairs, ("per_page", "100"), ("page", str(furthest // 100 + n))]) for n in (0, 1)
    ]

    assert [page.status for page in pages] == [200, 400]
    [message] = pages[1].json["arg_errors"]["page"]
    advice = "Use" if furthest == 100_000 else "Sort"
    assert message.startswith(f"Pages end after {furthest:,} documents. {advice}")


@pytest.mark.parametrize(
    "pairs",
    [
        [("sort", f"{sign}{name}"), (f"filters-{after}", first), (f"filters-{before}", last)]
        for sign in ("", "-")
        for name, after, before, first, last in (
            ("modified", "modified_after", "modified_before", "2024-10-25 09:10:00", "2024-11-03 09:29:59.985"),
            ("date_time", "start", "end", "2024-11-04", "2024-11-04"),
            ("created", "modified_after", "start", "2024-10-25 09:10:00", "2024-11-04"),
        )
    ],
    ids=lambda pairs: " ".join("=".join(pair) for pair in pairs),
)
async def test_pages_between_two_bounds_are_the_whole_list_once(gateway: Gateway, key: Key, pairs: list[tuple[str, str]]) -> None:
    whole = await gateway.call(key, "GET", VISITS, [*pairs, ("per_page", "100")])

    pages = [await gateway.call(key, "GET", VISITS, [*pairs, ("per_page", "2"), ("page", str(n))]) for n in range(1, 14)]

    assert 4 < whole.json["item_count"] < world.VISITS
    assert [item for page in pages for item in page.json["items"]] == whole.json["items"]
    assert {page.json["item_count"] for page in pages} == {whole.json["item_count"]}


def test_a_cursor_implies_the_bounds_on_its_side_of_the_order() -> None:
    orders = [("modified", False), ("modified", True), ("date_time", False), ("id", False)]

    implied = {
        (name, descending): listing.implied_by_cursor(((name, descending),), backward=False) for name, descending in orders
    }

    assert implied == {
        ("modified", False): {"modified_after"},
        ("modified", True): {"modified_before"},
        ("date_time", False): {"start"},
        ("id", False): frozenset(),
    }
    assert listing.implied_by_cursor((("modified", False),), backward=True) == {"modified_before"}


async def test_lists_are_compiled_in_three_forms_whatever_attributes_are_chosen(gateway: Gateway, key: Key) -> None:
    chosen = [[], ["host"], ["modified"], ["host", "modified"], ["notes"], ["notes", "host"], ["completed", "created", "notes"]]
    listing.page.cache_clear()

    for names in chosen:
        await gateway.call(key, "GET", VISITS, [("attributes", name) for name in names])

    assert listing.page.cache_info().currsize == 3


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", VISITS),
        ("PUT", VISITS),
        ("GET", ONE),
        ("PATCH", ONE),
        ("PATCH", f"{ONE}/cancel"),
        ("PATCH", f"{ONE}/complete"),
        *[
            ("GET", f"/v1/{people}{id}")
            for people in ("users", "locations", "care-enquiries", "service-user-contacts")
            for id in ("", f"/{ANNA}")
        ],
    ],
)
async def test_who_has_no_role_may_call_nothing(gateway: Gateway, method: str, path: str) -> None:
    key = await gateway.key(Caller("nobody", frozenset()))

    answer = await gateway.call(key, method, path)

    role = "VIEWER" if method == "GET" else "COORDINATOR"
    assert (answer.status, answer.json["hint"]) == (
        403,
        f"This needs a key with the role {role}. Ask whoever makes keys for one.",
    )


def test_each_value_of_a_booking_is_an_argument() -> None:
    assert {*REQUIRED, *OPTIONAL} == {field.name for field in dataclasses.fields(BookingInput)}


def test_all_that_is_wrong_with_one_field_is_told() -> None:
    error = _error_of(InvalidInput(Problem("notes", "TOO_LONG", "Too long."), Problem("notes", "INVALID", "Not a text.")))

    assert (error.extensions or {})["argErrors"] == {"notes": ["Too long.", "Not a text."]}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("users", ["created", "location_groups", "modified", "last_name"]),
        ("locations", ["addresses", "created"]),
        ("care-enquiries", ["created", "first_name", "funding_type"]),
        ("service-user-contacts", ["modified", "next_of_kin", "phone"]),
    ],
)
async def test_what_only_the_source_has_of_people_is_null(gateway: Gateway, key: Key, path: str, names: list[str]) -> None:
    answer = await gateway.call(key, "GET", f"/v1/{path}", [("attributes", name) for name in names])

    items = answer.json["items"]
    assert [list(item) for item in items] == [sorted(["_id", *names])] * len(items)
    own = {"first_name", "last_name", "phone"}
    assert {item[name] for item in items for name in names if name not in own} == {None}
