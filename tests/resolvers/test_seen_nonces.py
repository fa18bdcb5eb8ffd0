"""Nonces are remembered for as long as what they signed could be sent again, and not for ever."""

import logging
import sys

import pytest

from resolvers.seen_nonces import MOST_NONCES, SeenNonces
from storage.nonces import Nonce


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def used_at(*uses: tuple[float, str, float]) -> list[bool]:
    """Return whether each nonce was new, used at one time for a request that is taken until another."""
    seconds = Seconds()
    nonces, found = SeenNonces(now=seconds), []
    for seconds.now, value, valid_until in uses:
        found.append(nonces.use(Nonce("key", value), valid_until))
    return found


def test_a_nonce_is_remembered_until_its_request_is_too_old() -> None:
    assert used_at((500.0, "a", 1100.0), (1100.0, "a", 1100.0)) == [True, False]
    assert used_at((500.0, "a", 1139.9), (1139.9, "a", 1139.9)) == [True, False]
    assert used_at((500.0, "a", 1100.0), (1140.0, "a", 1100.0)) == [True, True]


def test_a_nonce_is_remembered_among_others_of_any_time() -> None:
    assert used_at((0.0, "a", 600.0), (1.0, "b", 2.0), (61.0, "b", 2.0), (599.0, "a", 600.0)) == [True, True, True, False]


def test_a_nonce_is_used_once_by_each_key() -> None:
    nonces = SeenNonces(now=Seconds())

    assert [nonces.use(Nonce(*both), 300.0) for both in (("a", "n"), ("b", "n"), ("a", "n"))] == [True, True, False]


def test_of_too_many_those_that_are_too_old_first_are_dropped_and_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    nonces = SeenNonces(now=Seconds(), most=3)
    uses = [("a", 400.0), ("b", 300.0), ("c", 310.0)]
    for value, valid_until in uses:
        nonces.use(Nonce("key", value), valid_until)

    with caplog.at_level(logging.WARNING):
        found = [nonces.use(Nonce("key", value), 400.0) for value in ("d", "a", "b")]

    assert found == [True, False, True]
    assert caplog.messages == ["of signed requests, more than 3 were remembered: 2 of them could be sent again"]


def test_what_is_remembered_of_a_nonce_is_small() -> None:
    hashes = {hash(Nonce("key", str(number))) for number in range(10_000)}

    size = sys.getsizeof(hashes) + sum(map(sys.getsizeof, hashes))

    assert size / len(hashes) * MOST_NONCES < 40_000_000
