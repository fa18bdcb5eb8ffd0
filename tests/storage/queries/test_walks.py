"""Walks through lists that change under the walker's feet."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session, delete

from storage.database import Database
from storage.models import HomeVisit, HomeVisitEvent, VisitHost
from storage.outbox.messages import OutboxMessage
from storage.queries.paging import Window
from storage.repository import HomeVisits
from tests.storage.homes import EVERYTHING, VISIT_TIME, Clock, booking, keep, visit, visit_id

KEYS: dict[str, list[tuple[str, bool]]] = {
    "by ID": [],
    "latest first": [("id", True)],
    "by time": [("date_time", False)],
    "by time, backwards": [("date_time", True)],
    "by time, newest change first": [("date_time", False), ("modified", True)],
    "by change": [("modified", False)],
}
SLOTS = st.integers(0, 3).map(lambda hours: VISIT_TIME + timedelta(hours=hours))
MOVES = st.lists(
    st.tuples(st.sampled_from(["book", "move", "write", "cancel", "complete"]), st.integers(0, 100), SLOTS), max_size=6
)


class Others:
    """Those who book, move and change visits while somebody walks. `changed` tells which fields of which visits they changed."""

    def __init__(self, visits: HomeVisits, ids: list[str]) -> None:
        self._visits = visits
        self._ids = ids
        self.changed: dict[str, set[str]] = {id: set() for id in ids}

    async def make(self, move: str, chosen: int, time: datetime) -> None:
        if move == "book":
            await self._visits.book(booking(date_time=time), suppress_confirmation=True)
            return
        id = self._ids[chosen % len(self._ids)]
        before = await self._visits.get(id)
        assert before is not None
        if before.cancelled or before.completed:
            return
        after = await {
            "move": lambda: self._visits.update(id, {"date_time": time}, suppress_confirmation=True),
            "write": lambda: self._visits.update(id, {"host": VisitHost.OTHER, "notes": str(time)}),
            "cancel": lambda: self._visits.cancel(id),
            "complete": lambda: self._visits.complete(id),
        }[move]()
        self.changed[id] |= {name for name in ("date_time", "modified") if getattr(before, name) != getattr(after, name)}


def slot(number: int) -> datetime:
    return VISIT_TIME + timedelta(hours=number % 4)


async def fifteen_visits(database: Database) -> list[str]:
    """Keep fifteen visits, a few at a time, and nothing else."""

    def work(session: Session) -> None:
        for model in (OutboxMessage, HomeVisitEvent, HomeVisit):
            session.exec(delete(model))
        session.add_all(visit(number, date_time=slot(number), modified=slot(number // 2)) for number in range(15))

    await database.write(work)
    return [visit_id(number) for number in range(15)]


async def check_a_walk(
    database: Database, order: list[tuple[str, bool]], backward: bool, size: int, moves: list[list[tuple[str, int, datetime]]]
) -> None:
    clock = Clock()
    visits = HomeVisits(database, EVERYTHING, lambda: clock.advance(seconds=1))
    ids = await fifteen_visits(database)
    others, rounds = Others(visits, ids), iter(moves)
    seen: list[str] = []
    cursor = None

    for _ in range(100):
        bounds = (None, cursor) if backward else (cursor, None)
        page = await visits.page({}, order, Window(size, backward, *bounds))
        seen += [node.id for node in page.nodes]
        for move in next(rounds, []):
            await others.make(*move)
        if not (page.has_previous_page if backward else page.has_next_page):
            break
        cursor = page.start_cursor if backward else page.end_cursor

    names = {name for name, _ in order}
    stayed = [id for id in ids if not others.changed[id] & names]
    assert sorted(id for id in seen if id in stayed) == stayed


WALKS = {
    "order": st.sampled_from(list(KEYS.values())),
    "backward": st.booleans(),
    "size": st.integers(1, 5),
    "moves": st.lists(MOVES, min_size=1, max_size=6),
}
quickly = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quickly
@given(**WALKS)
async def test_a_walk_sees_every_visit_whose_place_stays_exactly_once(
    database: Database, order: list[tuple[str, bool]], backward: bool, size: int, moves: list[list[tuple[str, int, datetime]]]
) -> None:
    await check_a_walk(database, order, backward, size, moves)


@pytest.mark.slow
@settings(quickly, max_examples=500)
@given(**WALKS)
async def test_hundreds_of_walks_see_every_visit_whose_place_stays_exactly_once(
    database: Database, order: list[tuple[str, bool]], backward: bool, size: int, moves: list[list[tuple[str, int, datetime]]]
) -> None:
    await check_a_walk(database, order, backward, size, moves)


@pytest.mark.parametrize("backward", [False, True], ids=["forwards", "backwards"])
async def test_a_visit_that_moves_on_is_seen_where_it_was_and_where_it_is(database: Database, backward: bool) -> None:
    await keep(database, *(visit(number, date_time=VISIT_TIME + timedelta(hours=number)) for number in range(4)))
    visits = HomeVisits(database, EVERYTHING, Clock())
    keys = [("date_time", backward)]

    first = await visits.page({}, keys, Window(2, False, None, None))
    await visits.update(visit_id(3 if backward else 0), {"date_time": VISIT_TIME + timedelta(hours=-9 if backward else 9)})
    rest = await visits.page({}, keys, Window(10, False, first.end_cursor, None))

    shown = [int(node.id[1:], 16) for node in [*first.nodes, *rest.nodes]]
    assert shown == ([3, 2, 1, 0, 3] if backward else [0, 1, 2, 3, 0])
