from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import identifiers
from storage.identifiers import is_identifier, new_identifier

NOW = datetime(2024, 11, 3, 11, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_identifier_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identifiers, "_last", 0)


def test_an_identifier_is_24_hexadecimal_characters_that_begin_with_the_seconds() -> None:
    identifier = new_identifier(NOW)

    assert is_identifier(identifier)
    assert datetime.fromtimestamp(int(identifier[:8], 16), UTC) == NOW


def test_identifiers_increase_within_one_millisecond() -> None:
    ids = [new_identifier(NOW) for _ in range(10_000)]

    assert ids == sorted(set(ids))


def test_identifiers_increase_when_the_clock_steps_back() -> None:
    ids = [new_identifier(NOW - timedelta(seconds=seconds)) for seconds in range(100)]

    assert ids == sorted(set(ids))


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_identifiers_are_in_the_order_of_their_times(earlier: int, gap: int) -> None:
    moments = [NOW + timedelta(milliseconds=earlier), NOW + timedelta(milliseconds=earlier + gap)]

    ids = []
    for moment in moments:  # each as another process would make it
        identifiers._last = 0
        ids.append(new_identifier(moment))

    assert ids == sorted(set(ids))


def test_processes_do_not_make_the_same_identifier_at_the_same_time() -> None:
    ids = set()
    for _ in range(1000):
        identifiers._last = 0
        ids.add(new_identifier(NOW))

    assert len(ids) == 1000


@pytest.mark.parametrize(
    "text",
    ["", "f" * 23, "f" * 25, "F" * 24, "g" * 24, "f" * 23 + "\n", "f" * 24 + "\n", "f" * 24 + "\0", "٣" * 24, "\ud800" * 24],
)
def test_anything_else_is_no_identifier(text: str) -> None:
    assert not is_identifier(text)


def test_identifiers_come_back_to_the_present_once_a_clock_that_was_ahead_is_put_right() -> None:
    ahead = new_identifier(NOW + timedelta(days=365))

    present = [new_identifier(NOW + timedelta(milliseconds=number)) for number in range(100)]

    assert ahead > present[-1]
    assert present == sorted(set(present))
    assert {datetime.fromtimestamp(int(identifier[:8], 16), UTC) for identifier in present} == {NOW}
