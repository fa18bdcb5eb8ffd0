"""What lists without pages cost: as many objects as their arguments and the caller leave room for."""

from typing import Any

import pytest
from graphql import parse

from resolvers.sizes import SIZES_OF_LISTS
from schema.execution.internals import core_schema
from schema.execution.limits import Limits, PageSizes, Price, measure
from tests import world
from tests.asking import Ask, engine, schema

BEGINNING = """query (
  $groups: [HomeVisitGrouping!]! = [STATUS], $group: HomeVisitGrouping! = HOST,
  $filter: HomeVisitFilter = { startDate: "2024-11-01", endDate: "2024-11-30" }
) """


def price(selection: str) -> Price:
    document = parse(BEGINNING + selection)
    return measure(document, core_schema(schema()), Limits(), PageSizes(10, 100, SIZES_OF_LISTS))[None]


@pytest.mark.parametrize(
    ("arguments", "groups"),
    [
        ("groupBy: STATUS", 3),
        ("groupBy: [HOST, VISIT_TYPE]", 9 * 2),
        ("groupBy: [LOCATION]", 50),
        ('groupBy: [LOCATION, STATUS], filter: { location: ["a", "b"] }', 2 * 3),
        ('groupBy: [ASSIGNED_TO], filter: { assignedTo: "a" }', 1),
        ("groupBy: [DAY]", 366),
        ('groupBy: [DAY], filter: { startDate: "2024-11-01", endDate: "2024-11-30" }', 31),
        ('groupBy: [DAY], filter: { dateTimeFrom: "2024-11-01T00:00:00Z", dateTimeBefore: "2024-11-02T00:00:00Z" }', 3),
        ('groupBy: [DAY], filter: { startDate: "2024-11-30", endDate: "2024-11-01" }', 2),
        ("groupBy: [DAY, LOCATION]", 5_000),
        ("groupBy: [DAY, LOCATION, HOST]", 5_000),
        ("groupBy: []", 1),
        ("groupBy: $groups", 3),
        ("groupBy: [$group, DAY], filter: $filter", 9 * 31),
    ],
)
async def test_counts_are_priced_as_the_groups_that_there_is_room_for(ask: Ask, arguments: str, groups: int) -> None:
    measured = price(f"{{ homeVisitCounts({arguments}) {{ count location {{ id }} }} }}")

    assert measured.of({}, ask.context()) == 2 * groups


@pytest.mark.parametrize(
    ("variables", "groups"),
    [
        ({"groups": ["DAY"], "filter": {"startDate": "2024-11-01", "endDate": "2024-11-02"}}, 3),
        ({"groups": ["DAY"], "filter": None}, 366),
        ({"groups": "LOCATION", "filter": {"location": ["a"] * 9}}, 9),
        ({"groups": ["DAY"], "filter": {"startDate": 5, "endDate": ["x"]}}, 366),
        ({"groups": [["DAY"], {"a": "b"}], "filter": "x"}, 1),
        ({"groups": None, "filter": {}}, 1),
    ],
)
async def test_variables_say_how_much_room_there_is_whatever_they_hold(ask: Ask, variables: Any, groups: int) -> None:
    measured = price("{ homeVisitCounts(groupBy: $groups, filter: $filter) { count } }")

    assert measured.of(variables, ask.context()) == groups


async def test_locations_are_as_many_as_the_caller_is_limited_to(ask: Ask) -> None:
    measured = price("{ homeVisitCounts(groupBy: [LOCATION]) { count } }")

    assert measured.of({}, ask.context(world.limited_to(world.WILLOWS, world.BEECHES))) == 2


async def test_conflicts_are_20_at_most(ask: Ask) -> None:
    asked = price('{ homeVisitConflicts(location: "a", dateTime: "b") { id location { id } } }')

    assert asked.of({}, ask.context()) == 20 * 2


async def test_a_price_told_with_coerced_variables_is_the_same(ask: Ask) -> None:
    document = """query ($by: [HomeVisitGrouping!]!, $filter: HomeVisitFilter) {
        homeVisitCounts(groupBy: $by, filter: $filter) { count } }"""
    days = {"startDate": "2024-01-01", "endDate": "2024-12-30"}
    served = Ask(ask.database, engine(planned=True, limits=Limits(cost=9 * 366 - 1)))

    response = await served(document, {"by": ["HOST", "DAY"], "filter": days})

    assert response.errors[0]["message"].startswith("The answer may cost 3,294; 3,293 is allowed.")
