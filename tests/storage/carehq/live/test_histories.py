"""Whatever happens to an account, to who follows it and between them: in the end both agree, and nothing was done twice."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.storage.carehq.live.histories import Histories

# How many to draw by hand, before a release.
MANY = int(os.environ.get("HOME_VISITS_HISTORIES", "15"))


def run(template: Path, empty: Path, examples: int, steps: int) -> None:
    before = Histories.ended
    run_state_machine_as_test(
        lambda: Histories(template, empty),
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert Histories.ended - before >= examples


def test_random_histories_end_alike_on_both_sides(world_file: Path, empty_file: Path) -> None:
    run(world_file, empty_file, examples=4, steps=9)


@pytest.mark.slow
def test_long_random_histories_end_alike_on_both_sides(world_file: Path, empty_file: Path) -> None:
    run(world_file, empty_file, examples=MANY, steps=25)
