"""Pages by their number: what is passed over on the way to one is passed over once."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from storage.caller import OURSELVES
from storage.database import Database
from storage.queries.conditions import HomeVisitFilter
from storage.queries.paging import NumberedPage
from storage.queries.statements import Row, Statement
from storage.repository import HomeVisits
from tests.storage.homes import booking

SINCE: HomeVisitFilter = {"modified_after": datetime(2000, 1, 1, tzinfo=UTC)}


@pytest.fixture
def texts(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the SQL of what is read."""
    found: list[str] = []
    fetch = database.fetch

    async def note(statement: Statement, values: Mapping[str, Any], subject: str = OURSELVES) -> Sequence[Row]:
        found.append(" ".join(statement.text.split()))
        return await fetch(statement, values, subject)

    monkeypatch.setattr(database, "fetch", note)
    return found


async def test_a_page_is_sought_by_the_row_before_it_and_no_wider_bound(visits: HomeVisits, texts: list[str]) -> None:
    booked = [(await visits.book(booking())).id for _ in range(4)]

    page = await visits.numbered_page(SINCE, [("modified", False)], NumberedPage(3, 1))

    found, listed = texts
    assert [visit.id for visit in page.nodes] == [booked[2]]
    # Of two bounds on one side SQLite seeks the first, and passes over all that is between them.
    assert ("home_visits.modified > " in found, "home_visits.modified > " in listed) == (True, False)
    assert await page.total_count() == 4


@pytest.mark.sqlite  # PostgreSQL seeks the closer of two bounds
async def test_what_lies_before_a_page_is_sought_from_its_first_row(visits: HomeVisits, texts: list[str]) -> None:
    booked = [(await visits.book(booking())).id for _ in range(4)]

    page = await visits.numbered_page(SINCE, [("modified", True)], NumberedPage(3, 1))

    beyond, _, listed = texts[1].partition("beyond_after")
    assert [visit.id for visit in page.nodes] == [booked[2]]
    assert ("(+ home_visits.modified) > " in beyond, "(+ home_visits.modified) > " in listed) == (True, False)
