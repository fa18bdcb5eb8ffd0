"""Filters, orders and pages, held against a model: plain lists, `sorted` and `zoneinfo`, and nothing of storage's own."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session

from storage.caller import Caller
from storage.database import Database
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitStatus, VisitHost, VisitType, metadata
from storage.names import folded_columns
from storage.queries.conditions import HomeVisitFilter
from storage.queries.paging import Page, Window
from storage.queries.statements import Statement
from storage.repository import HomeVisits
from tests.storage.homes import (
    ALICE,
    BOB,
    DAUGHTER,
    EVANS,
    EVERYTHING,
    FROST,
    NOBODY,
    REID,
    ROWAN,
    SON,
    WILLOW,
    Clock,
    keep,
    limited_to,
    visit,
    visit_id,
)

Values = dict[str, Any]

# Around the night in which London's clocks go back, few enough that most visits share theirs with others.
TIMES = [datetime(2024, 10, 26, 22, 30, tzinfo=UTC) + timedelta(minutes=30 * step) for step in (0, 1, 2, 5, 50, 51, 52)]
# Whom each finds: parts of names whatever the marks, of addresses, and of telephone numbers.
ATTENDEES: dict[str, set[str]] = {
    "": {REID, EVANS, FROST, DAUGHTER, SON},
    "zoe": {REID, DAUGHTER},
    "Okafor": {REID, SON},
    "zoe oka": {REID},
    "oka": {REID, SON},
    "fro": {FROST},
    "07700 900123": {FROST},
    "family.example": {REID, FROST},
    "ev": set(),
}
NOTES = ["", "Wheelchair", "CAFÉ at noon", "café, then the garden", "wheel_chair 100%"]
REFERENCES: dict[str, list[Any]] = {
    "care_enquiry": [REID, EVANS, FROST],
    "location": [WILLOW, ROWAN],
    "assigned_to": [ALICE, BOB, None],
    "service_user_contact": [DAUGHTER, SON, None],
}


def make(count: int) -> list[Values]:
    pick = random.Random(20241103)  # noqa: S311 - made-up visits are no secret
    visits = []
    for number in pick.sample(range(1000), count):
        ended = pick.choice([None, None, "cancelled", "completed"])
        visits.append(
            {name: pick.choice(values) for name, values in REFERENCES.items()}
            | {"visit_type": pick.choice(list(VisitType)), "host": pick.choice(list(VisitHost)[:3]), "notes": pick.choice(NOTES)}
            | {name: pick.choice(TIMES) for name in ("date_time", "created", "modified")}
            | {"confirmation": pick.choice(list(ConfirmationStatus))}
            | {"cancelled": None, "completed": None, "anonymized": pick.choice([None, None, TIMES[0]])}
            | ({ended: pick.choice(TIMES)} if ended else {})
            | {"number": number, "id": visit_id(number)}
        )
    return visits


VISITS = make(60)


def status(visit: Values) -> HomeVisitStatus:
    if visit["cancelled"]:
        return HomeVisitStatus.CANCELLED
    return HomeVisitStatus.COMPLETED if visit["completed"] else HomeVisitStatus.PENDING


def people(visit: Values) -> set[str]:
    return {visit["care_enquiry"], visit["service_user_contact"]}


def day(visit: Values, filter: Values) -> date:
    time: datetime = visit["date_time"]
    return time.astimezone(ZoneInfo(filter["time_zone"])).date()


MEETS: dict[str, Callable[[Values, Values], bool]] = {
    "ids": lambda one, conditions: one["id"] in conditions["ids"],
    "status": lambda one, conditions: status(one) in conditions["status"],
    "start_date": lambda one, conditions: day(one, conditions) >= conditions["start_date"],
    "end_date": lambda one, conditions: day(one, conditions) <= conditions["end_date"],
    "modified_after": lambda one, conditions: one["modified"] > conditions["modified_after"],
    "modified_before": lambda one, conditions: one["modified"] < conditions["modified_before"],
    "date_time_from": lambda one, conditions: one["date_time"] >= conditions["date_time_from"],
    "date_time_before": lambda one, conditions: one["date_time"] < conditions["date_time_before"],
    "created_after": lambda one, conditions: one["created"] > conditions["created_after"],
    "created_before": lambda one, conditions: one["created"] < conditions["created_before"],
    "assigned": lambda one, conditions: (one["assigned_to"] is not None) is conditions["assigned"],
    "attendee": lambda one, conditions: bool(people(one) & ATTENDEES[conditions["attendee"]]),
    "keyword": lambda one, conditions: conditions["keyword"].strip().casefold() in one["notes"].casefold(),
}


def meets(visit: Values, name: str, filter: Values) -> bool:
    if filter[name] is None or name == "time_zone":
        return True
    if name in ("anonymized", "cancelled", "completed"):
        return (visit[name] is not None) is filter[name]
    return MEETS[name](visit, filter) if name in MEETS else visit[name] in filter[name]


def expected(filter: Values, keys: list[tuple[str, bool]], locations: frozenset[str] | None) -> list[str]:
    """Say which visits a list holds, in which order."""
    found = [one for one in VISITS if all(meets(one, name, filter) for name in filter)]
    found = sorted((one for one in found if locations is None or one["location"] in locations), key=itemgetter("id"))
    # A stable sort by each key, the least important first; an earlier key for the same field decides.
    for name, falling in reversed(keys):
        found.sort(key=itemgetter(name), reverse=falling)
    return [one["id"] for one in found]


def lists_of(values: list[Any]) -> st.SearchStrategy[list[Any] | None]:
    return st.none() | st.lists(st.sampled_from(values), max_size=4)


FLAG = st.none() | st.booleans()
INSTANTS = ("modified_after", "modified_before", "created_after", "created_before", "date_time_from", "date_time_before")
DAYS = st.none() | st.sampled_from([date(2024, 10, 26) + timedelta(days=step) for step in range(4)])
FILTERS = st.fixed_dictionaries(
    {"time_zone": st.sampled_from(["UTC", "Europe/London", "Pacific/Auckland"])},
    optional={
        "ids": lists_of([*(one["id"] for one in VISITS[:20]), NOBODY]),
        **{name: lists_of([*filter(None, values), NOBODY]) for name, values in REFERENCES.items()},
        "status": lists_of(list(HomeVisitStatus)),
        "host": lists_of(list(VisitHost)[:4]),
        "visit_type": lists_of(list(VisitType)),
        **dict.fromkeys(("anonymized", "cancelled", "completed"), FLAG),
        **dict.fromkeys(("start_date", "end_date"), DAYS),
        **dict.fromkeys(INSTANTS, st.none() | st.sampled_from(TIMES)),
        "assigned": FLAG,
        "confirmation": lists_of(list(ConfirmationStatus)) | st.just([ConfirmationStatus.FAILED]),
        "attendee": st.none() | st.sampled_from(list(ATTENDEES)),
        "keyword": st.none() | st.sampled_from(["", " ", "wheel", "Café", "_", "%", "l_c", "the garden ", "nothing like it"]),
    },
)
KEYS = st.lists(st.tuples(st.sampled_from(["id", "date_time", "created", "modified"]), st.booleans()), max_size=4)
CALLERS = st.sampled_from([EVERYTHING, limited_to(WILLOW), limited_to(WILLOW, ROWAN), limited_to(NOBODY), limited_to()])
QUESTIONS = {"filter": FILTERS, "keys": KEYS, "caller": CALLERS, "size": st.sampled_from([1, 2, 7, 59, 60, 100])}


NAMES: dict[str, tuple[str, Values]] = {
    REID: ("care_enquiries", {"first_name": "Zoë", "last_name": "Okafor", "email": "z@family.example"}),
    FROST: ("care_enquiries", {"last_name": "Frost", "email": "frost@family.example", "phone": "+44 7700 900123"}),
    DAUGHTER: ("service_user_contacts", {"first_name": "Zoe", "last_name": "Reid"}),
    SON: ("service_user_contacts", {"first_name": "Sam", "last_name": "OKAFOR"}),
}


def name_people(session: Session) -> None:
    for id, (name, values) in NAMES.items():
        table = metadata.tables[name]
        nothing = dict.fromkeys(column.name for column in table.columns)
        session.execute(sa.update(table).where(table.c.id == id).values(**values, **folded_columns(nothing | values)))


@pytest.fixture
async def sixty(database: Database) -> Database:
    kept = [{name: value for name, value in one.items() if name not in ("number", "id")} for one in VISITS]
    await keep(database, *(visit(one["number"], **values) for one, values in zip(VISITS, kept, strict=True)))
    await database.write(name_people)
    return database


class ByFallback:
    """Reads as a database does with so many visits that the first statement of a list would take long."""

    def __init__(self, database: Database) -> None:
        self.dialect = database.dialect
        self._database = database

    async def fetch(self, statement: Statement, values: dict[str, Any], subject: str) -> list[Any]:
        return await self._database.fetch(statement.fallback or statement, values, subject)


async def walk(ask: Callable[[Window], Any], size: int, *, backward: bool) -> list[str]:
    """Page through a list to its end, and see that each page tells truly what is around it."""
    pages: list[list[str]] = []
    cursor = None
    while len(pages) <= len(VISITS):
        bounds = (None, cursor) if backward else (cursor, None)
        page: Page[HomeVisit] = await ask(Window(size, backward, *bounds))
        pages.append([node.id for node in page.nodes])
        more, behind = (page.has_next_page, page.has_previous_page)[:: -1 if backward else 1]
        assert behind is (len(pages) > 1)
        if not more:
            break
        assert len(page.nodes) == size
        cursor = page.start_cursor if backward else page.end_cursor
    return [id for shown in (reversed(pages) if backward else pages) for id in shown]


async def check_pages(
    sixty: Database | ByFallback, filter: Values, keys: list[tuple[str, bool]], caller: Caller, size: int
) -> None:
    visits = HomeVisits(cast("Database", sixty), caller, Clock())
    expected_ids = expected(filter, keys, caller.locations)

    def ask(window: Window) -> Any:
        return visits.page(HomeVisitFilter(**filter), keys, window)

    assert await walk(ask, size, backward=False) == expected_ids
    assert await walk(ask, size, backward=True) == expected_ids
    assert await (await ask(Window(0, False, None, None))).total_count() == len(expected_ids)


async def check_nested_pages(sixty: Database, filter: Values, keys: list[tuple[str, bool]], caller: Caller, size: int) -> None:
    visits = HomeVisits(sixty, caller, Clock())
    for parent, values in REFERENCES.items():
        ids = [*(value for value in values if value), NOBODY]
        expected_ids = {id: expected({**filter, parent: merged(filter.get(parent), id)}, keys, caller.locations) for id in ids}

        for backward in (False, True):
            pages = await visits.pages(parent, ids, HomeVisitFilter(**filter), keys, Window(size, backward, None, None))
            shown = {id: [node.id for node in page.nodes] for id, page in zip(ids, pages, strict=True)}
            assert shown == {id: whole[-size:] if backward else whole[:size] for id, whole in expected_ids.items()}
            assert [await page.total_count() for page in pages] == [len(whole) for whole in expected_ids.values()]
            assert [page.has_previous_page if backward else page.has_next_page for page in pages] == [
                len(whole) > size for whole in expected_ids.values()
            ]


def merged(filter: list[str] | None, id: str) -> list[str]:
    return [id] if filter is None or id in filter else []


quickly = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
thoroughly = settings(quickly, max_examples=400)


@quickly
@given(**QUESTIONS)
async def test_pages_are_those_of_the_model(
    sixty: Database, filter: Values, keys: list[tuple[str, bool]], caller: Caller, size: int
) -> None:
    await check_pages(sixty, filter, keys, caller, size)
    await check_pages(ByFallback(sixty), filter, keys, caller, size)


@settings(quickly, max_examples=25)
@given(**QUESTIONS)
async def test_nested_pages_are_those_of_the_model(
    sixty: Database, filter: Values, keys: list[tuple[str, bool]], caller: Caller, size: int
) -> None:
    await check_nested_pages(sixty, filter, keys, caller, size)


@pytest.mark.slow
@thoroughly
@given(**QUESTIONS)
async def test_hundreds_of_lists_are_those_of_the_model(
    sixty: Database, filter: Values, keys: list[tuple[str, bool]], caller: Caller, size: int
) -> None:
    await check_pages(sixty, filter, keys, caller, size)
    await check_pages(ByFallback(sixty), filter, keys, caller, size)
    await check_nested_pages(sixty, filter, keys, caller, size)
