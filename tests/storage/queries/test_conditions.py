from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.database import Database
from storage.errors import InvalidPage
from storage.folding import folded
from storage.instants import instant
from storage.models import ConfirmationStatus, HomeVisitStatus, VisitHost, VisitType
from storage.queries.conditions import HomeVisitFilter, conditions
from storage.queries.paging import LARGEST_PAGE, Window
from storage.repository import HomeVisits
from storage.sqlite.dialect import DIALECT
from tests.storage.homes import (
    ALICE,
    BOB,
    DAUGHTER,
    FROST,
    NOBODY,
    NOW,
    REID,
    ROWAN,
    SON,
    WILLOW,
    keep,
    visit,
    visit_id,
)

EARLY, NOON, LATE = (datetime(2024, 11, 3, hour, tzinfo=UTC) for hour in (9, 12, 18))
ALL = [1, 2, 3, 4, 5]
FAILED = ConfirmationStatus.FAILED


async def numbers(visits: HomeVisits, **filter: Any) -> list[int]:
    """Return the numbers of the visits that meet the filter, once it is known that as many are counted."""
    page = await visits.page(HomeVisitFilter(**filter), [], Window(LARGEST_PAGE, False, None, None))
    assert await page.total_count() == len(page.nodes)
    return [int(node.id[1:], 16) for node in page.nodes]


async def keep_five(database: Database) -> None:
    await keep(
        database,
        visit(1, date_time=EARLY, modified=EARLY, visit_type=VisitType.VIRTUAL, notes="Wheelchair"),
        visit(2, date_time=NOON, modified=NOON, care_enquiry=REID, assigned_to=ALICE, service_user_contact=DAUGHTER),
        visit(3, date_time=LATE, modified=LATE, cancelled=LATE, host=VisitHost.MANAGER, assigned_to=ALICE, confirmation=FAILED),
        visit(4, care_enquiry=FROST, location=ROWAN, created=LATE, completed=LATE, assigned_to=BOB, service_user_contact=SON),
        visit(5, completed=LATE, anonymized=LATE, confirmation=ConfirmationStatus.SENT),
    )


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({}, ALL),
        ({"ids": [visit_id(3), NOBODY, visit_id(1)]}, [1, 3]),
        ({"care_enquiry": [REID]}, [2]),
        ({"care_enquiry": [REID, FROST]}, [2, 4]),
        ({"location": [ROWAN]}, [4]),
        ({"location": [WILLOW, ROWAN]}, ALL),
        ({"assigned_to": [ALICE]}, [2, 3]),
        ({"assigned_to": [ALICE, BOB]}, [2, 3, 4]),
        ({"service_user_contact": [SON, DAUGHTER]}, [2, 4]),
        ({"status": [HomeVisitStatus.PENDING]}, [1, 2]),
        ({"status": [HomeVisitStatus.CANCELLED]}, [3]),
        ({"status": [HomeVisitStatus.COMPLETED]}, [4, 5]),
        ({"status": [HomeVisitStatus.COMPLETED, HomeVisitStatus.PENDING, HomeVisitStatus.PENDING]}, [1, 2, 4, 5]),
        ({"status": list(HomeVisitStatus)}, ALL),
        ({"host": [VisitHost.MANAGER]}, [3]),
        ({"host": [VisitHost.MANAGER, VisitHost.NURSE]}, ALL),
        ({"host": [VisitHost.OTHER]}, []),
        ({"visit_type": [VisitType.VIRTUAL]}, [1]),
        ({"visit_type": [VisitType.VIRTUAL, VisitType.IN_PERSON]}, ALL),
        ({"anonymized": True}, [5]),
        ({"anonymized": False}, [1, 2, 3, 4]),
        ({"cancelled": True}, [3]),
        ({"cancelled": False}, [1, 2, 4, 5]),
        ({"completed": True}, [4, 5]),
        ({"completed": False}, [1, 2, 3]),
        ({"start_date": date(2024, 11, 3)}, ALL),
        ({"start_date": date(2024, 11, 4)}, []),
        ({"end_date": date(2024, 11, 3)}, ALL),
        ({"end_date": date(2024, 11, 2)}, []),
        ({"modified_after": EARLY}, [2, 3]),
        ({"modified_after": EARLY - timedelta(microseconds=1)}, [1, 2, 3]),
        ({"modified_before": LATE}, [1, 2, 4, 5]),
        ({"modified_before": LATE + timedelta(microseconds=1)}, ALL),
        ({"modified_after": EARLY, "modified_before": LATE}, [2]),
        ({"date_time_from": NOON}, [2, 3]),
        ({"date_time_before": NOON}, [1, 4, 5]),
        ({"date_time_from": EARLY, "date_time_before": LATE}, [1, 2, 4, 5]),
        ({"date_time_from": EARLY, "start_date": date(2024, 11, 4)}, []),
        ({"date_time_from": LATE, "start_date": date(2024, 11, 3)}, [3]),
        ({"date_time_before": NOON, "end_date": date(2024, 11, 3)}, [1, 4, 5]),
        ({"date_time_before": LATE, "end_date": date(2024, 11, 2)}, []),
        ({"created_after": NOW}, [4]),
        ({"created_after": NOW - timedelta(microseconds=1)}, ALL),
        ({"created_before": LATE}, [1, 2, 3, 5]),
        ({"created_before": NOW}, []),
        ({"assigned": True}, [2, 3, 4]),
        ({"assigned": False}, [1, 5]),
        ({"assigned": False, "status": [HomeVisitStatus.PENDING]}, [1]),
        ({"assigned": False, "assigned_to": [ALICE]}, []),
        ({"confirmation": [ConfirmationStatus.SENT]}, [5]),
        ({"confirmation": [ConfirmationStatus.FAILED]}, [3]),
        ({"confirmation": [ConfirmationStatus.SENT, ConfirmationStatus.FAILED]}, [3, 5]),
        ({"keyword": "wheel"}, [1]),
        ({"keyword": "stairs"}, []),
        ({"assigned_to": [ALICE], "status": [HomeVisitStatus.PENDING], "location": [WILLOW]}, [2]),
        ({"cancelled": True, "completed": True}, []),
        ({"status": [HomeVisitStatus.PENDING], "cancelled": True}, []),
    ],
    ids=str,
)
async def test_a_filter_finds_the_visits_that_meet_all_of_it(
    visits: HomeVisits, database: Database, filter: dict[str, Any], expected: list[int]
) -> None:
    await keep_five(database)

    found = await numbers(visits, **filter)

    assert found == expected


async def test_none_is_no_condition(visits: HomeVisits, database: Database) -> None:
    await keep_five(database)
    names = HomeVisitFilter.__annotations__.keys() - {"time_zone"}

    found = {name: await numbers(visits, **{name: None}) for name in names}

    assert found == dict.fromkeys(names, ALL)


LISTS = ["ids", "care_enquiry", "location", "assigned_to", "service_user_contact", "host", "visit_type", "status", "confirmation"]


async def test_an_empty_list_matches_nothing(visits: HomeVisits, database: Database) -> None:
    await keep_five(database)

    found = {name: await numbers(visits, **{name: []}) for name in LISTS}

    assert found == {name: [] for name in LISTS}


@pytest.mark.parametrize(
    "sought", [[NOBODY], [NOBODY, REID], ["\0"], ["\ud800"], [visit_id(1) + "\0", "x"], [visit_id(0xA).upper()]], ids=ascii
)
async def test_an_unknown_id_matches_nothing(visits: HomeVisits, database: Database, sought: list[str]) -> None:
    await keep_five(database)
    await keep(database, visit(0xA))

    assert await numbers(visits, ids=sought) == []


async def test_250_values_can_be_asked_for_and_not_one_more(visits: HomeVisits, database: Database) -> None:
    await keep_five(database)
    many = [*map(visit_id, range(4, 253)), visit_id(2)]

    assert (len(many), await numbers(visits, ids=many)) == (250, [2, 4, 5])
    assert await numbers(visits, ids=[visit_id(2)] * 250) == [2]
    with pytest.raises(InvalidPage, match=r"A list may have at most 250 values: one of these has 251\. Split it\."):
        await numbers(visits, ids=[*many, visit_id(3)])


def at(*texts: str) -> list[datetime]:
    return [instant(text) for text in texts]


@pytest.mark.parametrize(
    ("day", "zone", "before", "within", "after"),
    [
        pytest.param(
            date(2024, 6, 1), "UTC",
            "2024-05-31T23:59:59.999999", ("2024-06-01T00:00:00", "2024-06-01T23:59:59.999999"), "2024-06-02T00:00:00",
            id="a day like any other",
        ),
        pytest.param(
            date(2024, 3, 31), "Europe/London",
            "2024-03-30T23:59:59.999", ("2024-03-31T00:00:00", "2024-03-31T22:59:59.999"), "2024-03-31T23:00:00",
            id="the day of 23 hours",
        ),
        pytest.param(
            date(2024, 10, 27), "Europe/London",
            "2024-10-26T22:59:59.999", ("2024-10-26T23:00:00", "2024-10-27T23:59:59.999"), "2024-10-28T00:00:00",
            id="the day of 25 hours",
        ),
        pytest.param(
            date(2024, 7, 1), "Europe/London",
            "2024-06-30T22:59:59", ("2024-06-30T23:00:00", "2024-07-01T22:59:59"), "2024-07-01T23:00:00",
            id="a day in summer",
        ),
        pytest.param(
            date(2018, 11, 4), "America/Sao_Paulo",
            "2018-11-04T02:59:59", ("2018-11-04T03:00:00", "2018-11-05T01:59:59"), "2018-11-05T02:00:00",
            id="a day whose midnight is skipped",
        ),
        pytest.param(
            date(2024, 11, 3), "America/Havana",
            "2024-11-03T03:59:59", ("2024-11-03T04:00:00", "2024-11-04T04:59:59"), "2024-11-04T05:00:00",
            id="a day whose midnight comes twice",
        ),
        pytest.param(
            date(2024, 1, 1), "Asia/Kathmandu",
            "2023-12-31T18:14:59", ("2023-12-31T18:15:00", "2024-01-01T18:14:59"), "2024-01-01T18:15:00",
            id="a day far from Greenwich",
        ),
    ],
)  # fmt: skip
async def test_a_day_is_that_of_its_zone(
    visits: HomeVisits, database: Database, day: date, zone: str, before: str, within: tuple[str, str], after: str
) -> None:
    await keep(database, *(visit(number, date_time=time) for number, time in enumerate(at(before, *within, after))))

    assert await numbers(visits, start_date=day, end_date=day, time_zone=zone) == [1, 2]
    assert await numbers(visits, start_date=day, time_zone=zone) == [1, 2, 3]
    assert await numbers(visits, end_date=day, time_zone=zone) == [0, 1, 2]


async def test_a_day_that_a_zone_skipped_is_empty(visits: HomeVisits, database: Database) -> None:
    skipped = date(2011, 12, 30)  # Samoa crossed the date line
    times = at("2011-12-30T09:59:59", "2011-12-30T10:00:00")
    await keep(database, *(visit(number, date_time=time) for number, time in enumerate(times)))

    assert await numbers(visits, start_date=skipped, end_date=skipped, time_zone="Pacific/Apia") == []
    assert await numbers(visits, end_date=skipped - timedelta(days=1), time_zone="Pacific/Apia") == [0]
    assert await numbers(visits, start_date=skipped + timedelta(days=1), time_zone="Pacific/Apia") == [1]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Europe/London", "Asia/Tokyo"])
async def test_the_first_and_the_last_day_there_are(visits: HomeVisits, database: Database, zone: str) -> None:
    times = at("0001-01-01T13:00:00", "0001-01-04T00:00:00", "9999-12-28T00:00:00", "9999-12-31T23:59:59.999999")
    await keep(database, *(visit(number, date_time=time) for number, time in enumerate(times)))

    assert await numbers(visits, start_date=date.min, end_date=date.max, time_zone=zone) == [0, 1, 2, 3]
    assert await numbers(visits, end_date=date.min, time_zone=zone) == [0]
    assert await numbers(visits, start_date=date.max, time_zone=zone) == [3]


def test_without_a_zone_days_are_those_of_utc() -> None:
    day = date(2024, 7, 1)

    assert conditions({"start_date": day}, None, DIALECT) == conditions({"start_date": day, "time_zone": "UTC"}, None, DIALECT)
    assert conditions({"start_date": day}, None, DIALECT).values == {"start": "2024-07-01T00:00:00"}


@pytest.mark.parametrize(
    ("keyword", "notes", "found"),
    [
        ("café", "At the CAFÉ.", True),
        ("CAFÉ", "at the café", True),
        ("cafe", "At the café.", False),
        ("café", "At the cafe.", False),
        ("cafe\N{COMBINING ACUTE ACCENT}", "At the CAFÉ.", True),
        ("file", "the \N{LATIN SMALL LIGATURE FI}le", True),
        ("\N{LATIN SMALL LIGATURE FI}", "a Fine day", True),
        ("STRASSE", "in der Straße", True),
        ("straße", "IN DER STRASSE", True),
        ("ς", "ΟΔΟΣ", True),
        ("100%", "100% sure", True),
        ("100%", "100 sure", False),
        ("%", "nothing of the kind", False),
        ("_", "nothing of the kind", False),
        ("a_b", "axb", False),
        ("a_b", "A_B", True),
        ("\\", "a\\b", True),
        ("\\", "a/b", False),
        ("'", "Dora's", True),
        ('"', "Dora's", False),
        ("  dora  ", "Ask Dora.", True),
        ("ask dora", "Ask  Dora", True),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}\N{FULLWIDTH DIGIT ONE}", "room a1", True),
        ("🚗", "Parks his 🚗 there", True),
        ("x" * 100, "x" * 100, True),
        ("ß" * 100, "ß" * 100, True),
    ],
)  # fmt: skip
async def test_a_keyword_is_found_whatever_its_case(
    visits: HomeVisits, database: Database, keyword: str, notes: str, found: bool
) -> None:
    await keep(database, visit(1, notes=notes))

    assert await numbers(visits, keyword=keyword) == ([1] if found else [])


async def test_a_blank_keyword_is_no_condition(visits: HomeVisits, database: Database) -> None:
    await keep_five(database)

    assert [await numbers(visits, keyword=blank) for blank in ("", "  ", "\N{NO-BREAK SPACE}\t\n")] == [ALL] * 3


@given(st.text(max_size=30), st.text(max_size=3), st.text(max_size=3))
def test_folding_again_changes_nothing(text: str, before: str, after: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert folded(text.upper()) == folded(folded(text).upper())


@pytest.mark.parametrize(
    ("keyword", "message"),
    [
        ("x" * 101, "`keyword` may have at most 100 characters: this one has 101."),
        ("\0", "`keyword` holds NUL or half a character .a lone surrogate., which no notes do. Remove it."),
        ("a\ud800", "`keyword` holds NUL or half a character .a lone surrogate., which no notes do. Remove it."),
    ],
)  # fmt: skip
async def test_a_keyword_that_no_notes_can_hold_is_refused(visits: HomeVisits, keyword: str, message: str) -> None:
    with pytest.raises(InvalidPage, match=message):
        await numbers(visits, keyword=keyword)


def test_the_shape_of_a_filter_does_not_tell_its_values() -> None:
    one: HomeVisitFilter = {"ids": [REID, FROST], "keyword": "stairs", "start_date": date(2024, 1, 1), "modified_after": NOON}
    other: HomeVisitFilter = {
        "ids": [NOBODY, *map(visit_id, range(9))],
        "keyword": "café",
        "start_date": date(2025, 7, 1),
        "modified_after": LATE,
    }

    assert conditions(one, None, DIALECT).shape == conditions(other, None, DIALECT).shape
    assert conditions(one, [WILLOW], DIALECT).shape == conditions(other, [ROWAN], DIALECT).shape
    assert conditions(one, [WILLOW], DIALECT).shape != conditions(one, None, DIALECT).shape
