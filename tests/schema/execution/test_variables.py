"""The values of variables are the ones that graphql-core makes of what a client sends, or none where it refuses."""

import json
from typing import Any

import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, build_schema, parse
from graphql.execution.values import get_variable_values

from schema.execution.coercion import Coercions
from schema.execution.variables import Variables

SCHEMA = build_schema("""
enum Host { MANAGER }
input By { host: Host, ids: [ID!], by: By, size: Int! = 5 }
input Must { id: ID!, hosts: [Host] = [MANAGER] }
input Either @oneOf { id: ID, by: By }
type Query { asked(by: Float): Int }
""")
TYPES = [
    "ID", "ID!", "String", "String!", "Boolean", "Boolean!", "Int", "Int!", "Float", "Host", "[ID!]", "[[Int]!]",
    "By", "[By!]", "Must", "Either",
]  # fmt: skip
SENT = [
    None, "", "x", "MANAGER", True, False, 0, 1, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 1.0, 1.5, 1e300,
    [], ["x", 1], ["x", None], {}, {"host": "MANAGER", "ids": ["x"]}, {"host": "COOK"}, {"cook": 1},
    [[1, 2], 3], [None, 1], {"by": {"by": {"ids": "x", "size": 2}}}, {"by": {"cook": 1}}, [{"host": "MANAGER"}, {}],
    {"size": None}, {"id": "x"}, {"id": 7, "hosts": None}, {"id": None}, {"id": "x", "by": None},
    {"by": {"host": None}}, {"id": "x", "cook": 1},
]  # fmt: skip


def operation(text: str) -> OperationDefinitionNode:
    (definition,) = parse(text).definitions
    assert isinstance(definition, OperationDefinitionNode)
    return definition


def by_the_book(schema: GraphQLSchema, asking: OperationDefinitionNode, raw: dict[str, Any]) -> dict[str, Any] | None:
    values = get_variable_values(schema, asking.variable_definitions or (), raw)
    return None if isinstance(values, list) else values.coerced


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("value", SENT, ids=repr)
def test_a_value_becomes_what_graphql_core_makes_of_it(type: str, value: object) -> None:
    asking = operation(f"query ($value: {type}) {{ asked }}")

    values = Variables(SCHEMA, asking, Coercions()).coerced({"value": value})

    expected = by_the_book(SCHEMA, asking, {"value": value})
    assert values == expected
    assert json.dumps(values, sort_keys=True) == json.dumps(expected, sort_keys=True)


@pytest.mark.parametrize("type", [f"{type} = {default}" for type, default in [("Int", "5"), ("ID!", '"x"'), ("[ID!]", '["x"]')]])
@pytest.mark.parametrize("raw", [{}, {"value": None}, {"other": 1}], ids=repr)
def test_what_is_not_sent_is_the_default(type: str, raw: dict[str, Any]) -> None:
    asking = operation(f"query ($value: {type}) {{ asked }}")

    values = Variables(SCHEMA, asking, Coercions()).coerced(raw)

    assert values == by_the_book(SCHEMA, asking, raw)


def test_what_must_be_sent_and_is_not_gives_no_values() -> None:
    asking = operation("query ($id: ID!, $first: Int) { asked }")

    values = Variables(SCHEMA, asking, Coercions()).coerced({"first": 1})

    assert values is None
