"""Signatures of both versions, against what the vendor's own functions have made of the same requests."""

import json
from pathlib import Path
from typing import Any

import pytest

from resolvers.signatures import signature_1
from storage.carehq.live.account import signature_2

VECTORS = json.loads((Path(__file__).parent / "signature_vectors.json").read_text())


def pairs_of(vector: dict[str, Any]) -> list[tuple[str, str]]:
    values = {name: value if isinstance(value, list) else [value] for name, value in vector["values"].items()}
    return [(name, value) for name, several in values.items() for value in several]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['method']} {vector['path']}")
def test_a_request_is_signed_as_the_vendor_signs_it(vector: dict[str, Any]) -> None:
    secret, timestamp, nonce = vector["secret"], vector["timestamp"], vector["nonce"]

    second = signature_2(secret, timestamp, nonce, vector["method"], vector["path"], pairs_of(vector))
    first = signature_1(secret, timestamp, pairs_of(vector))

    assert (second, first) == (vector["v2"], vector["v1"])


def test_version_2_knows_no_order_and_version_1_that_of_keys_alone() -> None:
    sent, turned = [("b", "2"), ("a", "9"), ("a", "10")], [("a", "10"), ("b", "2"), ("a", "9")]

    second = {signature_2("s", "1", "n", "GET", "/v1/users", pairs) for pairs in (sent, turned)}
    first = [signature_1("s", "1", pairs) for pairs in (sent, turned, [("a", "10"), ("a", "9"), ("b", "2")])]

    assert len(second) == 1
    assert (first[0] == first[1], first[1] == first[2]) == (False, True)
