"""Shares: buckets that are charged, refilled, overdrawn and forgotten, and what a refused caller is told."""

import sys

import pytest

from schema.transport import shares as shares_module
from schema.transport.shares import Share, ShareLimits, Shares


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


LIMITS = ShareLimits(rate=100, seconds=10, reader_second=500)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shares(clock: Clock) -> Shares:
    return Shares(LIMITS, clock=clock)


def test_a_caller_who_has_used_nothing_has_the_whole_quota(shares: Shares) -> None:
    assert shares.share("amy") == Share(available=1_000, quota=1_000, seconds=10)
    assert not shares.is_overdrawn("amy")


def test_what_a_caller_uses_is_taken_and_comes_back_by_the_second(shares: Shares, clock: Clock) -> None:
    available = []
    for cost in (300, 200, 0, 0, 0):
        shares.charge("amy", cost)
        available.append(shares.share("amy").available)
        clock.now += 2

    assert available == [700, 700, 900, 1_000, 1_000]
    assert shares.share("bob").available == 1_000


def test_a_second_of_a_reader_has_its_price(shares: Shares) -> None:
    shares.charge_reading("amy", 0.5)

    assert shares.share("amy").available == 750


def test_a_bucket_is_overdrawn_once_more_is_taken_than_it_has(shares: Shares, clock: Clock) -> None:
    shares.charge("amy", 1_000)
    empty = shares.is_overdrawn("amy")
    shares.charge("amy", 100)
    overdrawn = shares.is_overdrawn("amy")
    clock.now += 1

    assert (empty, overdrawn, shares.is_overdrawn("amy")) == (False, True, False)


def test_a_bucket_is_overdrawn_by_no_more_than_it_holds(shares: Shares, clock: Clock) -> None:
    for _ in range(100):
        shares.charge("amy", 900)
    clock.now += 9.9
    before = shares.is_overdrawn("amy")
    clock.now += 0.1

    assert (before, shares.is_overdrawn("amy"), shares.share("amy").available) == (True, False, 0)


@pytest.mark.parametrize(
    ("cost", "seconds", "retry", "left"),
    [(1_250, "3", "3 seconds", 0), (1_010, "1", "1 second", 0), (400, "1", "1 second", 600)],
)
def test_a_refusal_says_how_much_there_is_and_when_to_come_again(
    shares: Shares, cost: int, seconds: str, retry: str, left: int
) -> None:
    shares.charge("amy", cost)

    refusal = shares.throttled("amy")

    assert (refusal.status, refusal.extensions) == (429, {"code": "THROTTLED"})
    assert refusal.message == (
        "Others wait, and you have used more than your share of this server. "
        f"Send fewer requests at once, or smaller ones; this one again in {retry}."
    )
    assert refusal.headers == {
        "Retry-After": seconds,
        "RateLimit-Policy": '"share";q=1000;w=10',
        "RateLimit": f'"share";r={left};t={seconds}',
    }


def test_full_buckets_are_forgotten_before_others(monkeypatch: pytest.MonkeyPatch, shares: Shares, clock: Clock) -> None:
    monkeypatch.setattr(shares_module, "MAX_BUCKETS", 10)
    for cost in (500, 10):
        for number in range(5):
            shares.charge(f"{cost} {number}", cost)
    clock.now += 1

    shares.charge("one more", 100)

    assert len(shares) == 6
    assert {shares.share(f"500 {number}").available for number in range(5)} == {600}


def test_the_buckets_of_any_number_of_callers_take_little_memory(shares: Shares) -> None:
    most = 0
    for number in range(100_000):
        shares.charge(f"{number} {'x' * 240}", 100)
        most = max(most, len(shares))
    buckets = shares._full_at

    assert most == shares_module.MAX_BUCKETS
    assert sys.getsizeof(buckets) + sum(map(sys.getsizeof, buckets)) + sum(map(sys.getsizeof, buckets.values())) < 4 << 20
    assert shares.share(f"99999 {'x' * 240}").available == 900
