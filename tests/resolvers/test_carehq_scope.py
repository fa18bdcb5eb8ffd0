"""A key sees what a token of the same scope sees: each document equals what GraphQL answers for it, field by field."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from storage.caller import Caller
from storage.carehq.documents import KINDS
from storage.carehq.exporting import attributes_of
from storage.database import Database
from tests import world
from tests.asking import Ask, engine
from tests.databases import path_of
from tests.inspection import inspect
from tests.resolvers.carehq import Gateway, Key, gateway_over
from tests.world import (
    ANNA,
    BEECHES,
    BEN,
    ELSEWHERE,
    FOR_BEECHES,
    STUB_CONTACT,
    STUB_HOME,
    STUB_USER,
    UNKNOWN,
    VISIT_IDS,
    WILLOWS,
)

CALLERS = {
    "everything": world.EVERYBODY,
    "the Willows": world.limited_to(WILLOWS),
    "the Beeches": world.limited_to(BEECHES),
    "a stub": world.limited_to(STUB_HOME),
    "two homes": world.limited_to(WILLOWS, BEECHES),
    "no home": world.limited_to(),
}
PEOPLE = {kind: [record.id for record in world.references() if record.__tablename__ == kind] for kind in KINDS}
IDS: Mapping[str, list[str]] = PEOPLE | {"home_visits": VISIT_IDS}
CONTACT = "... on ServiceUserContact { id email firstName lastName phone careEnquiry { id } }"
FIELDS = {
    "users": "id email firstName lastName locationRole: role locations { id } suspended",
    "locations": "id email name phone timeZone",
    "care_enquiries": "id anonymized assignedTo { id } careSeeker { email firstName lastName phone } location { id }",
    "service_user_contacts": CONTACT,
    "home_visits": "id anonymized assignedTo { id } cancelled careEnquiry { id } completed created dateTime host location { id } "
    "modified notes serviceUserContact { id } visitType",
}
ROOTS = {
    "users": "user",
    "locations": "location",
    "care_enquiries": "careEnquiry",
    "service_user_contacts": "node",
    "home_visits": "homeVisit",
}


@pytest.fixture
async def gateway(database: Database) -> Any:
    works = {ANNA: [WILLOWS, BEECHES], BEN: [UNKNOWN, STUB_HOME], STUB_USER: []}
    script = [f"UPDATE users SET locations = '{json.dumps(homes)}' WHERE id = '{id}'" for id, homes in works.items()]  # noqa: S608 - ours
    # Who comes to the Willows is of an enquiry that is seen at neither home.
    script.append(f"UPDATE service_user_contacts SET care_enquiry = '{ELSEWHERE}' WHERE id = '{STUB_CONTACT}'")  # noqa: S608 - ours
    script.append(f"UPDATE home_visits SET service_user_contact = '{STUB_CONTACT}' WHERE id = '{VISIT_IDS[0]}'")  # noqa: S608 - ours
    # The triggers of PostgreSQL do not run for this script.
    sighting = f"('{STUB_CONTACT}', '{WILLOWS}', '{VISIT_IDS[0]}')"
    script.append(f"INSERT INTO sightings (record, location, home_visit) VALUES {sighting} ON CONFLICT DO NOTHING")  # noqa: S608 - ours
    inspect(path_of(database)).execute(";".join(script))
    async with gateway_over(database) as gateway:
        yield gateway


def document(kind: str, node: dict[str, Any]) -> dict[str, Any]:
    """Return a node of GraphQL's as the source writes it."""
    node |= node.pop("careSeeker", None) or {} if "careSeeker" in node else {}
    found = {name: _written(node.get(_camel(name))) for name in attributes_of(KINDS[kind]) if name != "_id"}
    if kind == "locations" and node["id"] != WILLOWS:
        # It names none, and GraphQL tells ours.
        assert found.pop("time_zone") == "Europe/London"
        found["time_zone"] = None
    for name in ("host", "visit_type", "location_role"):
        if found.get(name):
            found[name] = found[name].lower()
    return {"_id": node["id"], **found}


def _camel(name: str) -> str:
    first, *words = name.split("_")
    return first + "".join(map(str.capitalize, words))


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return value["id"]
    if isinstance(value, list):
        return [item["id"] for item in value]
    is_instant = isinstance(value, str) and value.endswith("Z") and value[:4].isdigit()
    return value[:19].replace("T", " ") if is_instant else value


@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_document_is_what_graphql_answers_for_the_same_caller(gateway: Gateway, kind: str, caller: Caller) -> None:
    key, ask = await gateway.key(caller), Ask(gateway.database, engine(planned=True))
    path = f"/v1/{kind.replace('_', '-')}"
    query = " ".join(f'_{id}: {ROOTS[kind]}(id: "{id}") {{ {FIELDS[kind]} }}' for id in IDS[kind][:10])
    nodes = await ask.data(f"{{ {query} }}", caller=caller)
    expected = {id[1:]: document(kind, node) for id, node in nodes.items() if node}

    one = {id[1:]: await gateway.call(key, "GET", f"{path}/{id[1:]}") for id in nodes}
    listed = await listed_documents(gateway, key, kind)

    assert {id: answer.json for id, answer in one.items() if answer.status != 404} == expected
    assert {id: document for id, document in listed.items() if f"_{id}" in nodes} == expected


async def listed_documents(gateway: Gateway, key: Key, kind: str) -> dict[str, dict[str, Any]]:
    attributes = [("attributes", name) for name in attributes_of(KINDS[kind])]
    answer = await gateway.call(key, "GET", f"/v1/{kind.replace('_', '-')}", [*attributes, ("per_page", "100")])
    return {item["_id"]: item for item in answer.json["items"]}


async def test_what_is_seen_because_of_a_visit_does_not_show_where_else_it_belongs(gateway: Gateway) -> None:
    key = await gateway.key(world.limited_to(WILLOWS))

    paths = f"users/{ANNA}", f"care-enquiries/{FOR_BEECHES}", f"service-user-contacts/{STUB_CONTACT}"
    user, enquiry, contact = [(await gateway.call(key, "GET", f"/v1/{path}")).json for path in paths]

    # She works at the Beeches as well; he is asked about there, and was to visit the Willows.
    assert (user["locations"], enquiry["location"], contact["care_enquiry"]) == ([WILLOWS], None, None)
