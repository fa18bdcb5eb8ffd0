"""How many visits are alike: counted by the database, by days of any time zone, within the caller's locations."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, time
from enum import StrEnum
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from storage.caller import Caller
from storage.database import Database, NotAtOnce
from storage.errors import InvalidPage
from storage.instants import instant
from storage.models import HomeVisitStatus, VisitHost, VisitType
from storage.queries.conditions import HomeVisitFilter, conditions
from storage.queries.days import day_pieces, local_day
from storage.queries.grouping import Groupings, GroupingShape, HomeVisitGrouping, group_counts, piece_parameter
from storage.queries.statements import COMPILING

MOST_GROUPINGS = 2
LARGEST_COUNT = 5_000
# To add up so many takes two milliseconds of the loop; of more, a thread.
MANY_ROWS = 500

# The attribute of `HomeVisitCount` that each grouping fills.
ATTRIBUTES = {grouping: grouping.value.lower() for grouping in HomeVisitGrouping}
ENUMS: dict[HomeVisitGrouping, type[StrEnum]] = {
    HomeVisitGrouping.STATUS: HomeVisitStatus,
    HomeVisitGrouping.HOST: VisitHost,
    HomeVisitGrouping.VISIT_TYPE: VisitType,
}
NARROWING = {
    HomeVisitGrouping.DAY: "fewer days",
    HomeVisitGrouping.LOCATION: "fewer locations",
    HomeVisitGrouping.ASSIGNED_TO: "fewer users (`assignedTo`)",
}


@dataclass(frozen=True, slots=True)
class HomeVisitCount:
    """How many visits are alike in what they were grouped by; all else is None."""

    count: int
    status: HomeVisitStatus | None = None
    day: date | None = None
    location: str | None = None
    host: VisitHost | None = None
    assigned_to: str | None = None
    visit_type: VisitType | None = None


async def count_groups(
    database: Database, caller: Caller, filter: HomeVisitFilter, group_by: Sequence[HomeVisitGrouping], zone: str
) -> list[HomeVisitCount]:
    """Return the counts in the order of what they are grouped by, what is null last; raise InvalidPage for too many.

    Enums have the order of their values, all else that of its text: locations and users are in the order of their IDs.
    """
    groupings = _checked(group_by)
    if database.is_at_once:
        raise NotAtOnce
    where = conditions(filter, caller.locations, database.dialect)
    pieces: tuple[time, ...] = (time(),)
    values = where.values
    if HomeVisitGrouping.DAY in groupings:
        bounds = (instant(bound) if bound else None for bound in (values.get("start"), values.get("end")))
        pieces = await asyncio.to_thread(day_pieces, ZoneInfo(zone), *bounds)
        values = values | {piece_parameter(number): start.isoformat() for number, start in enumerate(pieces)}
    if COMPILING.is_taken:
        await COMPILING.wait()
    statement = group_counts(database.dialect, GroupingShape(where.shape, groupings, len(pieces)))
    # A day of a zone is in one piece more than there are of a UTC day, at most.
    most = LARGEST_COUNT * (len(pieces) + 1)
    rows: Sequence[Any] = await database.fetch(statement, values | {"limit": most + 1}, caller.subject)
    add_up = partial(_added_up, rows, groupings, ZoneInfo(zone), pieces)
    counts = await asyncio.to_thread(add_up) if len(rows) > MANY_ROWS else add_up()
    if len(counts) > LARGEST_COUNT or len(rows) > most:
        raise InvalidPage(_too_many(groupings))
    return counts


def _checked(group_by: Sequence[HomeVisitGrouping]) -> Groupings:
    if 1 <= len(group_by) <= MOST_GROUPINGS and len(set(group_by)) == len(group_by):
        return tuple(group_by)
    groupings = " and ".join(group_by) or "nothing"
    raise InvalidPage(f"Visits are counted by one or two things at once: name each once in `groupBy`, which names {groupings}.")


def _too_many(groupings: Groupings) -> str:
    ways = " or ".join(NARROWING[grouping] for grouping in groupings if grouping in NARROWING)
    return f"There are more than {LARGEST_COUNT:,} groups, which is the most there may be. Have `filter` find {ways}."


def _added_up(rows: Sequence[Any], groupings: Groupings, zone: ZoneInfo, pieces: Sequence[time]) -> list[HomeVisitCount]:
    """Return how many visits each group has, in order: the pieces of each day together."""
    counts: Counter[tuple[Any, ...]] = Counter()
    if HomeVisitGrouping.DAY not in groupings:
        for *group, number in rows:
            counts[tuple(group)] = number
        return _in_order(counts, groupings)
    place = groupings.index(HomeVisitGrouping.DAY)
    days: dict[tuple[str, int], date] = {}
    for *group, number in rows:
        piece = (group[place], group.pop(place + 1))
        if (day := days.get(piece)) is None:
            day = days[piece] = local_day(zone, piece[0], pieces[piece[1]])
        group[place] = day
        counts[tuple(group)] += number
    return _in_order(counts, groupings)


def _in_order(counts: "Counter[tuple[Any, ...]]", groupings: Groupings) -> list[HomeVisitCount]:
    names = [ATTRIBUTES[grouping] for grouping in groupings]
    ranks = [_rank_of(grouping) for grouping in groupings]

    def key(group: tuple[Any, ...]) -> list[tuple[bool, Any]]:
        return [(part is None, "" if part is None else rank(part)) for rank, part in zip(ranks, group, strict=True)]

    return [HomeVisitCount(counts[group], **dict(zip(names, group, strict=True))) for group in sorted(counts, key=key)]


def _rank_of(grouping: HomeVisitGrouping) -> Callable[[Any], Any]:
    if (enum := ENUMS.get(grouping)) is None:
        return lambda part: part
    ranks = {str(value): rank for rank, value in enumerate(enum)}
    # A later version may have stored another.
    return lambda part: ranks.get(part, len(ranks))
