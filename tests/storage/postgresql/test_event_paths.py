"""By which indexes PostgreSQL finds events, as it plans it itself among twenty thousand, however few it expects to pass."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from storage.events import listing
from storage.events.conditions import event_conditions
from storage.postgresql.dialect import DIALECT
from tests import databases
from tests.storage.postgresql.test_access_paths import FILL, HOMES, execute, planned

EVENTS = """
INSERT INTO home_visit_events (at, actor, type, home_visit, care_enquiry, location, version, changes, sequence)
  SELECT timestamptz '2024-01-01Z' + interval '1 minute' * n, 'user' || n % 100,
    (ARRAY['BOOKED', 'UPDATED', 'CANCELLED'])[n % 3 + 1],
    lpad((n % 2000 + 1)::text, 24, '0'), 'c' || lpad((n % 2000)::text, 23, '0'), 'b' || lpad((n % 30)::text, 23, '0'), 1, '[]', n
  FROM generate_series(1, 20000) n;
"""
UPDATED: Any = {"type": ["UPDATED"]}
CLERK: Any = {"actor": ["user3"]}
LATE: Any = {"at_from": datetime(2030, 1, 1, tzinfo=UTC)}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    kind, databases.KIND = databases.KIND, "postgresql"
    path = tmp_path_factory.mktemp("events") / "visits.db"
    databases.migrate(path)
    url = databases.url_of(path)
    asyncio.run(execute(url, FILL.replace("20000", "2000") + EVENTS, "VACUUM ANALYZE"))
    databases.KIND = kind
    yield url
    databases.KIND = "postgresql"
    databases.drop_below(path.parent)
    databases.KIND = kind


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    ("filter", "locations", "index"),
    [
        (UPDATED, None, "of_type"),
        ({"type": ["UPDATED", "ANONYMIZED"]}, None, "of_type"),
        (CLERK, None, "of_actor"),
        (CLERK | UPDATED, None, "of_actor"),
        ({}, HOMES[:1], "at_location"),
        ({}, HOMES[:10], "at_location"),
        (UPDATED, HOMES[:1], "at_location"),
        ({"home_visit": ["0" * 23 + "7"]} | UPDATED, HOMES[:2], "of_visit"),
    ],
    ids=str,
)
async def test_a_filtered_list_is_found_along_an_index_of_its_order(
    filled: str, filter: Any, locations: Any, index: str, backward: bool
) -> None:
    where = event_conditions(filter, locations, DIALECT)
    statement = listing.page(DIALECT, listing.Shape(where.shape, backward))
    values = where.values | {"after": 10_000, "before": 15_000, "limit": 101}

    used = set(await planned(filled, statement, values)) - {"home_visit_events_unnumbered", "sort", "incremental sort"}

    assert statement.fallback is None
    assert used == {f"home_visit_events_{index}", "home_visit_events_by_sequence"}


async def test_a_time_that_a_walk_does_not_find_is_found_by_its_index(filled: str) -> None:
    where = event_conditions(LATE, None, DIALECT)
    statement = listing.page(DIALECT, listing.Shape(where.shape))
    values = where.values | {"after": 0, "before": 2**62, "limit": 101}

    assert (statement.rows, statement.fallback is None) == (5_000, False)
    assert "home_visit_events_by_time" in await planned(filled, statement.fallback, values)
