"""What a request reads, it reads together and once; what fails for one who waits does not fail for the others."""

import asyncio
import gc
from typing import cast

import pytest

from resolvers.auth import allowed_operations
from schema.context import Context
from schema.execution.sizes import AnswerTooLarge
from storage.database import Database
from storage.errors import DatabaseUnusable
from storage.models import HomeVisit
from storage.queries.conditions import HomeVisitFilter
from storage.queries.paging import Page, Window
from tests import world
from tests.asking import Ask, engine
from tests.databases import path_of
from tests.inspection import DRIVER_ERRORS, inspect

TEN = Window.of(10, None, None, None)


async def page_of(context: Context, home: str, filter: HomeVisitFilter, *, backward: bool = False) -> Page[HomeVisit]:
    pages = await context.pages_loader("location", filter, [("id", backward)], TEN)((home,))
    return cast("Page[HomeVisit]", pages[home])


@pytest.fixture
def ask(database: Database) -> Ask:
    return Ask(database, engine(planned=True))


def drop(database: Database, table: str) -> None:
    inspect(path_of(database)).execute(f"ALTER TABLE {table} RENAME TO elsewhere")


async def test_records_asked_for_at_once_are_read_by_one_statement(ask: Ask) -> None:
    context = ask.context()

    first, second, none = await asyncio.gather(
        *(context.load("user", id, by_id=False) for id in (world.ANNA, world.BEN, world.UNKNOWN))
    )

    assert (first.first_name, second.first_name, none) == ("Anna", "Ben", None)
    assert ask.database.statement_count == 1


async def test_a_record_is_read_once_for_a_request(ask: Ask) -> None:
    context = ask.context()
    await context.load_many("user", [world.ANNA, world.UNKNOWN], by_id=False)

    records = await context.load_many("user", [world.UNKNOWN, world.ANNA, world.ANNA], by_id=False)

    assert records[world.ANNA].first_name == "Anna"
    assert records[world.UNKNOWN] is None
    assert ask.database.statement_count == 1


async def test_what_is_seen_through_a_visit_and_by_its_id_is_read_apart(ask: Ask) -> None:
    context = ask.context(world.limited_to(world.BEECHES))

    through_a_visit = await context.load("user", world.ANNA, by_id=False)
    by_its_id = await context.load("user", world.ANNA, by_id=True)

    assert (through_a_visit.first_name, by_its_id) == ("Anna", None)


async def test_who_asks_while_others_wait_waits_with_them(ask: Ask) -> None:
    context = ask.context()
    one = asyncio.ensure_future(context.load_many("location", [world.WILLOWS, world.BEECHES], by_id=False))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    records = await context.load_many("location", [world.BEECHES, world.STUB_HOME], by_id=False)

    assert {id: records[id].name for id in (world.BEECHES, world.STUB_HOME)} == {
        world.BEECHES: "The Beeches",
        world.STUB_HOME: None,
    }
    assert (await one)[world.WILLOWS].name == "The Willows"
    assert ask.database.statement_count == 2


async def test_one_who_leaves_takes_nothing_from_the_others(ask: Ask) -> None:
    context = ask.context()
    leaves, stays = [asyncio.ensure_future(context.load("user", world.ANNA, by_id=False)) for _ in range(2)]
    await asyncio.sleep(0)

    leaves.cancel()

    assert (await stays).first_name == "Anna"
    with pytest.raises(asyncio.CancelledError):
        await leaves


async def test_a_database_that_failed_is_not_asked_the_same_again(ask: Ask) -> None:
    drop(ask.database, "users")
    context = ask.context()

    for _ in range(2):
        with pytest.raises((DatabaseUnusable, *DRIVER_ERRORS)):
            await context.load("user", world.ANNA, by_id=False)

    assert ask.database.statement_count == 1


async def test_who_waits_for_several_reads_that_fail_leaves_none_of_them_to_the_log(ask: Ask) -> None:
    drop(ask.database, "users")
    context, logged = ask.context(), list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, failure: logged.append(failure["message"]))
    first = asyncio.ensure_future(context.load("user", world.ANNA, by_id=False))
    for _ in range(3):
        await asyncio.sleep(0)

    with pytest.raises((DatabaseUnusable, *DRIVER_ERRORS)):
        await context.load_many("user", [world.ANNA, world.BEN], by_id=False)
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.sleep(0.1)
    del context, first
    gc.collect()

    assert logged == []


async def test_pages_of_many_records_are_read_by_one_statement_and_counted_by_one(ask: Ask) -> None:
    context = ask.context()

    willows, beeches = await asyncio.gather(*(page_of(context, id, {}) for id in (world.WILLOWS, world.BEECHES)))
    counts = [await page.total_count() for page in (willows, beeches)]

    assert counts == [15, 9]
    assert ask.database.statement_count == 2


async def test_pages_asked_for_differently_are_read_apart(ask: Ask) -> None:
    context = ask.context()
    variants: list[tuple[HomeVisitFilter, bool]] = [({}, False), ({"cancelled": True}, False), ({}, True)]

    pages = await asyncio.gather(*(page_of(context, world.WILLOWS, filter, backward=backward) for filter, backward in variants))

    first = [page.nodes[0].id for page in pages]
    assert first == [world.VISIT_IDS[0], world.VISIT_IDS[1], world.VISIT_IDS[20]]
    assert ask.database.statement_count == 3


async def test_what_a_change_may_have_changed_is_read_anew(ask: Ask) -> None:
    context = ask.context()
    before = await page_of(context, world.WILLOWS, {})

    await context.begin_change("first", "cancelHomeVisit").cancel(world.PENDING)
    after = await page_of(context, world.WILLOWS, {})

    assert [page.nodes[0].status for page in (before, after)] == ["PENDING", "CANCELLED"]


PARENTS = [world.WILLOWS, world.BEECHES, world.STUB_HOME, world.UNKNOWN, "1" * 24]
HUNDRED = Window.of(100, None, None, None)


@pytest.mark.parametrize(
    ("columns", "statements"), [(None, 2), (frozenset({"nodes", "notes"}), 2), (frozenset({"nodes", "id"}), 1)]
)
async def test_rows_with_notes_are_read_a_few_pages_at_a_time(ask: Ask, columns: frozenset[str] | None, statements: int) -> None:
    pages = await ask.context().pages_loader("location", {}, [("id", False)], HUNDRED, columns)(PARENTS)

    assert ask.database.statement_count == statements
    assert [bool(pages[id].nodes) for id in PARENTS] == [True, True, False, False, False]


async def test_only_what_will_be_read_of_visits_is_read(ask: Ask) -> None:
    pages = await ask.context().pages_loader("location", {}, [("id", False)], TEN, frozenset({"nodes", "host"}))(PARENTS)

    assert set(type(pages[world.WILLOWS].nodes[0]).columns) == {"id", "host"}


async def test_more_notes_than_an_answer_may_have_are_not_read_on(ask: Ask, database: Database) -> None:
    visits = inspect(path_of(database)).records("home_visits")
    letters = sum(len(visit["notes"]) for visit in visits if visit["location"] == world.WILLOWS)
    load = [
        Context(database, world.EVERYBODY, lambda: world.NOW, "Europe/London", allowed_operations, largest).pages_loader(
            "location", {}, [("id", False)], HUNDRED
        )
        for largest in (letters, letters - 1)
    ]

    pages = await load[0]((world.WILLOWS,))
    with pytest.raises(AnswerTooLarge):
        await load[1]((world.WILLOWS,))

    assert sum(len(visit.notes) for visit in pages[world.WILLOWS].nodes) == letters > 0


ID_AND_HOME = "id location { name homeVisits(first: 2) { totalCount nodes { notes } } }"


@pytest.mark.parametrize(
    "document",
    [
        f"{{ homeVisits(first: 5) {{ totalCount nodes {{ {ID_AND_HOME} }} }} }}",
        f"{{ users(first: 5) {{ nodes {{ homeVisits(first: 2) {{ nodes {{ {ID_AND_HOME} }} }} }} }} }}",
        "{ careEnquiries(first: 5) { nodes { serviceUserContacts { nodes { id } } homeVisits { totalCount } } } }",
        "{ homeVisits(first: 5) { nodes { history(first: 3) { nodes { type homeVisit { status } } } } } }",
    ],
    ids=["visits", "users", "enquiries", "history"],
)
async def test_nothing_of_an_answered_query_waits_for_the_collector(ask: Ask, document: str) -> None:
    for _ in range(2):
        await ask.data(document)
    gc.collect()
    gc.disable()
    try:
        await ask.data(document)
        await asyncio.sleep(0)  # what has ended a moment ago is let go in the next turn of the loop
        assert gc.collect() == 0
    finally:
        gc.enable()
