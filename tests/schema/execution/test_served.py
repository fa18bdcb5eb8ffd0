"""What serves each usual document of a visits screen, with how many statements: a fast path that serves no more fails here."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pytest
import strawberry
from graphql import get_introspection_query
from strawberry.schema.config import StrawberryConfig

from resolvers.api import make_engine
from resolvers.queries import Query
from schema.execution.engine import Served
from schema.execution.limits import Limits
from schema.scalars import SCALARS, parse_instant
from schema.types import ServiceUserContact
from storage.database import Database
from tests import world
from tests.asking import Ask, engine
from tests.world import ANNA, DAUGHTER, FOR_WILLOWS, PENDING, VISIT_IDS, WILLOWS

ROW = "id status dateTime visitType host notes created modified cancelled completed version confirmation allowedOperations"
PEOPLE = """location { id name timeZone } assignedTo { id firstName lastName } serviceUserContact { firstName phone }
careEnquiry { id careSeeker { firstName lastName email phone } assignedTo { firstName } }"""
PAGE = """query ($filter: HomeVisitFilter, $orderBy: [HomeVisitOrder!]! = [{ field: DATE_TIME }], $first: Int, $after: String) {
  homeVisits(filter: $filter, orderBy: $orderBy, first: $first, after: $after) { %s } }"""
VISIT = "query ($id: ID!) { homeVisit(id: $id) { %s } }"
HOME = "query ($id: ID!, $n: Int) { location(id: $id) { name homeVisits(first: $n) { totalCount nodes { %s } } } }"
NODE = '{ node(id: "%s") { __typename id ... on HomeVisit { status } ... on ServiceUserContact { firstName } } }'
CHANGE = "mutation ($id: ID!) { cancelHomeVisit(input: { id: $id }) { __typename ... on UserError { message } %s } }"
SUCCESS = "... on CancelHomeVisitSuccess { homeVisit { id status location { name } } }"


class Usual(NamedTuple):
    """`first` is how many statements its first request reads with; `again` with what the references of visits are cached."""

    document: str
    variables: dict[str, Any]
    served: Served
    first: int
    again: int


USUAL = {
    "a page with filters": Usual(
        PAGE % f"nodes {{ {ROW} }} pageInfo {{ hasNextPage endCursor }}",
        {"filter": {"status": ["PENDING"], "location": [WILLOWS], "startDate": "2024-11-03"}, "first": 5},
        Served.ROOT_FIELDS,
        1,
        1,
    ),
    "a page with a keyword": Usual(PAGE % f"nodes {{ {ROW} }}", {"filter": {"keyword": "CAFÉ"}}, Served.ROOT_FIELDS, 1, 1),
    "a page with edges": Usual(
        PAGE % f"edges {{ cursor node {{ {ROW} }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}",
        {"first": 5},
        Served.ROOT_FIELDS,
        1,
        1,
    ),
    "a page and its count": Usual(PAGE % f"totalCount nodes {{ {ROW} }}", {"first": 5}, Served.ROOT_FIELDS, 2, 2),
    "a count alone": Usual(PAGE % "totalCount", {"filter": {"cancelled": False}, "first": 0}, Served.ROOT_FIELDS, 2, 2),
    "a page with the people": Usual(PAGE % f"nodes {{ {ROW} {PEOPLE} }}", {"first": 20}, Served.ROOT_FIELDS, 5, 1),
    "a page with IDs of what it refers to": Usual(
        PAGE % "nodes { id location { id } assignedTo { id } careEnquiry { id __typename } }", {}, Served.ROOT_FIELDS, 1, 1
    ),
    "a visit by its ID": Usual(VISIT % ROW, {"id": PENDING}, Served.ROOT_FIELDS, 1, 1),
    "a visit with the people": Usual(VISIT % f"{ROW} {PEOPLE}", {"id": VISIT_IDS[1]}, Served.ROOT_FIELDS, 5, 1),
    "several root fields": Usual(
        f'{{ viewer {{ subject roles locations {{ name }} }} homeVisit(id: "{PENDING}") {{ id }} homeVisits {{ totalCount }} }}',
        {},
        Served.ROOT_FIELDS,
        3,
        3,
    ),
    "a home and its visits": Usual(
        HOME % ROW,
        {"id": WILLOWS, "n": 20},
        Served.ROOT_FIELDS,
        3,
        3,
    ),
    "an enquiry and its visits": Usual(
        "query ($id: ID!) { careEnquiry(id: $id) { careSeeker { email } homeVisits { nodes { id location { name } } } } }",
        {"id": FOR_WILLOWS},
        Served.ROOT_FIELDS,
        3,
        2,
    ),
    "visits, and the visits of their homes": Usual(
        PAGE % "nodes { id location { name homeVisits(last: 2) { nodes { id status } } } }",
        {"first": 9},
        Served.ROOT_FIELDS,
        3,
        2,
    ),
    "visits, and how many their homes have": Usual(
        PAGE % "nodes { location { homeVisits { totalCount pageInfo { endCursor } edges { cursor } } } }",
        {"first": 9},
        Served.ROOT_FIELDS,
        4,
        3,
    ),
    "visits, and some of their users'": Usual(
        """query ($status: HomeVisitStatus!) {
            homeVisits { nodes { assignedTo { homeVisits(filter: { status: [$status] }) { nodes { id } } } } } }""",
        {"status": "PENDING"},
        Served.PLANS,
        3,
        2,
    ),
    "enquiries by name, with what a form shows of them": Usual(
        """query ($filter: CareEnquiryFilter) { careEnquiries(filter: $filter, orderBy: [{ field: NAME }], first: 20) {
            totalCount pageInfo { hasNextPage endCursor } edges { cursor node { id careSeeker { firstName lastName phone }
            location { name } assignedTo { firstName } serviceUserContacts { totalCount nodes { id firstName } } } } } }""",
        {"filter": {"search": "fern"}},
        Served.ROOT_FIELDS,
        6,
        5,
    ),
    "homes and who works there": Usual(
        """{ locations { nodes { id name timeZone homeVisits(first: 1) { nodes { id } } } pageInfo { hasNextPage } }
            users(filter: { suspended: null }) { nodes { id firstName lastName role suspended } } }""",
        {},
        Served.ROOT_FIELDS,
        3,
        3,
    ),
    "a month by day and status": Usual(
        """query ($filter: HomeVisitFilter) { homeVisitCounts(groupBy: [DAY, STATUS], filter: $filter) { count day status } }""",
        {"filter": {"location": [WILLOWS], "startDate": "2024-11-01", "endDate": "2024-11-30", "timeZone": "Europe/London"}},
        Served.PLANS,
        1,
        1,
    ),
    "counts by location and user": Usual(
        "{ homeVisitCounts(groupBy: [LOCATION, ASSIGNED_TO]) { count location { name } assignedTo { firstName } } }",
        {},
        Served.PLANS,
        3,
        1,
    ),
    "what a booking would stand beside": Usual(
        f"""{{ homeVisitConflicts(location: "{WILLOWS}", dateTime: "2024-11-03T21:30:00Z", host: MANAGER, assignedTo: "{ANNA}")
            {{ {ROW} {PEOPLE} }} }}""",
        {},
        Served.PLANS,
        4,
        1,
    ),
    "an attendee on the phone": Usual(
        PAGE % f"nodes {{ {ROW} }}", {"filter": {"attendee": "fern"}, "first": 1}, Served.ROOT_FIELDS, 1, 1
    ),
    "where visits come from": Usual("{ source { kind lastSynced } }", {}, Served.ROOT_FIELDS, 0, 0),
    "a node that is a visit": Usual(NODE % PENDING, {}, Served.PLANS, 1, 1),
    "a node that is a contact": Usual(NODE % DAUGHTER, {}, Served.PLANS, 5, 5),
    "nothing of the types below": Usual("{ __typename }", {}, Served.EXECUTOR, 0, 0),
    "a change that is refused": Usual(CHANGE % "", {"id": world.UNKNOWN}, Served.PLANS, 0, 0),
    "introspection": Usual(get_introspection_query(), {}, Served.EXECUTOR, 0, 0),
}


@pytest.mark.parametrize("name", USUAL)
async def test_a_usual_document_is_served_as_fast_as_it_can_be(database: Database, name: str) -> None:
    document, variables, served, *statements = USUAL[name]
    ask = Ask(database, engine(planned=True))

    responses = [await ask(document, variables) for _ in statements]

    assert [response.errors for response in responses] == [[], []]
    # What visits refer to is remembered only where it can be told at once that nobody has written.
    assert [response.statements for response in responses] == [statements[0], statements[database.version() is not None]]
    again = Served.CONSTANT if name == "introspection" else served
    assert [response.served for response in responses] == [served, again]


async def test_a_change_is_answered_by_plans(database: Database) -> None:
    ask = Ask(database, engine(planned=True))

    response = await ask(CHANGE % SUCCESS, {"id": PENDING})

    assert response.data["cancelHomeVisit"]["homeVisit"] == {
        "id": PENDING,
        "status": "CANCELLED",
        "location": {"name": "The Willows"},
    }
    assert (response.served, response.statements, response.written) == (Served.PLANS, 1, 1)


@pytest.mark.parametrize("name", USUAL)
async def test_without_plans_all_is_served_by_the_standard_executor(database: Database, name: str) -> None:
    document, variables, *_ = USUAL[name]

    response = await Ask(database, engine(planned=False))(document, variables)

    assert (response.errors, response.served) == ([], Served.EXECUTOR)


async def test_what_was_not_run_was_served_by_nothing(database: Database) -> None:
    response = await Ask(database, engine(planned=True))("{ nothing }")

    assert (response.served, response.data) == (None, None)


NARROW = {
    "an ID and two more": ("{ homeVisits(first: 1) { nodes { notes host } } }", 3),
    "what is derived, what refers, what orders": (
        "{ homeVisits(first: 1, orderBy: [{ field: CREATED }]) { edges { cursor node { status location { id } } } } }",
        len(("id", "created", "cancelled", "completed", "location")),
    ),
    "what a field is computed from": (f'{{ homeVisit(id: "{PENDING}") {{ allowedOperations }} }}', 3),
}


@pytest.mark.parametrize("name", NARROW)
async def test_no_more_columns_are_read_than_are_answered(database: Database, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document, columns = NARROW[name]
    fetch, widths = database.fetch, list[int]()

    async def fetch_and_note(*statement: Any) -> Sequence[Any]:
        rows = await fetch(*statement)
        widths.append(len(rows[0]))
        return rows

    monkeypatch.setattr(database, "fetch", fetch_and_note)
    response = await Ask(database, engine(planned=True))(document)

    assert (response.errors, response.served) == ([], Served.ROOT_FIELDS)
    assert widths == [columns]


def undecoded(_value: object) -> str:
    raise AssertionError("a stored instant was decoded, to be encoded again")


UNDECODED = SCALARS | {datetime: strawberry.scalar(name="DateTime", serialize=undecoded, parse_value=parse_instant)}


async def test_stored_instants_are_answered_without_decoding_them(database: Database) -> None:
    schema = strawberry.Schema(query=Query, types=[ServiceUserContact], config=StrawberryConfig(scalar_map=UNDECODED))
    ask = Ask(database, make_engine(Limits(), schema=schema))

    response = await ask(VISIT % "created cancelled location { timeZone }", {"id": VISIT_IDS[1]})

    assert response.data == {
        "homeVisit": {
            "created": "2024-10-25T09:07:00Z",
            "cancelled": "2024-11-03T09:29:59.999Z",
            "location": {"timeZone": "Europe/Dublin"},
        }
    }
