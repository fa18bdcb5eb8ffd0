from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite

from storage.instants import Instant, as_rfc3339, clock, instant, rfc3339, stored

MIDDAY = datetime(2024, 11, 3, 11, tzinfo=UTC)
ZONES = st.timezones() | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
# So far from either end, any offset leads to an instant that the calendar has.
FIRST, LAST = MIDDAY.replace(year=1, tzinfo=None), MIDDAY.replace(year=9999, tzinfo=None)
INSTANTS = st.datetimes(FIRST, LAST, timezones=ZONES)
CLOSE_TOGETHER = st.integers(0, 3_000_000).map(lambda microseconds: MIDDAY + timedelta(microseconds=microseconds))


@given(INSTANTS | CLOSE_TOGETHER, INSTANTS | CLOSE_TOGETHER)
@example(MIDDAY, MIDDAY + timedelta(milliseconds=1))
@example(MIDDAY + timedelta(milliseconds=500), MIDDAY + timedelta(microseconds=500_001))
@example(datetime(999, 12, 31, tzinfo=UTC), datetime(1000, 1, 1, tzinfo=UTC))
def test_texts_are_in_the_order_of_their_instants(one: datetime, other: datetime) -> None:
    earlier, later = sorted([one, other], key=lambda value: value.astimezone(UTC))

    texts = stored(earlier), stored(later)

    assert texts == tuple(sorted(texts))
    assert (texts[0] == texts[1]) is (earlier.astimezone(UTC) == later.astimezone(UTC))


@given(INSTANTS | CLOSE_TOGETHER)
def test_what_is_stored_is_read_back_to_the_microsecond(value: datetime) -> None:
    read = instant(stored(value))

    assert read == value.astimezone(UTC)
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (MIDDAY, "2024-11-03T11:00:00"),
        (MIDDAY.replace(microsecond=1000), "2024-11-03T11:00:00.001"),
        (MIDDAY.replace(microsecond=120_000), "2024-11-03T11:00:00.120"),
        (MIDDAY.replace(microsecond=1), "2024-11-03T11:00:00.000001"),
        (MIDDAY.astimezone(timezone(timedelta(hours=5, minutes=45))), "2024-11-03T11:00:00"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00"),
        (datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59.999999"),
    ],
)
def test_an_instant_is_kept_in_utc_with_as_many_decimals_as_it_has(value: datetime, text: str) -> None:
    assert stored(value) == text
    assert rfc3339(value) == text + "Z"


def test_a_column_of_texts_becomes_rfc_3339_without_being_decoded() -> None:
    texts = [stored(MIDDAY), stored(MIDDAY.replace(microsecond=1000))]

    assert as_rfc3339([None, *texts]) == [None, "2024-11-03T11:00:00Z", "2024-11-03T11:00:00.001Z"]


def test_the_clock_tells_milliseconds_in_utc() -> None:
    before = datetime.now(UTC)

    now = clock()

    assert before - timedelta(milliseconds=1) < now <= datetime.now(UTC)
    assert now.microsecond % 1000 == 0
    assert now.tzinfo is UTC


def bound(value: datetime, dialect: Dialect) -> object:
    """Return what a driver is passed for an instant."""
    processor = Instant().dialect_impl(dialect).bind_processor(dialect)
    assert processor is not None
    return processor(value)


def test_a_naive_time_is_never_kept() -> None:
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        with pytest.raises(ValueError, match="an instant needs an offset"):
            bound(MIDDAY.replace(tzinfo=None), dialect)


def test_a_column_is_of_text_only_where_the_database_has_no_instants() -> None:
    types = [Instant().compile(dialect=dialect) for dialect in (sqlite.dialect(), postgresql.dialect())]

    assert types == ["VARCHAR(26)", "TIMESTAMP WITH TIME ZONE"]


def test_postgresql_takes_instants_where_sqlite_takes_texts() -> None:
    in_london = MIDDAY.astimezone(timezone(timedelta(hours=1)))

    text, native = bound(in_london, sqlite.dialect()), bound(in_london, postgresql.dialect())

    assert (text, native) == ("2024-11-03T11:00:00", MIDDAY)
    assert Instant().process_result_value(text, sqlite.dialect()) == MIDDAY
    assert Instant().process_result_value(native, postgresql.dialect()) == MIDDAY
    assert Instant().process_result_value(None, sqlite.dialect()) is None
