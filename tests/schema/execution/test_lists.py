"""Lists have lengths, wherever they are written: longer ones are refused, and nothing is run or read."""

from typing import Any

import pytest

from tests.asking import Ask

LITERAL_IDS = f"[{', '.join(['1'] * 251)}]"
KEY = "{ field: ID }"
KEYS = f"[{', '.join([KEY] * 9)}]"
BELOW = "{ homeVisits { nodes { location { homeVisits(%s) { nodes { id } } } } } }"
TOO_MANY_KEYS = "A list may have at most 8 values here: this one has 9. Send fewer, or split the request."
TOO_MANY_IDS = "A list may have at most 250 values here: this one has 251. Send fewer, or split the request."
ORDERED = "query ($keys: [HomeVisitOrder!]!) { homeVisits(orderBy: $keys) { nodes { id } } }"
FILTERED = "query ($filter: HomeVisitFilter) { homeVisits(filter: $filter) { nodes { id } } }"
MERGED = "query ($ids: [ID!]) { homeVisits(filter: { ids: $ids }) { nodes { id } } }"

LONG: list[tuple[str, dict[str, Any], str]] = [
    (f"{{ homeVisits(orderBy: {KEYS}) {{ nodes {{ id }} }} }}", {}, TOO_MANY_KEYS),
    (f"{{ homeVisits(filter: {{ ids: {LITERAL_IDS} }}) {{ nodes {{ id }} }} }}", {}, TOO_MANY_IDS),
    (f"query ($keys: [HomeVisitOrder!]! = {KEYS}) {{ homeVisits(orderBy: $keys) {{ nodes {{ id }} }} }}", {}, TOO_MANY_KEYS),
    (BELOW % f"orderBy: {KEYS}", {}, TOO_MANY_KEYS),
    (ORDERED, {"keys": [{"field": "ID"}] * 9}, TOO_MANY_KEYS),
    (FILTERED, {"filter": {"ids": ["1"] * 251}}, TOO_MANY_IDS),
    (MERGED, {"ids": ["1"] * 251}, TOO_MANY_IDS),
    # What is wrong with a value in it is not looked at.
    (ORDERED, {"keys": [{"field": "NONSENSE"}] * 9}, TOO_MANY_KEYS),
    (FILTERED, {"filter": {"host": [7] * 251, "nonsense": 1}}, TOO_MANY_IDS),
]


@pytest.mark.parametrize(("document", "variables", "message"), LONG)
async def test_a_list_that_is_too_long_is_refused(ask: Ask, document: str, variables: dict[str, Any], message: str) -> None:
    response = await ask(document, variables)

    assert (response.data, response.statements) == (None, 0)
    assert [(error["message"], error["extensions"]["code"]) for error in response.errors] == [(message, "BAD_USER_INPUT")]


LONGEST: list[tuple[str, dict[str, Any]]] = [
    (f"{{ homeVisits(orderBy: [{', '.join([KEY] * 8)}]) {{ nodes {{ id }} }} }}", {}),
    (f"{{ homeVisits(filter: {{ ids: [{', '.join(['1'] * 250)}] }}) {{ nodes {{ id }} }} }}", {}),
    (ORDERED, {"keys": [{"field": "ID"}] * 8}),
    (ORDERED, {"keys": {"field": "ID"}}),
    (FILTERED, {"filter": {"ids": ["1"] * 250}}),
    (MERGED, {"ids": ["1"] * 250}),
]


@pytest.mark.parametrize(("document", "variables"), LONGEST)
async def test_a_list_that_is_as_long_as_may_be_is_served(ask: Ask, document: str, variables: dict[str, Any]) -> None:
    data = await ask.data(document, variables)

    assert len(data["homeVisits"]["nodes"]) in (0, 10)
