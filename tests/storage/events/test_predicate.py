"""What is live meets the same conditions as what is read: the predicate in Python and the conditions in SQL agree."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.caller import Caller
from storage.database import Database
from storage.events import listing
from storage.events.conditions import EventPredicate, HomeVisitEventFilter
from storage.events.cursors import BEGINNING, ORDER
from storage.events.reading import HomeVisitEvents, events_after
from storage.models import HomeVisitEventType
from storage.queries.dialect import AccessPath, ConditionShape, Dialect
from storage.queries.paging import Window
from storage.repository import HomeVisits
from tests.storage.events.following import book
from tests.storage.homes import EVANS, EVERYTHING, FROST, NOBODY, NOW, REID, ROWAN, WILLOW, Clock, limited_to

ACTORS = ["clerk", "Clerk", "", "ä", "a\x00b", "\ud800", "clerk "]
MOMENTS = [NOW + timedelta(seconds=step, milliseconds=500 * (step % 2)) for step in range(-1, 8)]


def some(values: list[str]) -> st.SearchStrategy[list[str] | None]:
    return st.none() | st.lists(st.sampled_from(values), max_size=4)


SCOPES = st.sampled_from([None, frozenset(), frozenset({WILLOW}), frozenset({ROWAN}), frozenset({WILLOW, ROWAN, NOBODY})])


async def happen(database: Database, clock: Clock) -> list[str]:
    """Have eight events happen at both homes, half a second apart at times, by two who differ in one letter's case."""
    clerk, other = HomeVisits(database, EVERYTHING, clock), HomeVisits(database, Caller("Clerk", EVERYTHING.roles), clock)
    ids = []
    for visits, enquiry in ((clerk, REID), (other, EVANS), (clerk, FROST), (other, FROST)):
        ids += await book(visits, 1, enquiry)
        clock.advance(milliseconds=500)
    for visits, id in ((clerk, ids[3]), (other, ids[2])):
        await visits.cancel(id)
        clock.advance(seconds=1)
    await other.complete(ids[0])
    await clerk.update(ids[1], {"notes": "Wheelchair"})
    return ids


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_an_event_is_live_for_whom_it_is_read(data: st.DataObject, database: Database, clock: Clock) -> None:
    events = await events_after(database, 0, 100) or await _made(database, clock)
    visits = [*dict.fromkeys(event.home_visit for event in events), NOBODY, "no ID", f" {events[0].home_visit}\n"]
    filter: Any = {
        "home_visit": data.draw(some(visits)),
        "care_enquiry": data.draw(some([REID, EVANS, FROST, REID.upper(), ""])),
        "location": data.draw(some([WILLOW, ROWAN, NOBODY])),
        "type": data.draw(some(list(HomeVisitEventType))),
        "actor": data.draw(some(ACTORS)),
        "at_from": data.draw(st.none() | st.sampled_from(MOMENTS)),
        "at_before": data.draw(st.none() | st.sampled_from(MOMENTS)),
    }
    locations = data.draw(SCOPES)
    caller = EVERYTHING if locations is None else limited_to(*locations)

    predicate = EventPredicate(filter, locations)
    page = await HomeVisitEvents(database, caller).page(HomeVisitEventFilter(**filter), Window.of(100, BEGINNING, None, None))

    assert [event.sequence for event in events if predicate(event)] == [event.sequence for event in page.nodes]
    # By these followers are found.
    assert all(None in predicate.ids or predicate.ids & {event.home_visit, event.location} for event in page.nodes)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_a_page_is_the_same_along_each_access_path(data: st.DataObject, database: Database, clock: Clock) -> None:
    events = await events_after(database, 0, 100) or await _made(database, clock)
    filter: Any = {
        "location": data.draw(some([WILLOW, ROWAN, NOBODY])),
        "type": data.draw(some(list(HomeVisitEventType))),
        "actor": data.draw(some([*ACTORS, *map(str, range(60))])),
        "at_from": data.draw(st.none() | st.sampled_from(MOMENTS)),
        "at_before": data.draw(st.none() | st.sampled_from(MOMENTS)),
    }
    locations = data.draw(SCOPES)
    after, before = (data.draw(st.none() | st.sampled_from(events)) for _ in range(2))
    size, backward, number = data.draw(st.integers(0, 4)), data.draw(st.booleans()), data.draw(st.integers(0, 5))
    listed = [event.sequence for event in events if EventPredicate(filter, locations)(event)]
    start, end = (after.sequence if after else 0, before.sequence if before else 100)
    between = [number for number in listed if start < number < end]
    expected = between[max(0, len(between) - size) :] if backward else between[:size]

    with along(database.dialect, number):
        caller = EVERYTHING if locations is None else limited_to(*locations)
        window = Window(size, backward, *(event and ORDER.cursor(event) for event in (after, before)))
        page = await HomeVisitEvents(database, caller).page(filter, window)

    more = len(between) > size
    assert [event.sequence for event in page.nodes] == expected
    is_earlier = after is not None and any(number <= start for number in listed)
    is_later = before is not None and any(number >= end for number in listed)
    assert page.has_previous_page == (is_earlier or (backward and more))
    assert page.has_next_page == (is_later or (not backward and more))


@contextmanager
def along(dialect: Dialect, number: int) -> Iterator[None]:
    """Have pages found along one access path alone, of those that there are, however long that takes."""
    paths = dialect.event_paths

    def path(leads: ConditionShape) -> list[AccessPath]:
        found = paths(leads)
        return [found[number % len(found)]._replace(max_steps=None)]

    listing.page.cache_clear()
    dialect.event_paths = path  # type: ignore[method-assign]  # put back below
    yield
    del dialect.event_paths
    listing.page.cache_clear()


async def _made(database: Database, clock: Clock) -> Any:
    await happen(database, clock)
    return await events_after(database, 0, 100)
