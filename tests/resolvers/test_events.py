"""What happened to visits, as clients read it: the history of each, and the feed of all, from wherever one has come to."""

from typing import Any

import pytest

from schema.execution.engine import Served
from storage.caller import Caller
from storage.database import Database
from storage.identifiers import is_identifier
from tests import world
from tests.asking import Ask, engine
from tests.databases import path_of
from tests.inspection import inspect
from tests.world import BEECHES, BEN, FOR_BEECHES, FOR_WILLOWS, PENDING, WILLOWS

EVENT = "id sequence at actor type version changes { field before after } homeVisit { id status location { name } }"
PAGE = "edges { cursor node { %s } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
FEED = """query ($filter: HomeVisitEventFilter, $first: Int, $after: String, $last: Int, $before: String) {
  homeVisitEvents(filter: $filter, first: $first, after: $after, last: $last, before: $before) { %s } }"""
HISTORY = "query ($id: ID!, $first: Int) { homeVisit(id: $id) { id history(first: $first) { %s } } }"
BOOK = """mutation ($enquiry: ID!) { bookHomeVisit(input: { careEnquiry: $enquiry, dateTime: "2024-11-20T14:00:00Z", host: OTHER,
  visitType: VIRTUAL, notes: "Wheelchair." }) { ... on BookHomeVisitSuccess { homeVisit { id history { nodes { %s } } } } } }"""
UPDATE = """mutation ($id: ID!) { updateHomeVisit(input: { id: $id, host: NURSE, notes: "Other.", assignedTo: null,
  dateTime: "2024-11-21T14:00:00Z" }) { ... on UpdateHomeVisitSuccess { homeVisit { version } } } }"""
NODE = "query ($id: ID!) { node(id: $id) { %s } }"
CANCEL = "mutation ($id: ID!) { cancelHomeVisit(input: { id: $id }) { __typename } }"


async def book(ask: Ask, enquiry: str = FOR_WILLOWS, caller: Caller = world.EVERYBODY) -> str:
    data = await ask.data(BOOK % "id", {"enquiry": enquiry}, caller=caller)
    return str(data["bookHomeVisit"]["homeVisit"]["id"])


async def feed(ask: Ask, selection: str = "nodes { sequence }", caller: Caller = world.EVERYBODY, **variables: Any) -> Any:
    return (await ask.data(FEED % selection, variables, caller=caller))["homeVisitEvents"]


async def sequences(ask: Ask, caller: Caller = world.EVERYBODY, **variables: Any) -> list[int]:
    return [event["sequence"] for event in (await feed(ask, caller=caller, **variables))["nodes"]]


async def cursor(ask: Ask, **variables: Any) -> str:
    return str((await feed(ask, "pageInfo { endCursor }", **variables))["pageInfo"]["endCursor"])


async def test_the_answer_of_a_booking_has_its_event(ask: Ask) -> None:
    data = await ask.data(BOOK % "sequence type version actor at changes { field }", {"enquiry": FOR_WILLOWS})

    (event,) = data["bookHomeVisit"]["homeVisit"]["history"]["nodes"]
    assert event == {
        "sequence": 1,
        "type": "BOOKED",
        "version": 1,
        "actor": "everybody",
        "at": "2024-11-04T09:30:00Z",
        "changes": [],
    }


async def test_an_event_says_what_changed_by_the_names_of_the_api_and_nothing_personal(ask: Ask) -> None:
    id = await book(ask)
    await ask.data(UPDATE, {"id": id})

    data = await ask.data(HISTORY % f"nodes {{ {EVENT} }}", {"id": id})

    _, event = data["homeVisit"]["history"]["nodes"]
    assert is_identifier(event.pop("id"))
    assert event == {
        "sequence": 2,
        "at": "2024-11-04T09:30:00Z",
        "actor": "everybody",
        "type": "UPDATED",
        "version": 2,
        "changes": [
            {"field": "dateTime", "before": "2024-11-20T14:00:00Z", "after": "2024-11-21T14:00:00Z"},
            {"field": "host", "before": "OTHER", "after": "NURSE"},
            {"field": "notes", "before": None, "after": None},
        ],
        "homeVisit": {"id": id, "status": "PENDING", "location": {"name": "The Willows"}},
    }


async def test_the_feed_is_paged_from_both_ends(ask: Ask) -> None:
    for _ in range(5):
        await book(ask)
    whole = await feed(ask, PAGE % "sequence")
    cursors = [edge["cursor"] for edge in whole["edges"]]

    first = await feed(ask, PAGE % "sequence", first=2)
    middle = await feed(ask, PAGE % "sequence", first=2, after=cursors[1])
    last = await feed(ask, PAGE % "sequence", last=2)
    before = await feed(ask, PAGE % "sequence", last=2, before=cursors[3])
    between = await feed(ask, PAGE % "sequence", first=9, after=cursors[0], before=cursors[4])

    def shown(page: Any) -> tuple[list[int], bool, bool]:
        info = page["pageInfo"]
        assert (info["startCursor"], info["endCursor"]) == (page["edges"][0]["cursor"], page["edges"][-1]["cursor"])
        return [edge["node"]["sequence"] for edge in page["edges"]], info["hasPreviousPage"], info["hasNextPage"]

    assert shown(whole) == ([1, 2, 3, 4, 5], False, False)
    assert shown(first) == ([1, 2], False, True)
    assert shown(middle) == ([3, 4], True, True)
    assert shown(last) == ([4, 5], True, False)
    assert shown(before) == ([2, 3], True, True)
    assert shown(between) == ([2, 3, 4], True, True)


async def test_an_empty_page_keeps_the_place_of_a_follower(ask: Ask) -> None:
    beginning = await cursor(ask, last=1)
    assert await cursor(ask, after=beginning) == beginning
    await book(ask)

    found = await sequences(ask, after=beginning)
    newest = await cursor(ask, last=1)
    at_the_end = await feed(ask, PAGE % "sequence", first=3, after=newest)
    await book(ask)

    assert found == [1]
    assert at_the_end == {
        "edges": [],
        "nodes": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": True, "startCursor": None, "endCursor": newest},
    }
    assert await sequences(ask, after=newest) == [2]


async def test_no_events_are_shown_where_none_are_asked_for(ask: Ask) -> None:
    await book(ask)

    assert (await feed(ask, PAGE % "sequence", first=0))["pageInfo"]["hasNextPage"] is True
    assert (await feed(ask, PAGE % "sequence", last=0))["pageInfo"]["hasPreviousPage"] is True
    assert (await sequences(ask, first=0), await sequences(ask, last=0)) == ([], [])


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ("UPDATE home_visit_events SET id = 'aaaaaaaaaaaaaaaaaaaaaaaa' WHERE sequence = 2", "after"),
        ("UPDATE home_visit_events SET id = 'aaaaaaaaaaaaaaaaaaaaaaaa' WHERE sequence = 2", "before"),
        ("DELETE FROM home_visit_events WHERE sequence = 2", "after"),
    ],
)
async def test_a_feed_that_was_restored_says_so(ask: Ask, change: str, argument: str) -> None:
    await book(ask)
    await book(ask)
    newest = await cursor(ask, last=1)
    inspect(path_of(ask.database)).execute(change)

    response = await ask(FEED % "nodes { id }", {argument: newest})

    [error] = response.errors
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert f"the events were restored from a backup since. Begin again without `{argument}`" in error["message"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "ZXwxfA==", "aXw1MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=", "ZXwtMXxhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="]
)
async def test_what_is_no_cursor_of_events_is_refused(ask: Ask, cursor: str) -> None:
    response = await ask(FEED % "nodes { id }", {"after": cursor})

    [error] = response.errors
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["message"] == "`after` is no cursor of events: pass a cursor of theirs unchanged."


@pytest.fixture
async def three(ask: Ask) -> tuple[Ask, list[str]]:
    """Three visits: one at The Willows that is cancelled, two at The Beeches of which one was booked by Ben."""
    ids = [await book(ask), await book(ask, FOR_BEECHES), await book(ask, FOR_BEECHES, Caller(BEN, world.EVERYBODY.roles))]
    await ask.data(CANCEL, {"id": ids[0]})
    return ask, ids


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3, 4]),
    ({"homeVisit": [0]}, [1, 4]),
    ({"homeVisit": [0, 2]}, [1, 3, 4]),
    ({"homeVisit": []}, []),
    ({"careEnquiry": [FOR_BEECHES]}, [2, 3]),
    ({"careEnquiry": [FOR_BEECHES, FOR_WILLOWS]}, [1, 2, 3, 4]),
    ({"location": [WILLOWS]}, [1, 4]),
    ({"location": [WILLOWS, BEECHES]}, [1, 2, 3, 4]),
    ({"location": ["no ID", "\0"]}, []),
    ({"type": ["CANCELLED"]}, [4]),
    ({"type": ["CANCELLED", "BOOKED"], "location": [WILLOWS]}, [1, 4]),
    ({"actor": [BEN, "nobody", "\0"]}, [3]),
    ({"actor": ["everybody"], "careEnquiry": [FOR_BEECHES]}, [2]),
    ({"atFrom": "2024-11-04T09:30:00Z"}, [1, 2, 3, 4]),
    ({"atBefore": "2024-11-04T09:30:00Z"}, []),
    ({"atFrom": "2024-11-04T09:30:00.001Z", "location": [WILLOWS, BEECHES]}, []),
    ({"homeVisit": [0, 1], "location": [BEECHES], "type": ["BOOKED"]}, [2]),
]


@pytest.mark.parametrize(("filter", "found"), FILTERS)
async def test_a_filter_finds_those_that_meet_all_of_it(
    three: tuple[Ask, list[str]], filter: dict[str, Any], found: list[int]
) -> None:
    ask, ids = three
    if "homeVisit" in filter:
        filter = filter | {"homeVisit": [ids[number] for number in filter["homeVisit"]]}
    cursors = [edge["cursor"] for edge in (await feed(ask, "edges { cursor }"))["edges"]]

    pages = [await sequences(ask, filter=filter, **window) for window in ({}, {"last": 2}, {"after": cursors[1]}, {"first": 1})]

    assert pages == [found, found[-2:], [number for number in found if number > 2], found[:1]]


async def test_a_caller_sees_the_events_of_their_locations(three: tuple[Ask, list[str]]) -> None:
    ask, ids = three
    willows, beeches, both, nobody = (world.limited_to(*some) for some in ([WILLOWS], [BEECHES], [WILLOWS, BEECHES], []))
    first = (await feed(ask, "nodes { id }", first=1))["nodes"][0]["id"]

    seen = [await sequences(ask, caller) for caller in (willows, beeches, both, nobody)]
    asked_for = await sequences(ask, willows, filter={"homeVisit": ids})
    nodes = [(await ask.data(NODE % "id", {"id": first}, caller=caller))["node"] for caller in (willows, beeches)]

    assert seen == [[1, 4], [2, 3], [1, 2, 3, 4], []]
    assert asked_for == [1, 4]
    assert nodes == [{"id": first}, None]


async def test_an_event_is_a_node(ask: Ask) -> None:
    id = await book(ask)
    event = (await feed(ask, "nodes { id }"))["nodes"][0]["id"]

    data = await ask.data(NODE % "__typename ... on HomeVisitEvent { type homeVisit { id } }", {"id": event})

    assert data == {"node": {"__typename": "HomeVisitEvent", "type": "BOOKED", "homeVisit": {"id": id}}}


async def test_histories_of_a_page_of_visits_are_read_by_one_statement(database: Database) -> None:
    ask = Ask(database, engine(planned=True))
    ids = [await book(ask) for _ in range(3)]
    await ask.data(CANCEL, {"id": ids[0]})
    document = """query ($filter: HomeVisitFilter) { homeVisits(filter: $filter) {
        nodes { id history(last: 1) { nodes { sequence type } } } } }"""
    await ask.data(document, {"filter": {"ids": ids}})

    response = await ask(document, {"filter": {"ids": [*ids, PENDING]}})

    histories = {visit["id"]: visit["history"]["nodes"] for visit in response.data["homeVisits"]["nodes"]}
    assert histories == {
        PENDING: [],
        ids[0]: [{"sequence": 4, "type": "CANCELLED"}],
        ids[1]: [{"sequence": 2, "type": "BOOKED"}],
        ids[2]: [{"sequence": 3, "type": "BOOKED"}],
    }
    assert (response.served, response.statements) == (Served.ROOT_FIELDS, 2)


async def test_the_feed_with_its_visits_is_served_by_plans(database: Database) -> None:
    ask = Ask(database, engine(planned=True))
    await book(ask)
    event = EVENT.replace("location { name }", "location { id }")
    document = FEED % f"edges {{ cursor node {{ {event} }} }} pageInfo {{ endCursor }}"
    await ask.data(document)

    response = await ask(document)

    assert (response.errors, response.served, response.statements) == ([], Served.ROOT_FIELDS, 2)
