"""Days of a time zone, for a database that knows no zones: pieces of UTC days, each of which lies within one day of the zone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from threading import Lock
from zoneinfo import ZoneInfo

DAY, YEAR = timedelta(days=1), timedelta(days=366)
# No zone has changed its clocks twice within less; before the first year all keep local time, after the last their rules repeat.
STEP = timedelta(days=3)
FIRST, LAST = datetime(1800, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)
RANGES = 256
# Who asks for the same zone meanwhile finds it walked through.
WALKING = Lock()

Change = tuple[datetime, timedelta, timedelta]


def day_pieces(zone: ZoneInfo, start: datetime | None, end: datetime | None) -> tuple[time, ...]:
    """Return the times, in UTC, at which pieces of a UTC day begin: the first at 00:00, the others at what `starts` finds.

    Every piece of a UTC day from `start` to `end` lies within one day of the zone. None: however early, however late. What is
    longer than a year takes a fifth of a second the first time for each zone: that is for a thread.
    """
    first = min(max(FIRST, start), LAST - YEAR) if start else FIRST
    last = min(LAST, end) if end else LAST
    return _pieces(zone, first.date(), max(first, last).date())


def local_day(zone: ZoneInfo, day: str, start: time) -> date:
    """Return the day of the zone in which the piece of a UTC day lies; what lies beyond the calendar is in its outermost day."""
    begin = datetime.combine(date.fromisoformat(day), start, UTC)
    try:
        return begin.astimezone(zone).date()
    except OverflowError:
        return begin.date()


@lru_cache(RANGES)
def _pieces(zone: ZoneInfo, first: date, last: date) -> tuple[time, ...]:
    begin, end = (datetime.combine(day, time(), UTC) for day in (first, last + DAY))
    starts = {-_offset(zone, begin) % DAY}
    if end - begin <= YEAR:
        changes = tuple(_changes(zone, begin, end))
    else:
        with WALKING:
            changes = _changes_of_all_years(zone)
    for instant, before, after in changes:
        if not begin < instant <= end:
            continue
        starts.add(-after % DAY)
        if (instant + before).date() != (instant + after).date():
            # The clocks are set to another day: it begins at an instant that is no midnight.
            starts.add(instant - datetime.combine(instant.date(), time(), UTC))
    midnight = datetime.combine(date.min, time())
    return tuple((midnight + start).time() for start in sorted(starts | {timedelta()}))


@cache
def _changes_of_all_years(zone: ZoneInfo) -> tuple[Change, ...]:
    return tuple(_changes(zone, FIRST, LAST))


def _changes(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[Change]:
    """Yield each instant at which the zone changes its offset, with the offsets before and after it."""
    before = _offset(zone, begin)
    while begin < end:
        following = begin + STEP
        after = _offset(zone, following)
        if after != before:
            yield _instant_of_change(zone, begin, following), before, after
        begin, before = following, after


def _instant_of_change(zone: ZoneInfo, early: datetime, late: datetime) -> datetime:
    offset = _offset(zone, early)
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        early, late = (middle, late) if _offset(zone, middle) == offset else (early, middle)
    return late


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).replace(tzinfo=None) - instant.replace(tzinfo=None)
