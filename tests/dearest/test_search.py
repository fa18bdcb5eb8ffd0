"""A search for requests that are dearer than those of the corpus: what is drawn is led to what keeps the loop longest."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings, target

from schema.execution.internals import core_schema
from tests.asking import schema
from tests.dearest.cases import Case
from tests.dearest.databases import make_hostile, make_usual
from tests.dearest.measure import BOUND_SECONDS, LARGEST_ANSWER, LONGEST_SECONDS, measure, row
from tests.dearest.search import requests
from tests.dearest.stretches import MeasuredServer, measured_server

REQUESTS = requests(core_schema(schema()))


def search(server: MeasuredServer, examples: int) -> None:
    """Measure requests, the same in each run unless HYPOTHESIS_SEED is set; fail with the one that is above the bound."""
    dearest: list[tuple[float, Case, str]] = []

    random = os.environ.get("HYPOTHESIS_SEED")

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=random is None,
        phases=[Phase.generate, Phase.target, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(REQUESTS)
    def seek(case: Case) -> None:
        taken = measure(server, case)
        target(1000 * taken.stretch)
        dearest.append((taken.stretch, case, row(case, taken)))
        note(f"{row(case, taken)}\n{case.document}\n{case.variables}")
        assert taken.stretch <= BOUND_SECONDS
        assert taken.size <= LARGEST_ANSWER
        assert taken.seconds <= LONGEST_SECONDS
        assert not taken.is_fault

    try:
        (seek if random is None else seed(random)(seek))()
    finally:
        for _, case, line in sorted(dearest, key=lambda each: each[0])[-3:]:
            print(f"{line}\n{case.document}\n{str(case.variables)[:300]}")


def test_a_short_search_finds_nothing_above_the_bound(tmp_path: Path) -> None:
    make_hostile(tmp_path / "visits.db", 150)

    with measured_server(tmp_path / "visits.db") as server:
        search(server, 40)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "visits"), [(make_hostile, 2_000), (make_usual, 300_000)])
def test_a_long_search_finds_nothing_above_the_bound(make: Callable[[Path, int], None], visits: int, tmp_path: Path) -> None:
    make(tmp_path / "visits.db", visits)

    with measured_server(tmp_path / "visits.db") as server:
        search(server, 280)
