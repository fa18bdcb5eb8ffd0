"""Each read answers exactly what is kept, by a number of statements that does not grow with what is read."""

from typing import Any

import pytest

from storage.reference_cache import ReferenceCache
from tests import world
from tests.asking import Ask
from tests.world import ANNA, BEECHES, BEN, DAUGHTER, FOR_BEECHES, FOR_WILLOWS, STUB_HOME, UNKNOWN, VISIT_IDS, WILLOWS, limited_to


async def statements(ask: Ask, document: str, variables: dict[str, Any] | None = None) -> int:
    ask.database.reference_cache = ReferenceCache(ask.database.version)
    response = await ask(document, variables)
    assert response.errors == []
    assert response.written == 0
    return response.statements


async def ids(ask: Ask, arguments: str) -> list[str]:
    data = await ask.data(f"{{ homeVisits({arguments}) {{ nodes {{ id }} }} }}")
    return [node["id"] for node in data["homeVisits"]["nodes"]]


async def test_a_visit_is_found_by_its_id_with_one_statement(ask: Ask) -> None:
    response = await ask(f'{{ homeVisit(id: "{VISIT_IDS[4]}") {{ id notes status }} }}')

    assert response.data == {"homeVisit": {"id": VISIT_IDS[4], "notes": "", "status": "CANCELLED"}}
    assert (response.errors, response.statements) == ([], 1)


@pytest.mark.parametrize("field", ["homeVisit", "careEnquiry", "location", "user", "node"])
@pytest.mark.parametrize("id", [UNKNOWN, "", "'; DROP TABLE home_visits; --", "A" * 10_000, "5000000000000000000000é0"])
async def test_what_nobody_knows_is_null(ask: Ask, field: str, id: str) -> None:
    assert await ask.data(f"query ($id: ID!) {{ {field}(id: $id) {{ id }} }}", {"id": id}) == {field: None}


@pytest.mark.parametrize(
    ("field", "id", "statements_needed"),
    [("careEnquiry", FOR_WILLOWS, 1), ("location", WILLOWS, 1), ("user", ANNA, 1), ("homeVisit", VISIT_IDS[0], 1)],
)
async def test_each_kind_is_found_by_its_id_with_one_statement(ask: Ask, field: str, id: str, statements_needed: int) -> None:
    response = await ask(f'{{ {field}(id: "{id}") {{ __typename id }} }}')

    assert response.data == {field: {"__typename": field[0].upper() + field[1:], "id": id}}
    assert response.statements == statements_needed


@pytest.mark.parametrize("field", ["homeVisit", "careEnquiry", "location", "user"])
async def test_the_id_of_another_kind_finds_nothing(ask: Ask, field: str) -> None:
    others = {"homeVisit": WILLOWS, "careEnquiry": ANNA, "location": FOR_WILLOWS, "user": VISIT_IDS[0]}

    assert await ask.data(f'{{ {field}(id: "{others[field]}") {{ id }} }}') == {field: None}


@pytest.mark.parametrize(
    ("id", "kind"),
    [
        (VISIT_IDS[0], "HomeVisit"),
        (FOR_WILLOWS, "CareEnquiry"),
        (WILLOWS, "Location"),
        (ANNA, "User"),
        (DAUGHTER, "ServiceUserContact"),
    ],
)
async def test_a_node_is_found_whatever_its_kind(ask: Ask, id: str, kind: str) -> None:
    assert await ask.data(f'{{ node(id: "{id}") {{ __typename id }} }}') == {"node": {"__typename": kind, "id": id}}


async def test_the_first_ten_visits_by_id_are_listed_by_one_statement(ask: Ask) -> None:
    response = await ask("{ homeVisits { nodes { id } pageInfo { hasNextPage hasPreviousPage } } }")

    assert response.data == {
        "homeVisits": {
            "nodes": [{"id": id} for id in VISIT_IDS[:10]],
            "pageInfo": {"hasNextPage": True, "hasPreviousPage": False},
        }
    }
    assert response.statements == 1


async def test_visits_are_counted_only_when_asked(ask: Ask) -> None:
    counted = await ask("{ homeVisits(first: 1) { totalCount nodes { id } } }")

    assert counted.data == {"homeVisits": {"totalCount": 24, "nodes": [{"id": VISIT_IDS[0]}]}}
    assert counted.statements == 2


async def test_a_count_under_several_names_is_one_statement(ask: Ask) -> None:
    counted = await ask("{ homeVisits(first: 0) { totalCount all: totalCount } }")

    assert counted.data == {"homeVisits": {"totalCount": 24, "all": 24}}
    assert counted.statements == 2


async def test_edges_carry_the_cursors_that_page_info_tells(ask: Ask) -> None:
    data = await ask.data(
        "{ homeVisits(first: 2) { edges { cursor node { id } } nodes { id } pageInfo { startCursor endCursor } } }"
    )

    page = data["homeVisits"]
    assert [edge["node"] for edge in page["edges"]] == page["nodes"]
    assert [edge["cursor"] for edge in page["edges"]] == [page["pageInfo"]["startCursor"], page["pageInfo"]["endCursor"]]


@pytest.mark.parametrize(("size", "after", "first"), [("first", "after", True), ("last", "before", False)])
async def test_pages_lead_through_every_visit_once(ask: Ask, size: str, after: str, first: bool) -> None:
    order = "orderBy: [{ field: DATE_TIME }, { field: MODIFIED }]"
    document = f"""query ($cursor: String) {{ homeVisits({size}: 7, {after}: $cursor, {order}) {{
        nodes {{ id }} pageInfo {{ startCursor endCursor hasNextPage hasPreviousPage }} }} }}"""
    walked: list[str] = []
    cursor = None

    for _ in range(4):
        page = (await ask.data(document, {"cursor": cursor}))["homeVisits"]
        found = [node["id"] for node in page["nodes"]]
        walked = walked + found if first else found + walked
        cursor = page["pageInfo"]["endCursor" if first else "startCursor"]

    assert page["pageInfo"]["hasNextPage" if first else "hasPreviousPage"] is False
    assert sorted(walked) == VISIT_IDS
    assert walked == await ids(ask, f"first: 100, {order}")


FILTERS = [
    (f'ids: ["{VISIT_IDS[3]}", "{UNKNOWN}", "{VISIT_IDS[1]}"]', [1, 3]),
    ("ids: []", []),
    (f'careEnquiry: "{world.STUB_ENQUIRY}"', [12, 13, 14]),
    (f'location: ["{BEECHES}"], status: [COMPLETED]', [5, 14, 23]),
    (f'assignedTo: ["{BEN}"], cancelled: true', [4, 16, 22]),
    (f'serviceUserContact: ["{world.SON}"]', [3, 5, 9, 11, 21, 23]),
    ("host: [NURSE, OTHER], visitType: IN_PERSON", [8, 16]),
    ("anonymized: true", [8]),
    ("cancelled: false, completed: false, host: MANAGER", [0, 9, 18]),
    ('startDate: "2024-11-05", endDate: "2024-11-05"', [4, 9, 14, 19]),
    # In Tokyo the day begins nine hours before.
    ('startDate: "2024-11-05", endDate: "2024-11-05", timeZone: "Asia/Tokyo"', [3, 4, 8, 9, 13, 14, 18, 19, 23]),
    ('modifiedAfter: "2024-11-03T09:29:59.98Z"', [1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19]),
    ('modifiedBefore: "2024-10-25T09:09:00Z"', [0]),
    ('keyword: "VISIT 2: CAFÉ"', [2]),
    ('keyword: " visit 2"', [2, 21, 22, 23]),
    ('keyword: "%"', []),
    (
        "status: null, keyword: null, ids: null, host: [MANAGER, NURSE, OTHER, CARER, RECEPTIONIST], completed: true",
        [5, 8, 14, 17, 23],
    ),
]


@pytest.mark.parametrize(("filter", "found"), FILTERS)
async def test_a_filter_finds_what_meets_all_its_conditions(ask: Ask, filter: str, found: list[int]) -> None:
    assert await ids(ask, f"first: 100, filter: {{ {filter} }}") == [VISIT_IDS[n] for n in found]


REFUSED = [
    ("first: 1, last: 1", "Ask for either the `first` or the `last` of a list, not both at once."),
    ("first: 101", "`first` must be from 0 to 100: it is 101. Page through longer lists with cursors."),
    ("last: -1", "`last` must be from 0 to 100: it is -1. Page through longer lists with cursors."),
    (
        'after: "nonsense"',
        "`after` is no cursor of this list: pass a cursor from it unchanged, with the `orderBy` it came with.",
    ),
    (
        f'before: "aXx{VISIT_IDS[0]}"',
        "`before` is no cursor of this list: pass a cursor from it unchanged, with the `orderBy` it came with.",
    ),
    (f'filter: {{ keyword: "{"x" * 101}" }}', "`keyword` may have at most 100 characters: this one has 101."),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
async def test_a_page_that_cannot_be_served_is_refused_with_what_to_do(ask: Ask, arguments: str, message: str) -> None:
    response = await ask(f"{{ homeVisits({arguments}) {{ nodes {{ id }} }} }}")

    assert (response.data, response.statements) == (None, 0)
    assert response.errors == [
        {
            "message": message,
            "locations": [{"line": 1, "column": 3}],
            "path": ["homeVisits"],
            "extensions": {"code": "BAD_USER_INPUT", "requestId": "the-request"},
        }
    ]


@pytest.mark.parametrize("parent", ["location", "user", "careEnquiry"])
async def test_a_record_lists_the_visits_that_refer_to_it_by_time(ask: Ask, parent: str) -> None:
    id, filter = {
        "location": (BEECHES, f'location: "{BEECHES}"'),
        "user": (BEN, f'assignedTo: "{BEN}"'),
        "careEnquiry": (FOR_BEECHES, f'careEnquiry: "{FOR_BEECHES}"'),
    }[parent]

    response = await ask(f'{{ {parent}(id: "{id}") {{ homeVisits(first: 100) {{ totalCount nodes {{ id }} }} }} }}')

    expected = await ids(ask, f"first: 100, filter: {{ {filter} }}, orderBy: [{{ field: DATE_TIME }}]")
    page = response.data[parent]["homeVisits"]
    assert ([node["id"] for node in page["nodes"]], page["totalCount"]) == (expected, len(expected))
    assert len(expected) == 9
    assert response.statements == 3


async def test_a_nested_list_takes_the_same_arguments(ask: Ask) -> None:
    arguments = "last: 2, filter: { status: [PENDING] }, orderBy: [{ field: CREATED, direction: DESC }]"

    data = await ask.data(f'{{ location(id: "{WILLOWS}") {{ homeVisits({arguments}) {{ nodes {{ id }} }} }} }}')

    assert data == {"location": {"homeVisits": {"nodes": [{"id": VISIT_IDS[6]}, {"id": VISIT_IDS[0]}]}}}


REFERENCES = (
    """location { name } assignedTo { firstName } careEnquiry { careSeeker { firstName } } serviceUserContact { firstName }"""
)


@pytest.mark.parametrize(
    ("selection", "needed"),
    [
        ("nodes { id }", 1),
        ("nodes { location { id } assignedTo { id } careEnquiry { id } serviceUserContact { id } }", 1),
        (f"nodes {{ {REFERENCES} }}", 5),
        (f"edges {{ cursor node {{ {REFERENCES} }} }}", 5),
        (f"totalCount edges {{ node {{ {REFERENCES} }} }} nodes {{ {REFERENCES} }}", 6),
        # An enquiry's own references are read apart: the caller may have to be allowed to see them.
        ("nodes { careEnquiry { assignedTo { firstName } location { name } } assignedTo { firstName } location { name } }", 5),
        ("nodes { serviceUserContact { careEnquiry { assignedTo { firstName } } } }", 4),
        ("nodes { location { homeVisits(first: 3) { nodes { id } } } }", 3),
        ("nodes { location { homeVisits(first: 3) { totalCount nodes { id } } } }", 4),
        (f"nodes {{ location {{ homeVisits(first: 3) {{ nodes {{ {REFERENCES} }} }} }} }}", 6),
        (f"edges {{ node {{ assignedTo {{ homeVisits(last: 2) {{ edges {{ node {{ {REFERENCES} }} }} }} }} }} }}", 6),
        ("nodes { location { homeVisits(first: 2) { totalCount } } careEnquiry { homeVisits(first: 2) { totalCount } } }", 7),
    ],
)
async def test_statements_do_not_grow_with_the_number_of_visits(ask: Ask, selection: str, needed: int) -> None:
    document = f"query ($first: Int) {{ homeVisits(first: $first) {{ {selection} }} }}"

    few, many = [await statements(ask, document, {"first": first}) for first in (6, 24)]

    assert (few, many) == (needed, needed)


async def test_what_was_read_on_the_way_is_not_read_again(ask: Ask) -> None:
    nested = f"location {{ homeVisits(first: 3) {{ nodes {{ {REFERENCES} }} }} }}"
    document = f"query ($first: Int) {{ homeVisits(first: $first) {{ nodes {{ {nested} {REFERENCES} }} }} }}"

    some, all = [await statements(ask, document, {"first": first}) for first in (6, 24)]

    # The six visits miss two of the people whom the nested ones refer to.
    assert (some, all) == (8, 6)


async def test_statements_do_not_grow_with_the_names_of_a_field(ask: Ask) -> None:
    homes = " ".join(
        f'l{n}: location(id: "{id}") {{ name homeVisits {{ nodes {{ id }} }} }}' for n, id in enumerate([WILLOWS, BEECHES] * 5)
    )

    assert await statements(ask, f"{{ {homes} }}") == 2


async def test_the_viewer_is_told_without_a_statement(ask: Ask) -> None:
    response = await ask("{ viewer { subject roles locations { id } } }")

    assert response.data == {"viewer": {"subject": "everybody", "roles": ["VIEWER", "COORDINATOR", "ADMIN"], "locations": None}}
    assert response.statements == 0


async def test_a_limited_viewer_is_told_their_locations_by_one_statement(ask: Ask) -> None:
    response = await ask("{ viewer { subject roles locations { id name } } }", caller=limited_to(WILLOWS, STUB_HOME, UNKNOWN))

    assert response.data["viewer"] == {
        "subject": "limited",
        "roles": ["COORDINATOR"],
        "locations": [{"id": WILLOWS, "name": "The Willows"}, {"id": STUB_HOME, "name": None}],
    }
    assert response.statements == 1


async def test_a_viewer_limited_to_no_location_has_none(ask: Ask) -> None:
    assert await ask.data("{ viewer { locations { id } } }", caller=limited_to()) == {"viewer": {"locations": []}}
