"""No request that the limits admit keeps the others waiting: each of the dearest, with `/healthz` asked beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dearest.corpus import Case, corpus
from tests.dearest.databases import make_hostile, make_usual
from tests.dearest.measure import BOUND_SECONDS, LARGEST_ANSWER, LONGEST_SECONDS, measure, row
from tests.dearest.stretches import MeasuredServer, Measurement, measured_server
from tests.dearest.subscriptions import measure_subscriptions, subscriptions

CASES = corpus()
Measure = Callable[[MeasuredServer, Case], Measurement]
SMALL: dict[str, tuple[Callable[[Path, int], None], int]] = {"hostile": (make_hostile, 150), "usual": (make_usual, 3_000)}
LARGE: dict[str, tuple[Callable[[Path, int], None], int]] = {"hostile": (make_hostile, 2_000), "usual": (make_usual, 300_000)}


@pytest.fixture(scope="session", params=SMALL)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeasuredServer]:
    yield from _serving(tmp_path_factory.mktemp(request.param) / "small.db", *SMALL[request.param])


@pytest.fixture(scope="session", params=LARGE)
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeasuredServer]:
    yield from _serving(tmp_path_factory.mktemp(request.param) / "large.db", *LARGE[request.param])


def _serving(path: Path, make: Callable[[Path, int], None], visits: int) -> Iterator[MeasuredServer]:
    make(path, visits)
    with measured_server(path) as server:
        yield server


def require_short(server: MeasuredServer, cases: list[Case], measure: Measure = measure) -> None:
    long = []
    for case in cases:
        taken = measure(server, case)
        print(row(case, taken))
        if taken.stretch > BOUND_SECONDS or taken.size > LARGEST_ANSWER or taken.seconds > LONGEST_SECONDS or taken.is_fault:
            long.append(row(case, taken))
    assert long == []
    assert server.log.failures == []


def test_the_dearest_requests_leave_turns_to_others(small: MeasuredServer) -> None:
    # Of ten keywords four, and of documents those that are refused only when they are read: for all there is the slow run.
    require_short(small, [case for case in CASES if not case.is_variant])


def test_the_dearest_subscriptions_leave_turns_to_others(small: MeasuredServer) -> None:
    require_short(small, [case for case in subscriptions() if not case.is_variant], measure_subscriptions)


@pytest.mark.slow
def test_the_dearest_requests_leave_turns_to_others_where_much_is_stored(large: MeasuredServer) -> None:
    require_short(large, CASES)
    require_short(large, subscriptions(), measure_subscriptions)


def test_a_loop_that_is_kept_is_seen(tmp_path: Path) -> None:
    make_usual(tmp_path / "visits.db", 10)

    with measured_server(tmp_path / "visits.db") as server:
        quiet = server.ask("{ viewer { subject } }", {})
        kept = server.ask("{ viewer { subject } }", {}, beside=lambda: server.keep_loop(0.15))

    assert quiet.stretch < BOUND_SECONDS
    assert 0.15 <= kept.stretch < 1
