"""Nobody sees, counts or changes what is at locations of others: it is for them as if it were not there."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from graphql import OperationType, get_named_type

from storage.caller import Caller, Role
from tests import world
from tests.asking import Ask, Response, engine
from tests.databases import copied, database_at, path_of
from tests.inspection import inspect
from tests.resolvers import halves
from tests.resolvers.halves import CANARY, HIDDEN, OURS, SEEN, US
from tests.resolvers.reach import ROOTS, document_of, everything, fields, legible, met
from tests.schema.execution.oracle import LOOSE

OPERATIONS = [(kind, name) for kind, root in ROOTS.items() for name in root.fields]
BOOKING = {"dateTime": "2024-11-20T14:00:00Z", "host": "OTHER", "visitType": "VIRTUAL"}


@pytest.fixture(scope="session")
def halves_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("halves") / "halves.db"
    halves.make(path)
    return path


@pytest.fixture(params=[True, False], ids=["planned", "standard"])
async def ask_ours(halves_file: Path, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Ask]:
    """Ask in the world of two halves."""
    database = await database_at(copied(halves_file, tmp_path / "halves.db")).open()
    yield Ask(database, engine(planned=request.param, limits=LOOSE))
    await database.close()


async def change(ask: Ask, name: str, input: dict[str, Any], selection: str) -> Response:
    type = name[0].upper() + name[1:]
    whole = (BOOKING if name == "bookHomeVisit" else {}) | input
    return await ask(f"mutation ($input: {type}Input!) {{ {name}(input: $input) {selection} }}", {"input": whole}, caller=US)


async def read(ask: Ask, name: str, id: str, selection: str, caller: Caller = US) -> Response:
    if id:
        return await ask(f"query ($id: ID!) {{ {name}(id: $id) {selection} }}", {"id": id}, caller=caller)
    return await ask(f"{{ {name} {selection} }}", caller=caller)


@pytest.mark.parametrize(("kind", "name"), OPERATIONS)
async def test_a_root_field_answers_nobody_without_a_role(ask: Ask, kind: OperationType, name: str) -> None:
    response = await ask(document_of(kind, name), caller=Caller("stranger", frozenset()))

    assert [error["extensions"]["code"] for error in response.errors] == ["FORBIDDEN"]
    assert not any((response.data or {}).values())
    assert (response.statements, response.written) == (0, 0)


@pytest.mark.parametrize("name", list(ROOTS[OperationType.MUTATION].fields))
async def test_who_may_only_read_may_change_nothing(ask: Ask, name: str) -> None:
    response = await ask(document_of(OperationType.MUTATION, name), caller=Caller("viewer", frozenset({Role.VIEWER})))

    assert [error["extensions"]["code"] for error in response.errors] == ["FORBIDDEN"]
    assert (response.statements, response.written) == (0, 0)


READS = [
    *(("homeVisit", id) for id in (SEEN["visit"], SEEN["ended"], HIDDEN["visit"], HIDDEN["third"])),
    *(("careEnquiry", id) for id in (SEEN["enquiry"], SEEN["moved"], HIDDEN["enquiry"])),
    *(("location", id) for id in (OURS, HIDDEN["location"])),
    *(("user", id) for id in (SEEN["user"], HIDDEN["user"])),
    *(("node", id) for id in (*SEEN.values(), *HIDDEN.values())),
    *((name, "") for name in ("homeVisits", "careEnquiries", "locations", "users", "viewer")),
]
CHANGES = [
    ("cancelHomeVisit", {"id": SEEN["visit"], "expectedVersion": 9}),
    ("completeHomeVisit", {"id": SEEN["visit"], "expectedVersion": 9}),
    ("updateHomeVisit", {"id": SEEN["visit"], "expectedVersion": 9}),
    ("updateHomeVisit", {"id": SEEN["visit"], "host": None, "notes": "x" * 10_001}),
    ("updateHomeVisit", {"id": SEEN["visit"], "notes": "New."}),
    ("completeHomeVisit", {"id": SEEN["later"]}),
    ("cancelHomeVisit", {"id": SEEN["ended"]}),
    ("cancelHomeVisit", {"id": HIDDEN["visit"]}),
    ("completeHomeVisit", {"id": HIDDEN["other visit"]}),
    ("updateHomeVisit", {"id": HIDDEN["third"], "notes": "New."}),
    ("bookHomeVisit", {"careEnquiry": SEEN["enquiry"], "assignedTo": SEEN["user"], "idempotencyKey": "k"}),
    ("bookHomeVisit", {"careEnquiry": SEEN["enquiry"], "assignedTo": SEEN["user"], "idempotencyKey": "k", "notes": "Other."}),
    ("bookHomeVisit", {"careEnquiry": SEEN["moved"]}),
    ("bookHomeVisit", {"careEnquiry": HIDDEN["enquiry"]}),
    ("bookHomeVisit", {"careEnquiry": SEEN["enquiry"], "serviceUserContact": HIDDEN["contact"]}),
    ("cancelHomeVisit", {"id": SEEN["visit"]}),
]


async def test_every_field_is_reached_within_our_locations_and_shows_nothing_of_the_others(ask_ours: Ask) -> None:
    reads = [(name, id, await read(ask_ours, name, id, all_of(OperationType.QUERY, name))) for name, id in READS]
    changes = [
        (name, str(input.get("id", "")), await change(ask_ours, name, input, all_of(OperationType.MUTATION, name)))
        for name, input in CHANGES
    ]

    reached: set[str] = set()
    for name, id, response in [*reads, *changes]:
        assert response.errors == []
        reached |= set(met(response.data))
        # An ID that was asked for is the caller's own word.
        shown = legible(response.data).replace(id or CANARY * 2, "")
        assert (name, re.findall(rf"{CANARY}|bad\d{{21}}", shown)) == (name, [])
    assert fields() - reached == set()


def all_of(kind: OperationType, name: str) -> str:
    return everything(get_named_type(ROOTS[kind].fields[name].type))


async def test_who_is_limited_to_nothing_sees_nothing(ask_ours: Ask) -> None:
    lists = ("homeVisits", "careEnquiries", "locations", "users")
    selections = dict.fromkeys(lists, "{ totalCount nodes { id } }") | {"viewer": "{ subject locations { id } }"}

    responses = {
        (name, id): await read(ask_ours, name, id, selections.get(name, "{ id }"), caller=world.limited_to())
        for name, id in READS
    }

    assert all(response.errors == [] for response in responses.values())
    found = {root: response.data[root[0]] for root, response in responses.items()}
    assert found.pop(("viewer", "")) == {"subject": "limited", "locations": []}
    for name in lists:
        assert found.pop((name, "")) == {"totalCount": 0, "nodes": []}
    assert set(found.values()) == {None}


async def test_where_a_user_works_is_told_as_far_as_the_caller_sees(ask_ours: Ask) -> None:
    inspect(path_of(ask_ours.database)).execute("UPDATE users SET suspended = TRUE")
    selection = "{ role suspended locations { id } }"

    ours = await read(ask_ours, "user", SEEN["user"], selection)
    everything = await read(ask_ours, "user", SEEN["user"], selection, world.EVERYBODY)

    assert ours.data == {"user": {"role": "OTHER", "suspended": True, "locations": [{"id": OURS}]}}
    assert everything.data["user"]["locations"] == [{"id": HIDDEN["location"]}, {"id": OURS}]


UNKNOWN = f"abe{9:021}"
NOT_FOUND = "{ __typename ... on UserError { message } ... on HomeVisitNotFoundError { homeVisitId } }"
REFUSED = "{ __typename ... on UserError { message } ... on InvalidInputError { problems { path code message } } }"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("homeVisit", "visit"),
        ("careEnquiry", "enquiry"),
        ("location", "location"),
        ("user", "user"),
        *(("node", kind) for kind in HIDDEN),
    ],
)
async def test_out_of_sight_is_read_as_not_found(ask_ours: Ask, name: str, kind: str) -> None:
    hidden, unknown = [await read(ask_ours, name, id, "{ __typename id }") for id in (HIDDEN[kind], UNKNOWN)]

    assert hidden[:2] == unknown[:2] == ({name: None}, [])


@pytest.mark.parametrize("name", ["updateHomeVisit", "cancelHomeVisit", "completeHomeVisit"])
@pytest.mark.parametrize("kind", HIDDEN)
@pytest.mark.parametrize("more", [{}, {"expectedVersion": 7}])
async def test_out_of_sight_is_changed_as_not_found(ask_ours: Ask, name: str, kind: str, more: dict[str, Any]) -> None:
    hidden, unknown = [await change(ask_ours, name, {"id": id} | more, NOT_FOUND) for id in (HIDDEN[kind], UNKNOWN)]

    assert hidden.data[name]["__typename"] == "HomeVisitNotFoundError"
    assert alike(hidden, unknown, HIDDEN[kind])


@pytest.mark.parametrize(
    ("field", "kind", "more"),
    [
        ("careEnquiry", "enquiry", {}),
        ("careEnquiry", "enquiry", {"serviceUserContact": HIDDEN["contact"], "notes": "x" * 10_001}),
        ("careEnquiry", "enquiry", {"idempotencyKey": ""}),
        ("serviceUserContact", "contact", {"careEnquiry": SEEN["enquiry"]}),
        ("serviceUserContact", "contact", {"careEnquiry": UNKNOWN}),
        ("serviceUserContact", "contact", {"careEnquiry": HIDDEN["enquiry"]}),
        ("assignedTo", "user", {"careEnquiry": SEEN["enquiry"]}),
        ("assignedTo", "user", {"careEnquiry": SEEN["enquiry"], "idempotencyKey": "k"}),
    ],
)
async def test_out_of_sight_is_booked_for_as_not_found(ask_ours: Ask, field: str, kind: str, more: dict[str, Any]) -> None:
    hidden, unknown = [await change(ask_ours, "bookHomeVisit", more | {field: id}, REFUSED) for id in (HIDDEN[kind], UNKNOWN)]

    assert {"path": ["input", field], "code": "NOT_FOUND"}.items() <= hidden.data["bookHomeVisit"]["problems"][
        -1 if kind == "contact" else 0
    ].items()
    assert alike(hidden, unknown, HIDDEN[kind])


@pytest.mark.parametrize("more", [{}, {"notes": "x" * 10_001}, {"host": None}])
async def test_out_of_sight_is_assigned_as_not_found(ask_ours: Ask, more: dict[str, Any]) -> None:
    input = {"id": SEEN["visit"]} | more

    hidden, unknown = [
        await change(ask_ours, "updateHomeVisit", input | {"assignedTo": id}, REFUSED) for id in (HIDDEN["user"], UNKNOWN)
    ]

    problems = hidden.data["updateHomeVisit"]["problems"]
    assert [(one["path"], one["code"]) for one in problems][-1] == (["input", "assignedTo"], "NOT_FOUND")
    assert alike(hidden, unknown, HIDDEN["user"])


def alike(hidden: Response, unknown: Response, id: str) -> bool:
    """Tell whether two answers are the same to the letter, apart from the ID."""
    assert (hidden.errors, hidden.written, unknown.errors, unknown.written) == ([], 0, [], 0)
    return json.dumps(hidden.data).replace(id, UNKNOWN) == json.dumps(unknown.data)
