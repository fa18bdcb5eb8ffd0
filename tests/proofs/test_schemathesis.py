"""Documents drawn from the schema by schemathesis: each is answered, with data of its shape or a refusal that it can mend."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    FieldNode,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    is_abstract_type,
    is_enum_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    parse,
)

from storage.demo import CARE_ENQUIRY, LOCATION, PENDING_VISIT, USER
from tests.clients.packages import install
from tests.conftest import ROOT, Server

DOCUMENTS = 80
OUR_HOOKS = Path(__file__).parent / "schemathesis"
# A page in both directions, a cursor that is none: what the schema cannot say, and the message does.
MENDABLE = {"QUERY_TOO_COMPLEX", "BAD_USER_INPUT"}
PYTHON = {"String": str, "ID": str, "DateTime": str, "Date": str, "TimeZone": str, "Int": int, "Boolean": bool}


def shapes(schema: GraphQLSchema, type: Any) -> list[GraphQLObjectType]:
    return list(schema.get_possible_types(type)) if is_abstract_type(type) else [type]


def selected(schema: GraphQLSchema, on: GraphQLObjectType, selection: SelectionSetNode) -> Iterator[FieldNode]:
    """Yield the fields that an object answers, in their order."""
    for node in selection.selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            condition = schema.get_type(node.type_condition.name.value) if node.type_condition else on
            if on in shapes(schema, condition):
                yield from selected(schema, on, node.selection_set)


def fits(schema: GraphQLSchema, type: GraphQLOutputType, value: Any, selection: SelectionSetNode | None) -> bool:
    """Tell whether a value is one of this type, with what was selected of it and nothing else."""
    if is_non_null_type(type):
        return value is not None and fits(schema, type.of_type, value, selection)
    if value is None:
        return True
    if is_list_type(type):
        return isinstance(value, list) and all(fits(schema, type.of_type, item, selection) for item in value)
    if is_leaf_type(type):
        return value in type.values if is_enum_type(type) else isinstance(value, PYTHON[type.name])
    assert selection is not None
    return isinstance(value, dict) and any(is_one(schema, on, value, selection) for on in shapes(schema, type))


def is_one(schema: GraphQLSchema, on: GraphQLObjectType, value: dict[str, Any], selection: SelectionSetNode) -> bool:
    fields: dict[str, list[FieldNode]] = {}
    for node in selected(schema, on, selection):
        fields.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
    return list(value) == list(fields) and all(answers(schema, on, nodes, value[key]) for key, nodes in fields.items())


def answers(schema: GraphQLSchema, on: GraphQLObjectType, nodes: list[FieldNode], value: Any) -> bool:
    if nodes[0].name.value == "__typename":
        return bool(value == on.name)
    parts = [part for node in nodes if node.selection_set for part in node.selection_set.selections]
    return fits(schema, on.fields[nodes[0].name.value].type, value, SelectionSetNode(selections=tuple(parts)))


def fault(schema: GraphQLSchema, status: int, document: str, answer: dict[str, Any]) -> str | None:
    """Say what is wrong with an answer."""
    if status != 200:
        return f"status {status}"
    codes = {error["extensions"]["code"] for error in answer.get("errors", [])}
    if codes - MENDABLE:
        return f"errors {sorted(codes)}"
    data = answer.get("data")
    if data is None:
        return None if codes else "neither data nor errors"
    (operation,) = parse(document).definitions
    assert isinstance(operation, OperationDefinitionNode)
    root = schema.get_root_type(operation.operation)
    assert root is not None
    return None if is_one(schema, root, data, operation.selection_set) else f"data of another shape: {data}"


@pytest.fixture
def schemathesis(pytestconfig: pytest.Config) -> Path:
    """Install it, once, where it brings its own graphql-core: ours is too new for it."""
    return install(OUR_HOOKS, pytestconfig.cache.mkdir("proofs")) / "bin" / "schemathesis"


@pytest.mark.slow
def test_all_that_the_schema_lets_one_ask_is_answered(
    running_server: Server, schemathesis: Path, tmp_path: Path, tell: Callable[..., None]
) -> None:
    schema = build_schema((ROOT / "schema" / "schema.graphql").read_text())
    # It sends no subscriptions.
    operations = sum(len(root.fields) for root in (schema.query_type, schema.mutation_type) if root)
    ids = {"KNOWN_IDS": f"{CARE_ENQUIRY} {LOCATION} {PENDING_VISIT} {USER}"}
    hooks = {"SCHEMATHESIS_HOOKS": "sensible", "PYTHONPATH": str(OUR_HOOKS), "NO_PROXY": "127.0.0.1"}
    drawing = ["--mode", "positive", "--seed", "1", "--max-examples", str(DOCUMENTS), "--continue-on-failure", "--no-shrink"]
    reports = ["--report", "json,har", "--report-json-path", "report.json", "--report-har-path", "calls.har"]

    command = [str(schemathesis), "run", running_server.url, "--checks", "not_a_server_error", *drawing, *reports]
    environment = os.environ | ids | hooks
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)

    assert (tmp_path / "report.json").exists(), ran.stdout + ran.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    calls = json.loads((tmp_path / "calls.har").read_text())["log"]["entries"]
    refused, faults = 0, []
    for call in calls:
        document = json.loads(call["request"]["postData"]["text"])["query"]
        answer = json.loads(call["response"]["content"]["text"])
        refused += "errors" in answer
        if found := fault(schema, call["response"]["status"], document, answer):
            faults.append(f"{found}\n{document}")
    tell("schemathesis", operations=report["operations"]["tested"], documents=len(calls), refused=refused, faults=len(faults))
    assert faults == []
    # It counts refusals as failures, and they were all looked at; what it could not ask at all is among its errors.
    assert report["errors"] == []
    assert {failure["type"] for failure in report["failures"]} <= {"GraphQLClientError"}
    assert report["operations"] | {"skip_reasons": []} == {
        "total": operations, "selected": operations, "tested": operations, "errored": 0, "skipped": 0, "skip_reasons": []
    }  # fmt: skip
    assert operations * DOCUMENTS >= len(calls) > operations * DOCUMENTS * 0.9
    assert refused < len(calls) / 5
