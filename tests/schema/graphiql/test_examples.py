import json
import re
from pathlib import Path

import pytest
from graphql import OperationDefinitionNode, build_schema, get_variable_values, parse, validate

from schema.graphiql import Example, examples, new_tab

CHECKOUT = Path(__file__).parents[3]
SDL = CHECKOUT / "schema/schema.graphql"

# What examples.js puts in the place of each, as it would look in a demo.
FILLED = {
    "<today>": "2026-07-24",
    "<in three days>": "2026-07-27T10:30:00Z",
    "<in four days>": "2026-07-28T14:00:00Z",
    "<in four weeks>": "2026-08-21",
    "<a new key>": "5f0c",
    "<IDs of locations>": ["67000000000000000000c001"],
    "<end of the first page>": "opaque",
    "<ID of a care enquiry>": "68000000000000000000e001",
    "<ID of a pending visit>": "690000000000000000000001",
    "<ID of another pending visit>": "690000000000000000000002",
    "<ID of a third pending visit>": "690000000000000000000003",
    "<its version>": 1,
    "<before the last change>": "opaque",
}


def fill(value: object) -> object:
    if isinstance(value, dict):
        return {name: fill(each) for name, each in value.items()}
    return FILLED.get(value, value) if isinstance(value, str) else value


def operation_of(example: Example) -> OperationDefinitionNode:
    [operation] = parse(example.query).definitions
    assert isinstance(operation, OperationDefinitionNode)
    return operation


def test_the_tabs_go_from_reading_to_booking_to_closing_to_following() -> None:
    names = [operation_of(example).name.value for example in examples()]

    assert names == [
        "ComingVisits",
        "NextPage",
        "FindPeople",
        "CountVisits",
        "BookVisit",
        "MoveVisit",
        "CancelVisit",
        "CompleteVisit",
        "FollowChanges",
    ]


@pytest.mark.parametrize("example", examples(), ids=lambda example: operation_of(example).name.value)
def test_an_example_fits_the_schema(example: Example) -> None:
    schema = build_schema(SDL.read_text(encoding="utf-8"))

    errors = validate(schema, parse(example.query))

    assert errors == []


def test_what_a_new_tab_starts_with_fits_the_schema() -> None:
    schema = build_schema(SDL.read_text(encoding="utf-8"))

    assert validate(schema, parse(new_tab())) == []


@pytest.mark.parametrize("example", ["BookVisit", "MoveVisit", "CancelVisit", "CompleteVisit"])
def test_an_example_that_is_used_up_says_how_to_begin_again(example: str) -> None:
    [query] = [each.query for each in examples() if operation_of(each).name.value == example]

    assert "button ↺" in query
    assert "the examples again" in query


@pytest.mark.parametrize("example", examples(), ids=lambda example: operation_of(example).name.value)
def test_the_variables_of_an_example_fit_its_operation(example: Example) -> None:
    schema = build_schema(SDL.read_text(encoding="utf-8"))
    operation = operation_of(example)
    variables = fill(json.loads(example.variables))

    result = get_variable_values(schema, operation.variable_definitions, variables)

    assert not isinstance(result, list), result
    assert set(variables) == {definition.variable.name.value for definition in operation.variable_definitions}


def test_every_gap_in_the_variables_is_one_that_the_page_knows_to_fill() -> None:
    script = (CHECKOUT / "schema/graphiql/examples.js").read_text(encoding="utf-8")

    gaps = {gap for example in examples() for gap in re.findall(r'"(<[^"]+>)"', example.variables)}

    assert gaps == set(re.findall(r'"(<[^"]+>)":', script)) == set(FILLED)


def test_the_cancel_example_names_every_way_to_be_refused() -> None:
    schema = build_schema(SDL.read_text(encoding="utf-8"))
    [example] = [example for example in examples() if "CancelVisit" in example.query]

    named = set(re.findall(r"\.\.\. on (\w+)", example.query))

    assert named == {member.name for member in schema.type_map["CancelHomeVisitResult"].types} | {"UserError"}
