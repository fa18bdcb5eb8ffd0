"""Nobody sees outside their locations: the same visits, asked for in every way there is, by callers of other locations."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from storage.caller import Caller
from storage.database import Database
from storage.errors import HomeVisitNotFound, InvalidInput
from storage.models import Location
from storage.queries.paging import Window
from storage.repository import HomeVisits
from storage.sqlite import readers
from tests.storage.homes import (
    ALICE,
    BOB,
    DAUGHTER,
    EVERYTHING,
    FROST,
    NOBODY,
    REID,
    ROWAN,
    WILLOW,
    Clock,
    booking,
    everything_in,
    keep,
    limited_to,
    visit,
    visit_id,
)

ALL = Window(100, False, None, None)
NUMBERS = {WILLOW: [1, 2, 3], ROWAN: [4, 5]}


@pytest.fixture(autouse=True)
async def _five_visits(database: Database) -> None:
    """Keep visits that share all but their location."""
    shared: dict[str, Any] = {"care_enquiry": REID, "assigned_to": ALICE, "service_user_contact": DAUGHTER, "notes": "shared"}
    await keep(database, *(visit(number, location=location, **shared) for location, found in NUMBERS.items() for number in found))


async def listed(visits: HomeVisits, filter: Any) -> list[str]:
    return [node.id for node in (await visits.page(filter, [], ALL)).nodes]


async def nested(visits: HomeVisits, parent: str, id: str) -> list[str]:
    return [node.id for node in (await visits.pages(parent, [id], {}, [], ALL))[0].nodes]


async def one_by_one(visits: HomeVisits) -> list[str]:
    found = [await visits.get(visit_id(number)) for number in range(1, 6)]
    return [visit.id for visit in found if visit]


READS: dict[str, Callable[[HomeVisits], Awaitable[list[str]]]] = {
    "all": lambda visits: listed(visits, {}),
    "by their IDs": lambda visits: listed(visits, {"ids": [visit_id(number) for number in range(1, 6)]}),
    "by an ID each": one_by_one,
    "by both locations": lambda visits: listed(visits, {"location": [WILLOW, ROWAN]}),
    "by keyword": lambda visits: listed(visits, {"keyword": "shared"}),
    "of the enquiry": lambda visits: nested(visits, "care_enquiry", REID),
    "of the user": lambda visits: nested(visits, "assigned_to", ALICE),
    "of the contact": lambda visits: nested(visits, "service_user_contact", DAUGHTER),
}


@pytest.mark.parametrize(
    ("caller", "locations"),
    [
        (EVERYTHING, [WILLOW, ROWAN]),
        (limited_to(WILLOW), [WILLOW]),
        (limited_to(ROWAN), [ROWAN]),
        (limited_to(WILLOW, ROWAN), [WILLOW, ROWAN]),
        (limited_to(NOBODY), []),
        (limited_to(), []),
        (limited_to("\0", "\ud800", WILLOW + "\0", "%"), []),
    ],
    ids=["everything", "Willow", "Rowan", "both", "an unknown one", "none", "no IDs"],
)
async def test_every_read_shows_the_visits_of_the_callers_locations(
    database: Database, caller: Caller, locations: list[str]
) -> None:
    visits = HomeVisits(database, caller, Clock())
    expected = [visit_id(number) for location in locations for number in NUMBERS[location]]

    read = {name: await ask(visits) for name, ask in READS.items()}

    assert read == dict.fromkeys(READS, expected)


async def test_locations_that_are_no_ids_let_nobody_write(database: Database, path: Path) -> None:
    visits = HomeVisits(database, limited_to("\0", "\ud800", WILLOW + "\0", "%"), Clock())
    before = everything_in(path)

    with pytest.raises(HomeVisitNotFound):
        await visits.cancel(visit_id(1))
    with pytest.raises(InvalidInput):
        await visits.book(booking(service_user_contact=DAUGHTER), idempotency_key="k")

    assert everything_in(path) == before


async def test_a_location_out_of_sight_lists_no_visits(database: Database) -> None:
    visits = HomeVisits(database, limited_to(WILLOW), Clock())

    assert await nested(visits, "location", ROWAN) == []
    assert await listed(visits, {"location": [ROWAN]}) == []


async def test_counts_leave_out_what_is_out_of_sight(database: Database) -> None:
    visits = HomeVisits(database, limited_to(ROWAN), Clock())

    page = await visits.page({}, [], Window(1, False, None, None))
    willow, rowan = await visits.pages("location", [WILLOW, ROWAN], {}, [], Window(0, False, None, None))

    assert await page.total_count() == 2
    assert [await willow.total_count(), await rowan.total_count()] == [0, 2]


async def test_what_is_around_a_page_tells_nothing_of_what_is_out_of_sight(database: Database) -> None:
    everything, theirs = (HomeVisits(database, caller, Clock()) for caller in (EVERYTHING, limited_to(ROWAN)))
    whole = await everything.page({}, [("date_time", False)], ALL)
    third, last = whole.edges[2].cursor, whole.edges[4].cursor

    after = await theirs.page({}, [("date_time", False)], Window(10, False, third, None))
    before = await theirs.page({}, [("date_time", False)], Window(10, True, None, third))
    end = await theirs.page({}, [("date_time", False)], Window(10, False, last, None))

    assert [node.id for node in after.nodes] == [visit_id(4), visit_id(5)]
    assert (after.has_previous_page, after.has_next_page) == (False, False)
    assert (before.nodes, before.has_previous_page, before.has_next_page) == ([], False, True)
    assert (end.nodes, end.has_previous_page, end.has_next_page) == ([], True, False)


async def test_a_caller_may_have_more_locations_than_a_filter(database: Database) -> None:
    many = [f"9{number:023x}" for number in range(1000)]
    await keep(database, Location(id=many[999]))
    await keep(database, visit(6, location=many[999]))
    visits = HomeVisits(database, limited_to(*many), Clock())

    cancelled = await visits.cancel(visit_id(6))

    assert await READS["all"](visits) == [visit_id(6)]
    assert cancelled.version == 2


async def test_reads_cost_one_statement_each_and_counts_one_more(database: Database) -> None:
    visits = HomeVisits(database, limited_to(WILLOW), Clock())
    costs = []

    async def cost(work: Awaitable[Any]) -> Any:
        before = database.statement_count
        done = await work
        costs.append(database.statement_count - before)
        return done

    await cost(visits.get(visit_id(1)))
    page = await cost(visits.page({}, [], Window(1, False, None, None)))
    await cost(visits.page({}, [], Window(1, False, page.end_cursor, None)))
    await cost(page.total_count())
    pages = await cost(visits.pages("location", [WILLOW, ROWAN, NOBODY], {}, [], Window(1, False, None, None)))
    await cost(asyncio.gather(*(page.total_count() for page in pages)))
    beyond = (await visits.page({}, [], ALL)).end_cursor
    await cost(visits.page({}, [], Window(1, False, beyond, None)))

    # The last page is empty: what is before it takes a statement of its own.
    assert costs == [1, 1, 1, 1, 1, 1, 2]


async def test_parents_are_counted_once_though_all_are_asked_while_it_takes_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(database, *(visit(number, assigned_to=BOB, care_enquiry=FROST) for number in range(10, 1000)))
    monkeypatch.setattr(readers, "INLINE_STEPS", 0)
    visits = HomeVisits(database, EVERYTHING, Clock())
    pages = await visits.pages("assigned_to", [ALICE, BOB, NOBODY, BOB], {}, [], Window(1, False, None, None))
    before = database.statement_count

    counts = await asyncio.gather(*(page.total_count() for page in pages))

    assert (counts, database.statement_count - before) == ([5, 990, 0, 990], 1)
    assert [[node.id for node in page.nodes] for page in pages] == [[visit_id(1)], [visit_id(10)], [], [visit_id(10)]]
