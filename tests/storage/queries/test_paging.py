import base64
import itertools
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.database import Database
from storage.errors import InvalidPage
from storage.models import HomeVisit
from storage.queries.listing import COLUMNS
from storage.queries.paging import LARGEST_PAGE, Order, Page, Window
from storage.records import HomeVisitRecord
from storage.repository import HomeVisits
from tests.storage.homes import NOW, VISIT_TIME, keep, visit, visit_id

BY_TIME = Order([("date_time", False)], COLUMNS)
BY_ID = Order([], COLUMNS)
NEWEST_FIRST = Order([("created", True), ("date_time", False)], COLUMNS)
ORDERS = [
    Order(keys, COLUMNS) for keys in ([], [("id", True)], [("date_time", False)], [("date_time", True)], [("modified", False)])
]
RECORD: Any = HomeVisitRecord(
    {
        "id": visit_id(1),
        "date_time": "2024-11-03T11:00:00",
        "created": "2024-10-20T09:30:00.500",
        "modified": "2024-10-20T09:30:00",
    }.get(column)
    for column in COLUMNS
)


# Sizes


@pytest.mark.parametrize(
    ("first", "last", "window"),
    [
        (None, None, Window(10, False, "a", "b")),
        (3, None, Window(3, False, "a", "b")),
        (None, 3, Window(3, True, "a", "b")),
        (0, None, Window(0, False, "a", "b")),
        (None, 0, Window(0, True, "a", "b")),
        (100, None, Window(100, False, "a", "b")),
        (None, 100, Window(100, True, "a", "b")),
    ],
)
def test_a_window_has_a_size_and_a_direction(first: int | None, last: int | None, window: Window) -> None:
    assert Window.of(first, "a", last, "b") == window


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (1, 1, "Ask for either the `first` or the `last` of a list, not both at once."),
        (0, 0, "Ask for either the `first` or the `last` of a list, not both at once."),
        (101, None, "`first` must be from 0 to 100: it is 101. Page through longer lists with cursors."),
        (-1, None, "`first` must be from 0 to 100: it is -1. Page through longer lists with cursors."),
        (None, 101, "`last` must be from 0 to 100: it is 101. Page through longer lists with cursors."),
        (None, -1, "`last` must be from 0 to 100: it is -1. Page through longer lists with cursors."),
        (None, -(2**31), "`last` must be from 0 to 100: it is -2147483648. Page through longer lists with cursors."),
    ],
)
def test_a_window_that_cannot_be_is_refused(first: int | None, last: int | None, message: str) -> None:
    with pytest.raises(InvalidPage) as refused:
        Window.of(first, None, last, None)

    assert str(refused.value) == message


# Orders and cursors


@pytest.mark.parametrize(
    ("order", "keys"),
    [
        ([], [("id", False)]),
        ([("id", True)], [("id", True)]),
        ([("date_time", True)], [("date_time", True), ("id", False)]),
        ([("date_time", True), ("created", False)], [("date_time", True), ("created", False), ("id", False)]),
        ([("modified", False), ("id", True)], [("modified", False), ("id", True)]),
        ([("date_time", False), ("date_time", True)], [("date_time", False), ("id", False)]),
        ([("id", False), ("date_time", True)], [("id", False)]),
    ],
)
def test_an_order_ends_in_the_id_and_repeats_nothing(order: list[tuple[str, bool]], keys: list[tuple[str, bool]]) -> None:
    assert Order(order, COLUMNS).keys == tuple(keys)


def test_no_two_orders_have_the_same_code() -> None:
    names, directions = ("id", "date_time", "created", "modified"), (False, True)
    sequences = [chosen for length in range(5) for chosen in itertools.permutations(names, length)]
    orders = [
        Order(list(zip(chosen, falling, strict=True)), COLUMNS)
        for chosen in sequences
        for falling in itertools.product(directions, repeat=len(chosen))
    ]

    assert len({order.code for order in orders}) == len({order.keys for order in orders})


def test_a_cursor_holds_the_values_of_its_order() -> None:
    cursor = NEWEST_FIRST.cursor(RECORD)

    position = NEWEST_FIRST.position(cursor, "after")

    assert position == {"after_0": "2024-10-20T09:30:00.500", "after_1": "2024-11-03T11:00:00", "after_2": visit_id(1)}


NO_CURSOR = "`before` is no cursor of this list: pass a cursor from it unchanged, with the `orderBy` it came with."


def refused(order: Order, cursor: str) -> bool:
    """Tell whether a cursor is refused with the one message there is for that; anything else that is raised comes through."""
    try:
        return not order.position(cursor, "before")
    except InvalidPage as refusal:
        return str(refusal) == NO_CURSOR


def test_a_cursor_of_another_order_is_refused() -> None:
    taken = {(one.code, other.code) for one in ORDERS for other in ORDERS if not refused(other, one.cursor(RECORD))}

    assert taken == {(order.code, order.code) for order in ORDERS}


@settings(deadline=None)
@given(st.text() | st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+/"))
def test_any_text_is_refused_as_a_cursor(text: str) -> None:
    assert all(refused(order, text) for order in ORDERS)


NEARLY_INSTANTS = [
    *("", "2024-11-03", "2024-11-03T11:00", "20241103T110000", "2024-W44-7T11:00:00", "2024-11-03T11:00:00Z"),
    *("2024-11-03T11:00:00+00:00", "2024-11-03 11:00:00", "2024-11-03T11:00:00.5", "2024-11-03T11:00:00.500000"),
    *("2024-11-03T24:00:00", "9999-12-31T23:59:59.9999999", "0000-01-01T00:00:00"),
]
NEARLY_IDS = ["", "F" * 24, "f" * 23, "٣" * 24, "f" * 24 + "\n"]


def cursor_of(content: Sequence[str]) -> str:
    return base64.b64encode("|".join(content).encode(errors="surrogatepass")).decode()


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.code)
def test_a_cursor_with_a_value_that_no_visit_has_is_refused(order: Order) -> None:
    genuine = base64.b64decode(order.cursor(RECORD)).decode().split("|")

    taken = [
        (index, value)
        for index, (name, _) in enumerate(order.keys, 1)
        for value in (NEARLY_IDS if name == "id" else NEARLY_INSTANTS)
        if not refused(order, cursor_of([*genuine[:index], value, *genuine[index + 1 :]]))
    ]

    assert (taken, refused(order, cursor_of(genuine))) == ([], False)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.code)
def test_a_cursor_with_a_value_too_many_or_too_few_is_refused(order: Order) -> None:
    genuine = base64.b64decode(order.cursor(RECORD)).decode().split("|")

    assert refused(order, cursor_of(genuine[:-1]))
    assert refused(order, cursor_of([*genuine, genuine[-1]]))


@settings(deadline=None)
@given(st.sampled_from(ORDERS), st.lists(st.text(), max_size=3))
def test_any_contents_of_its_order_are_refused_as_a_cursor(order: Order, values: list[str]) -> None:
    assert refused(order, cursor_of([order.code, *values]))


@pytest.mark.parametrize(
    "spelling",
    [lambda text: f"{text[:4]} {text[4:]}", lambda text: f"{text[:4]}\n{text[4:]}", lambda text: text.replace("=", "")],
)
def test_another_spelling_of_a_cursor_is_refused(spelling: Callable[[str], str]) -> None:
    cursor = BY_ID.cursor(RECORD)

    assert (cursor[-1], refused(BY_ID, cursor), refused(BY_ID, spelling(cursor))) == ("=", False, True)


def test_a_cursor_with_other_bits_in_its_padding_is_refused() -> None:
    cursor = BY_ID.cursor(RECORD)
    twin = f"{cursor[:-2]}{chr(ord(cursor[-2]) + 1)}="

    assert base64.b64decode(twin) == base64.b64decode(cursor)
    assert refused(BY_ID, twin)


@settings(deadline=None)
@given(st.data())
def test_a_cursor_that_was_tampered_with_is_refused_or_another_genuine_one(data: st.DataObject) -> None:
    genuine = BY_TIME.cursor(RECORD)
    start = data.draw(st.integers(0, len(genuine)))
    end = data.draw(st.integers(start, len(genuine)))
    tampered = genuine[:start] + data.draw(st.text(max_size=4) | st.just(genuine[end:])) + genuine[end:]

    taken = not refused(BY_TIME, tampered)

    if taken:  # then it is one that a visit of that time and ID would have been given, to the letter
        position = BY_TIME.position(tampered, "after")
        values = {"date_time": position["after_0"], "id": position["after_1"]}
        assert BY_TIME.cursor([values.get(column) for column in COLUMNS]) == tampered


# Pages and what is known around them

FIVE = [visit_id(number) for number in range(1, 6)]


async def keep_five(database: Database) -> None:
    """Keep five visits whose times are all the same, made one after the other."""
    await keep(database, *(visit(number, created=NOW + timedelta(days=number)) for number in range(1, 6)))


def expected(ids: Sequence[str], window: Window, cursors: Sequence[str]) -> tuple[Any, ...]:
    """Say by the rules of connections what a page of a list must be."""
    start = 0 if window.after is None else cursors.index(window.after) + 1
    end = len(ids) if window.before is None else cursors.index(window.before)
    between = range(start, max(start, end))
    cut = len(between) > window.size
    shown = between[len(between) - window.size if cut else 0 :] if window.backward else between[: window.size]
    earlier = window.after is not None or (window.backward and cut)
    later = window.before is not None or (not window.backward and cut)
    ends = (cursors[shown[0]], cursors[shown[-1]]) if shown else (None, None)
    return [ids[index] for index in shown], earlier, later, *ends


def shown_by(page: Page[HomeVisit]) -> tuple[Any, ...]:
    info = page.page_info
    return [node.id for node in page.nodes], info.has_previous_page, info.has_next_page, info.start_cursor, info.end_cursor


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [("date_time", False)],
        [("date_time", True)],
        [("date_time", True), ("id", True)],
        [("date_time", False), ("created", True)],
    ],
    ids=str,
)
async def test_every_window_shows_its_part_and_tells_what_is_around_it(
    visits: HomeVisits, database: Database, keys: list[tuple[str, bool]]
) -> None:
    await keep_five(database)
    whole = await visits.page({}, keys, Window(LARGEST_PAGE, False, None, None))
    ids, cursors = [node.id for node in whole.nodes], [edge.cursor for edge in whole.edges]
    bounds = [None, *cursors]

    for size, backward, after, before in itertools.product(range(7), (False, True), bounds, bounds):
        window = Window(size, backward, after, before)
        page = await visits.page({}, keys, window)
        assert shown_by(page) == expected(ids, window, cursors), window

    assert sorted(ids) == FIVE


async def test_an_empty_list_has_nothing_around_it(visits: HomeVisits) -> None:
    for backward in (False, True):
        page = await visits.page({}, [], Window(10, backward, None, None))

        assert shown_by(page) == ([], False, False, None, None)
        assert await page.total_count() == 0


@pytest.mark.parametrize("backward", [False, True])
async def test_a_cursor_serves_when_its_visit_is_gone_from_the_list(
    visits: HomeVisits, database: Database, backward: bool
) -> None:
    await keep_five(database)
    third = BY_TIME.cursor([{"date_time": "2024-11-03T11:00:00", "id": visit_id(3)}.get(column) for column in COLUMNS])
    left: Any = {"ids": [visit_id(1), visit_id(5)]}
    bounds = (None, third) if backward else (third, None)

    page = await visits.page(left, BY_TIME.keys, Window(10, backward, *bounds))

    shown, around = ([visit_id(1)], (False, True)) if backward else ([visit_id(5)], (True, False))
    assert ([node.id for node in page.nodes], (page.has_previous_page, page.has_next_page)) == (shown, around)


@pytest.mark.parametrize("backward", [False, True])
async def test_beyond_all_visits_a_cursor_leads_to_an_empty_page(visits: HomeVisits, database: Database, backward: bool) -> None:
    await keep_five(database)
    index = {"date_time": "2000-01-01T00:00:00" if backward else "2030-01-01T00:00:00", "id": visit_id(3)}
    cursor = BY_TIME.cursor([index.get(column) for column in COLUMNS])
    bounds = (None, cursor) if backward else (cursor, None)

    page = await visits.page({}, BY_TIME.keys, Window(10, backward, *bounds))

    assert shown_by(page) == ([], not backward, backward, None, None)


async def test_a_page_refuses_a_cursor_of_another_order(visits: HomeVisits, database: Database) -> None:
    await keep_five(database)
    cursor = (await visits.page({}, BY_TIME.keys, Window(1, False, None, None))).end_cursor

    for window in (Window(1, False, cursor, None), Window(1, True, None, cursor)):
        with pytest.raises(InvalidPage, match="is no cursor of this list"):
            await visits.page({}, [], window)
        with pytest.raises(InvalidPage, match="is no cursor of this list"):
            await visits.pages("location", [], {}, [("date_time", True)], window)


async def test_a_walk_back_is_the_walk_forth_turned_round(visits: HomeVisits, database: Database) -> None:
    await keep(database, *(visit(number, date_time=VISIT_TIME + timedelta(hours=number % 3)) for number in range(10)))
    keys = [("date_time", True)]
    forth: list[str] = []
    back: list[str] = []
    after = before = None

    for _ in range(4):
        page = await visits.page({}, keys, Window(3, False, after, None))
        forth, after = [*forth, *(node.id for node in page.nodes)], page.end_cursor
        page = await visits.page({}, keys, Window(3, True, None, before))
        back, before = [*(node.id for node in page.nodes), *back], page.start_cursor

    assert forth == back
    assert sorted(forth) == [visit_id(number) for number in range(10)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1))
async def test_no_text_makes_a_page_fail_in_another_way(visits: HomeVisits, text: str) -> None:
    for window in (Window(1, False, text, None), Window(1, True, None, text)):
        with pytest.raises(InvalidPage):
            await visits.page({}, [("date_time", False)], window)
