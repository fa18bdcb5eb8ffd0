"""A document that was refused is refused again without parsing and validating it; how much is remembered is bounded."""

import gc
from typing import Any

import pytest
from graphql import FieldNode

from schema.execution.documents import MAX_REFUSED_SIZE, Documents, NotExecuted
from schema.execution.internals import core_schema
from schema.execution.limits import Limits
from tests.asking import schema

REFUSED = ["{ nothing }", "{ homeVisits", "{ viewer { subject nothing } }", "{ viewer " + "{ a " * 11 + "}" * 12]


def refusal(documents: Documents, text: str) -> list[Any]:
    with pytest.raises(NotExecuted) as refused:
        documents.prepare(text)
    return [(error.message, error.locations, error.extensions) for error in refused.value.errors]


@pytest.mark.parametrize("text", REFUSED)
def test_a_refused_document_is_refused_again_as_it_was(text: str) -> None:
    documents = Documents(core_schema(schema()), Limits())

    first, second = [refusal(documents, text) for _ in range(2)]

    assert first == second
    assert len(documents._refused) == 1


def test_what_is_remembered_of_refused_documents_is_bounded() -> None:
    documents = Documents(core_schema(schema()), Limits())

    for number in range(300):
        refusal(documents, f"{{ nothing{number} }} # {'x' * 19_000}")

    gc.collect()
    assert documents._refused_size <= MAX_REFUSED_SIZE
    assert 50 < len(documents._refused) < 110
    assert not any(isinstance(node, FieldNode) and node.name.value.startswith("nothing29") for node in gc.get_objects())
