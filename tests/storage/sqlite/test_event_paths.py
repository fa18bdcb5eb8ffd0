"""How events are found: along an index that has all that is looked at, and tried in turn where there are several."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from storage.events import listing
from storage.events.conditions import event_conditions
from storage.queries.statements import Statement
from storage.sqlite.dialect import DIALECT
from tests.inspection import inspect
from tests.storage.homes import REID, ROWAN, WILLOW, visit_id

SINCE = {"at_from": datetime(2024, 11, 1, tzinfo=UTC)}
MANY = [f"{number:024x}" for number in range(51)]
CANCELLED, CLERK, HOMES = {"type": ["CANCELLED"]}, {"actor": ["clerk"]}, [WILLOW, ROWAN]


def found_by(path: Path, statement: Statement) -> str:
    """Return the index by which the events of a page are found; by that of numbers they are looked up then."""
    plan = inspect(path).plan(statement.text, len(statement.names))
    assert "SCAN home_visit_events" not in plan
    used = set(re.findall(r"SEARCH home_visit_events USING (?:COVERING )?INDEX home_visit_events_(\w+)", plan))
    [index] = used - {"by_sequence"} or used
    is_last = statement.max_steps is None and index not in ("by_sequence", "of_visit")
    assert not is_last or f"USING COVERING INDEX home_visit_events_{index}" in plan
    return str(index)


@pytest.mark.parametrize("cursors", [{}, {"after": True}, {"backward": True, "before": True}], ids=str)
@pytest.mark.parametrize(
    ("filter", "locations", "indexes"),
    [
        ({}, None, ["by_sequence"]),
        ({"home_visit": [visit_id(1)]} | CANCELLED, HOMES, ["of_visit"]),
        (CANCELLED, None, ["of_type"]),
        ({"type": ["CANCELLED", "BOOKED"]}, None, ["of_type"]),
        (CLERK, None, ["of_actor"]),
        (CLERK | CANCELLED, None, ["of_actor", "of_type", "of_actor"]),
        ({}, HOMES, ["at_location"]),
        ({"location": [WILLOW]}, HOMES, ["at_location"]),
        (CLERK, HOMES, ["at_location", "of_actor", "at_location"]),
        (CLERK, MANY, ["by_sequence", "at_location", "of_actor", "at_location"]),
        (SINCE, None, ["by_sequence", "by_time"]),
        (SINCE | CANCELLED, None, ["of_type", "by_time", "of_type"]),
        (SINCE | CLERK | CANCELLED, HOMES, ["at_location", "of_actor", "of_type", "by_time", "at_location"]),
    ],
    ids=range(13),
)
def test_a_filtered_list_is_found_along_an_index_of_its_order(
    path: Path, filter: Any, locations: Any, indexes: list[str], cursors: Any
) -> None:
    shape = listing.Shape(event_conditions(filter, locations, DIALECT).shape, **cursors)

    chain, statement = [], listing.page(DIALECT, shape)
    while statement is not None:
        chain.append(statement)
        statement = statement.fallback

    assert [found_by(path, statement) for statement in chain] == indexes
    assert [statement.max_steps is None for statement in chain] == [False] * (len(chain) - 1) + [True]


def test_the_events_of_an_enquiry_are_found_by_its_visits(path: Path) -> None:
    statement = listing.page(DIALECT, listing.Shape(event_conditions({"care_enquiry": [REID]}, None, DIALECT).shape))

    assert statement.fallback is None
    assert found_by(path, statement) == "of_visit"
