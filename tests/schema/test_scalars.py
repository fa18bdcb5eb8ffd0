"""Instants, days and zones are taken in one form each, and refused with a sentence in any other."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.scalars import parse_day, parse_instant, parse_time_zone
from storage.instants import rfc3339

INSTANTS = [
    ("2024-11-03T11:00:00Z", datetime(2024, 11, 3, 11, tzinfo=UTC)),
    ("2024-11-03t11:00:00z", datetime(2024, 11, 3, 11, tzinfo=UTC)),
    ("2024-11-03T11:00:00+01:00", datetime(2024, 11, 3, 10, tzinfo=UTC)),
    ("2024-11-03T00:30:00+05:45", datetime(2024, 11, 2, 18, 45, tzinfo=UTC)),
    ("2024-11-03T11:00:00-00:00", datetime(2024, 11, 3, 11, tzinfo=UTC)),
    ("2024-11-03T11:00:00.5Z", datetime(2024, 11, 3, 11, 0, 0, 500_000, tzinfo=UTC)),
    ("2024-11-03T11:00:00.123456Z", datetime(2024, 11, 3, 11, 0, 0, 123_456, tzinfo=UTC)),
    ("2024-11-03T11:00:00.1234569999Z", datetime(2024, 11, 3, 11, 0, 0, 123_456, tzinfo=UTC)),
    ("2024-02-29T23:59:59Z", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
    ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
]
# Not of the form.
MISSHAPEN: list[Any] = [
    "2024-11-03T11:00:00",
    "2024-11-03 11:00:00Z",
    "2024-11-03",
    "2024-11-03T11:00Z",
    "2024-11-03T11:00:00+01",
    "2024-11-03T11:00:00+0100",
    "2024-11-03T11:00:00.Z",
    "2024-11-03T11:00:00 Z",
    "24-11-03T11:00:00Z",
    "\uff12\uff10\uff12\uff14-11-03T11:00:00Z",
    "",
    "now",
    1730631600,
    1730631600.0,
    True,
    None,
    {"at": "2024-11-03T11:00:00Z"},
]
# Of the form, but of no calendar or clock; or of an instant that UTC has no year for.
NEVER = [
    "2024-02-30T11:00:00Z",
    "2023-02-29T11:00:00Z",
    "2024-13-01T11:00:00Z",
    "2024-11-03T24:00:00Z",
    "2024-11-03T11:60:00Z",
    "2016-12-31T23:59:60Z",
    "2024-11-03T11:00:00+24:00",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
]


@pytest.mark.parametrize(("text", "instant"), INSTANTS)
def test_an_instant_is_read_as_utc(text: str, instant: datetime) -> None:
    read = parse_instant(text)

    assert (read, read.tzinfo) == (instant, UTC)


@pytest.mark.parametrize("value", MISSHAPEN)
def test_what_is_no_instant_with_an_offset_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^A DateTime is an instant with its offset, like 2024-11-03T11:00:00Z or .+\.$"):
        parse_instant(value)


@pytest.mark.parametrize("text", NEVER)
def test_a_time_that_never_is_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^There is no such time: check the day, the hours and the offset\.$"):
        parse_instant(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_answered_can_be_asked_with(instant: datetime) -> None:
    answered = rfc3339(instant)

    assert parse_instant(answered) == instant


@given(st.text(alphabet="0123456789-:.+TZtz ", max_size=30))
def test_any_text_is_an_instant_or_refused_with_a_sentence(text: str) -> None:
    zone_or_end = ""

    try:
        zone_or_end = f"{parse_instant(text).tzinfo}"
    except ValueError as refusal:
        zone_or_end = str(refusal)[-1]

    assert zone_or_end in ("UTC", ".")


@pytest.mark.parametrize(("text", "day"), [("2024-11-03", date(2024, 11, 3)), ("2024-02-29", date(2024, 2, 29))])
def test_a_day_is_read(text: str, day: date) -> None:
    assert parse_day(text) == day


@pytest.mark.parametrize("value", ["2024-11-3", "20241103", "2024-W44-7", "2024-11-03T00:00:00Z", "", 20241103, None])
def test_what_is_no_day_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^A Date is a day like 2024-11-03\.$"):
        parse_day(value)


@pytest.mark.parametrize("text", ["2023-02-29", "2024-00-01", "2024-04-31", "0000-01-01"])
def test_a_day_that_never_is_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^There is no such day: check the month and the day\.$"):
        parse_day(text)


@pytest.mark.parametrize("name", ["Europe/London", "UTC", "Asia/Kolkata", "America/Argentina/Buenos_Aires"])
def test_a_zone_is_read_by_its_name(name: str) -> None:
    assert parse_time_zone(name) == name


@pytest.mark.parametrize(
    "value", ["Mars/Olympus", "europe/london", "+01:00", "", "../../etc/passwd", "/etc/localtime", "Europe/", 1, None]
)
def test_what_is_no_zone_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^A TimeZone is an IANA name, like Europe/London\.$"):
        parse_time_zone(value)
