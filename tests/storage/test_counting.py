"""How many visits are alike, held against a model that knows the zones: `zoneinfo` and a Counter, nothing of storage's own."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from time import process_time, thread_time
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import counting
from storage.counting import HomeVisitCount
from storage.database import Database
from storage.errors import InvalidPage
from storage.instants import instant
from storage.models import HomeVisitStatus, VisitHost, VisitType
from storage.queries.conditions import HomeVisitFilter
from storage.queries.days import day_pieces, local_day
from storage.queries.grouping import HomeVisitGrouping
from storage.repository import HomeVisits
from storage.time_zones import is_time_zone
from tests.storage.homes import ALICE, BOB, ROWAN, WILLOW, Clock, keep, limited_to, visit

STATUS, DAY, LOCATION, HOST, ASSIGNED_TO, VISIT_TYPE = HomeVisitGrouping
ZERO, YEARS = timedelta(), timedelta(days=3000)
ENDED = datetime(2024, 11, 3, 18, tzinfo=UTC)


async def counted(visits: HomeVisits, *group_by: HomeVisitGrouping, zone: str = "UTC", **filter: Any) -> list[tuple[Any, ...]]:
    counts = await visits.counts(HomeVisitFilter(**filter), group_by, zone)
    names = [grouping.lower() for grouping in group_by]
    assert counts == [HomeVisitCount(one.count, **{name: getattr(one, name) for name in names}) for one in counts]
    return [(*(getattr(one, name) for name in names), one.count) for one in counts]


async def keep_six(database: Database) -> None:
    await keep(
        database,
        visit(1, host=VisitHost.OTHER, assigned_to=BOB),
        visit(2, assigned_to=ALICE, cancelled=ENDED),
        visit(3, assigned_to=ALICE, completed=ENDED),
        visit(4, location=ROWAN, host=VisitHost.MANAGER, visit_type=VisitType.VIRTUAL),
        visit(5, location=ROWAN, completed=ENDED),
        visit(6, date_time=ENDED + timedelta(hours=6)),
    )


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ([STATUS], [("PENDING", 3), ("CANCELLED", 1), ("COMPLETED", 2)]),
        ([LOCATION], [(WILLOW, 4), (ROWAN, 2)]),
        ([HOST], [("MANAGER", 1), ("NURSE", 4), ("OTHER", 1)]),
        ([ASSIGNED_TO], [(ALICE, 2), (BOB, 1), (None, 3)]),
        ([VISIT_TYPE], [("IN_PERSON", 5), ("VIRTUAL", 1)]),
        ([DAY], [(date(2024, 11, 3), 5), (date(2024, 11, 4), 1)]),
        ([DAY, LOCATION], [(date(2024, 11, 3), WILLOW, 3), (date(2024, 11, 3), ROWAN, 2), (date(2024, 11, 4), WILLOW, 1)]),
        ([LOCATION, DAY], [(WILLOW, date(2024, 11, 3), 3), (WILLOW, date(2024, 11, 4), 1), (ROWAN, date(2024, 11, 3), 2)]),
        (
            [ASSIGNED_TO, STATUS],
            [(ALICE, "CANCELLED", 1), (ALICE, "COMPLETED", 1), (BOB, "PENDING", 1), (None, "PENDING", 2), (None, "COMPLETED", 1)],
        ),
    ],
    ids=str,
)
async def test_visits_are_counted_by_one_or_two_things_in_their_order(
    visits: HomeVisits, database: Database, group_by: list[HomeVisitGrouping], expected: list[Any]
) -> None:
    await keep_six(database)

    assert await counted(visits, *group_by) == expected


async def test_only_what_the_filter_finds_within_the_callers_locations_is_counted(visits: HomeVisits, database: Database) -> None:
    await keep_six(database)
    ours = HomeVisits(database, limited_to(ROWAN), Clock())

    assert await counted(visits, STATUS, location=[WILLOW], status=[HomeVisitStatus.PENDING]) == [("PENDING", 2)]
    assert await counted(ours, STATUS) == [("PENDING", 1), ("COMPLETED", 1)]
    assert await counted(ours, LOCATION, location=[WILLOW]) == []
    assert await counted(HomeVisits(database, limited_to(), Clock()), DAY) == []


@pytest.mark.parametrize(
    ("group_by", "named"),
    [
        ([], "nothing"),
        ([DAY, DAY], "DAY and DAY"),
        ([DAY, STATUS, HOST], "DAY and STATUS and HOST"),
        ([DAY, STATUS, DAY], "DAY and STATUS and DAY"),
    ],
)
async def test_none_three_or_one_twice_are_refused(visits: HomeVisits, group_by: list[HomeVisitGrouping], named: str) -> None:
    message = f"Visits are counted by one or two things at once: name each once in `groupBy`, which names {named}."

    with pytest.raises(InvalidPage) as refused:
        await visits.counts({}, group_by, "UTC")

    assert str(refused.value) == message


async def test_as_many_groups_as_there_may_be_are_counted_and_not_one_more(
    visits: HomeVisits, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "LARGEST_COUNT", 5)
    days = [ENDED + timedelta(days=day, hours=hour) for day in range(5) for hour in (0, 5, 5.5)]
    await keep(database, *(visit(number, date_time=time) for number, time in enumerate(days)))

    assert [count for *_, count in await counted(visits, DAY, zone="Europe/London")] == [3] * 5
    assert [count for *_, count in await counted(visits, DAY, zone="Pacific/Auckland")] == [3] * 5
    await keep(database, visit(100, date_time=days[0] - timedelta(days=2), location=ROWAN))
    with pytest.raises(InvalidPage, match=r"^There are more than 5 groups, which is the most there may be\. Have `filter` find "):
        await counted(visits, DAY)
    with pytest.raises(InvalidPage, match=r"find fewer locations or fewer days\.$"):
        await counted(visits, LOCATION, DAY)


async def test_there_are_5000_groups_at_most(visits: HomeVisits, database: Database) -> None:
    await keep(database, *(visit(day, date_time=ENDED + timedelta(days=day)) for day in range(5_000)))
    assert [count for *_, count in await counted(visits, DAY)] == [1] * 5_000

    await keep(database, visit(5_000, date_time=ENDED - timedelta(days=1)))
    with pytest.raises(InvalidPage, match=r"^There are more than 5,000 groups, which is the most there may be\."):
        await counted(visits, DAY)


ZONES = [
    "UTC",
    "Europe/London",
    "America/Sao_Paulo",  # its clocks were set at midnight
    "America/Havana",
    "America/St_Johns",  # at a minute past midnight
    "Pacific/Apia",  # skipped a day
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # by half an hour
    "Africa/Casablanca",
    "America/Nuuk",
    "Africa/Monrovia",  # by odd seconds
    "Asia/Manila",
]
# Around the instants at which clocks were set, and days begin, where a rule of ours could be off by one.
EDGES = [
    *("2024-03-31T00:59:59.999", "2024-03-31T01:00:00", "2024-10-27T00:00:00", "2024-10-27T01:00:00", "2024-10-27T23:59:59"),
    *("2018-11-04T02:59:59", "2018-11-04T03:00:00", "2018-02-18T01:59:59", "2018-02-18T02:00:00", "2018-02-18T02:59:59.999999"),
    *("2010-11-07T02:30:00", "2010-11-07T02:30:59", "2010-11-07T02:31:00", "2010-11-07T03:29:59", "2010-11-07T03:30:00"),
    *("2011-12-30T09:59:59", "2011-12-30T10:00:00", "1972-01-07T00:44:29", "1972-01-07T00:44:30", "2150-07-01T23:00:00"),
    *("0001-01-01T00:00:00", "1700-06-01T00:00:30", "9999-12-31T23:59:59.999999", "2099-10-25T00:59:59", "2099-06-30T23:00:00"),
]
EDGE_INSTANTS = [instant(edge) for edge in EDGES]
NAIVE = st.datetimes(datetime(1840, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001 - the zone is added
INSTANTS = st.sampled_from(EDGE_INSTANTS) | NAIVE.map(lambda time: time.replace(tzinfo=UTC))


def day_of(time: datetime, zone: ZoneInfo) -> date:
    """Return the day that a clock on the wall shows; the calendar ends where Python's does."""
    try:
        return time.astimezone(zone).date()
    except OverflowError:
        return time.date()


@pytest.mark.parametrize("zone", ZONES)
async def test_a_day_is_that_of_the_zone_whenever_it_was(visits: HomeVisits, database: Database, zone: str) -> None:
    await keep(database, *(visit(number, date_time=time) for number, time in enumerate(EDGE_INSTANTS)))

    expected = Counter(day_of(time, ZoneInfo(zone)) for time in EDGE_INSTANTS)
    late = Counter(day_of(time, ZoneInfo(zone)) for time in EDGE_INSTANTS if time >= EDGE_INSTANTS[0])

    assert await counted(visits, DAY, zone=zone) == sorted(expected.items())
    assert await counted(visits, DAY, zone=zone, date_time_from=EDGE_INSTANTS[0]) == sorted(late.items())


@settings(max_examples=20, deadline=None)
@given(
    time=INSTANTS, zone=st.sampled_from(sorted(filter(is_time_zone, available_timezones()))), around=st.timedeltas(ZERO, YEARS)
)
def test_the_piece_of_a_utc_day_lies_within_one_day_of_the_zone(time: datetime, zone: str, around: timedelta) -> None:
    here = ZoneInfo(zone)
    for bounds in ((None, None), (time, time), (moved(time, -around), moved(time, around)), (moved(time, -around), None)):
        pieces = day_pieces(here, *bounds)
        start = max(piece for piece in pieces if piece <= time.time())

        assert local_day(here, f"{time:%Y-%m-%d}".rjust(10, "0"), start) == day_of(time, here)


async def test_centuries_are_walked_through_once_for_each_zone_and_beside_the_loop(visits: HomeVisits) -> None:
    of_loop, of_all = thread_time(), process_time()
    for year in range(1801, 1841):
        await counted(visits, DAY, zone="America/Caracas", start_date=date(year, 1, 2))

    # To walk takes 0.15 seconds or more.
    assert thread_time() - of_loop < 1
    assert process_time() - of_all < 3


def moved(time: datetime, by: timedelta) -> datetime:
    try:
        return time + by
    except OverflowError:
        return time


def test_a_usual_month_has_as_many_pieces_as_its_zone_has_offsets_then() -> None:
    def pieces(zone: str, month: int) -> list[str]:
        bounds = datetime(2024, month, 1, tzinfo=UTC), datetime(2024, month + 1, 1, tzinfo=UTC)
        return [str(start) for start in day_pieces(ZoneInfo(zone), *bounds)]

    assert pieces("UTC", 3) == ["00:00:00"]
    assert pieces("Europe/London", 1) == ["00:00:00"]
    assert pieces("Europe/London", 3) == ["00:00:00", "23:00:00"]
    assert pieces("Europe/London", 6) == ["00:00:00", "23:00:00"]
    assert pieces("America/St_Johns", 11) == ["00:00:00", "02:30:00", "03:30:00"]
