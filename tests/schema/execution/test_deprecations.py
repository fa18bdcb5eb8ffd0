"""Which deprecated parts of a schema a request is found to use: by its document, and by the values of its variables."""

from typing import Any

import pytest
import strawberry
from graphql import GraphQLSchema, build_schema, parse, validate

from resolvers.api import schema_definition
from schema.execution.deprecations import Deprecations
from schema.execution.engine import Engine, Request
from schema.execution.limits import Limits

OLD = """
enum Host { MANAGER OWNER @deprecated(reason: "MANAGER") }
input Window { from: String  until: String @deprecated(reason: "to")  inner: [Window!]  host: Host }
input Filter { window: Window, keyword: String }
type Visit { id: ID!  host: Host  person: String @deprecated(reason: "seeker")  other: Visit }
type Query {
  visits(filter: Filter, limit: Int @deprecated(reason: "first"), host: Host): [Visit!]!
  all: [Visit!]! @deprecated(reason: "visits")
}
"""


def found(document: str, variables: dict[str, Any] | None = None, name: str | None = None) -> list[str]:
    engine = engine_of(build_schema(OLD))
    assert validate(build_schema(OLD), parse(document)) == []
    engine.documents.prepare(document)
    return engine.deprecated_uses(Request(document, name, variables or {}))


def engine_of(schema: GraphQLSchema) -> Engine:
    @strawberry.type
    class Query:
        answer: int = 42

    converted = strawberry.Schema(Query)
    converted._schema = schema
    return Engine(converted, Limits())


@pytest.mark.parametrize(
    ("document", "uses"),
    [
        ("{ visits { id host other { id } } }", []),
        ("{ visits { other { renamed: person } } }", ["Visit.person"]),
        ("{ all { person } }", ["Query.all", "Visit.person"]),
        ("{ visits(limit: 2) { id } }", ["Query.visits(limit:)"]),
        ("{ visits(host: OWNER) { id } }", ["Host.OWNER"]),
        ("query ($h: Host = OWNER) { visits(host: $h) { id } }", ["Host.OWNER"]),
        ('{ visits(filter: { window: { inner: [{ until: "9" }] } }) { id } }', ["Window.until"]),
        ("{ visits { ...A } } fragment A on Visit { ...B } fragment B on Visit { person @include(if: true) }", ["Visit.person"]),
    ],
)
def test_a_document_tells_what_it_uses(document: str, uses: list[str]) -> None:
    assert found(document) == uses


def test_of_several_operations_the_one_that_runs_counts() -> None:
    document = "query Old { visits { ...P } } query New { visits { id } } fragment P on Visit { person }"

    assert [found(document, name=name) for name in ("Old", "New", "None")] == [["Visit.person"], [], []]


@pytest.mark.parametrize(
    ("variables", "uses"),
    [
        ({}, []),
        ({"f": None}, []),
        ({"f": {"keyword": "x", "window": {"from": "8", "host": "MANAGER"}}}, []),
        ({"f": {"window": {"until": None}}}, ["Window.until"]),
        ({"f": {"window": {"inner": [{"host": "OWNER"}, {"until": "9"}]}}}, ["Host.OWNER", "Window.until"]),
        ({"f": {"window": {"inner": {"host": "OWNER"}}}}, ["Host.OWNER"]),
        ({"f": [3, "x"]}, []),
        ({"f": {"window": "x", "nothing": 1}}, []),
    ],
)
def test_values_of_variables_tell_what_they_use(variables: dict[str, Any], uses: list[str]) -> None:
    assert found("query ($f: Filter) { visits(filter: $f) { id } }", variables) == uses


def test_a_document_that_is_not_kept_uses_nothing() -> None:
    assert engine_of(build_schema(OLD)).deprecated_uses(Request("{ all { id } }", None, {})) == []


def test_where_nothing_is_deprecated_nobody_looks() -> None:
    schema = build_schema(schema_definition())

    assert Deprecations(schema).any is ("@deprecated" in schema_definition())
    assert engine_of(build_schema("type Query { answer: Int }")).deprecates is False
