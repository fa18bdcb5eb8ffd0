"""What is pushed, as clients ask for it: by each caller's own sight, whoever else follows."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from graphql import OperationType, get_named_type

from resolvers.auth import allowed_operations
from resolvers.errors import present
from schema.context import Context
from schema.execution.engine import Engine, Request, Served
from storage.caller import Caller, Role
from storage.database import Database
from storage.events.cursors import BEGINNING
from storage.events.feed import Feed
from tests import world
from tests.asking import Ask, engine
from tests.databases import copied, database_at, path_of
from tests.inspection import inspect
from tests.resolvers import halves
from tests.resolvers.halves import CANARY, US
from tests.resolvers.reach import ROOTS, everything, legible
from tests.schema.execution.oracle import LOOSE
from tests.storage.events.following import running_feed
from tests.world import BEECHES, FOR_BEECHES, FOR_WILLOWS, WILLOWS

BOOK = """mutation ($enquiry: ID!) { bookHomeVisit(input: { careEnquiry: $enquiry, dateTime: "2024-11-20T14:00:00Z", host: OTHER,
  visitType: VIRTUAL }) { __typename } }"""
CHANGED = (
    "subscription ($filter: HomeVisitEventFilter, $after: String) { homeVisitChanged(filter: $filter, after: $after) { %s } }"
)
EVENT = "cursor node { sequence type actor homeVisit { id allowedOperations location { id name } } }"


class Following:
    """A subscription that has begun, and the answers to its events."""

    def __init__(self, feed: Feed, engine: Engine, database: Database, caller: Caller) -> None:
        self._feed = feed
        self._engine = engine
        self._database = database
        self._caller = caller
        self.served: set[Served | None] = set()

    def context(self) -> Context:
        zone = "Europe/London"
        return Context(self._database, self._caller, lambda: world.NOW, zone, allowed_operations, feed=self._feed)

    async def answers(self, selection: str, count: int, **variables: Any) -> list[Any]:
        """Return the data of so many events."""
        request = Request(CHANGED % selection, None, {"after": BEGINNING, **variables})
        result = await self._engine.subscribe(request, self.context())
        assert result.subscription is not None, [present(error, "", None) for error in result.errors]
        answers = []
        for _ in range(count):
            faults: list[Exception] = []
            event = await anext(result.subscription.events)
            answer = await result.subscription.execute(event, self.context(), faults)
            assert (answer.errors, faults) == ([], [])
            self.served.add(answer.served)
            answers.append(answer.data["homeVisitChanged"] if answer.data else None)
        return answers


@asynccontextmanager
async def following(ask: Ask, caller: Caller = world.EVERYBODY) -> AsyncIterator[Following]:
    async with running_feed(ask.database) as feed:
        yield Following(feed, ask.engine, ask.database, caller)


async def test_an_event_comes_with_the_visit_as_it_is(ask: Ask) -> None:
    await ask.data(BOOK, {"enquiry": FOR_WILLOWS})
    async with following(ask) as follower:
        (answer,) = await follower.answers(EVENT, 1)

    visit = answer["node"]["homeVisit"]
    assert answer["node"] | {"homeVisit": None} == {
        "sequence": 1,
        "type": "BOOKED",
        "actor": "everybody",
        "homeVisit": None,
    }
    assert visit | {"id": ""} == {
        "id": "",
        "allowedOperations": ["UPDATE", "CANCEL", "COMPLETE"],
        "location": {"id": WILLOWS, "name": "The Willows"},
    }


async def test_usual_subscriptions_are_served_by_plans(database: Database) -> None:
    ask = Ask(database, engine(planned=True))
    await ask.data(BOOK, {"enquiry": FOR_WILLOWS})
    async with following(ask) as follower:
        await follower.answers(EVENT + " node { changes { field before after } at version id }", 1)
        await follower.answers(
            "cursor node { homeVisit { careEnquiry { careSeeker { firstName } } assignedTo { lastName } } }", 1
        )

    assert follower.served == {Served.ROOT_FIELDS}


async def test_what_a_caller_may_do_is_their_own(ask: Ask) -> None:
    await ask.data(BOOK, {"enquiry": FOR_WILLOWS})
    async with following(ask, Caller("viewer", frozenset({Role.VIEWER}))) as follower:
        (answer,) = await follower.answers("node { homeVisit { allowedOperations } }", 1)

    assert answer == {"node": {"homeVisit": {"allowedOperations": []}}}


async def test_only_events_within_the_callers_locations_come(ask: Ask) -> None:
    for enquiry in (FOR_WILLOWS, FOR_BEECHES, FOR_WILLOWS):
        await ask.data(BOOK, {"enquiry": enquiry})
    async with following(ask, world.limited_to(BEECHES)) as follower:
        (answer,) = await follower.answers("node { sequence homeVisit { location { id } } }", 1)

    assert answer == {"node": {"sequence": 2, "homeVisit": {"location": {"id": BEECHES}}}}


async def test_an_event_of_a_visit_that_was_moved_away_meanwhile_is_out_of_sight(ask: Ask) -> None:
    await ask.data(BOOK, {"enquiry": FOR_BEECHES})
    async with following(ask, world.limited_to(BEECHES)) as follower:
        request = Request(CHANGED % "node { sequence homeVisit { status } }", None, {"after": BEGINNING})
        result = await ask.engine.subscribe(request, follower.context())
        assert result.subscription is not None
        event = await anext(result.subscription.events)
        # As an import does.
        inspect(path_of(ask.database)).execute(f"UPDATE home_visits SET location = '{WILLOWS}'")  # noqa: S608 - ours
        answer = await result.subscription.execute(event, follower.context(), [])

    assert answer.data is None
    assert [present(error, "", None)["extensions"]["code"] for error in answer.errors] == ["OUT_OF_SIGHT"]


async def test_a_filter_is_applied(ask: Ask) -> None:
    for enquiry in (FOR_WILLOWS, FOR_BEECHES):
        await ask.data(BOOK, {"enquiry": enquiry})
    async with following(ask) as follower:
        (answer,) = await follower.answers("node { sequence }", 1, filter={"location": [BEECHES], "type": ["BOOKED"]})

    assert answer == {"node": {"sequence": 2}}


@pytest.mark.parametrize("after", ["", "x", "ZXwxfDA=="])
async def test_what_is_no_cursor_is_refused(ask: Ask, after: str) -> None:
    async with following(ask) as follower:
        request = Request(CHANGED % "cursor", None, {"after": after})
        result = await ask.engine.subscribe(request, follower.context())

    assert [present(error, "", None)["extensions"]["code"] for error in result.errors] == ["BAD_USER_INPUT"]


@pytest.fixture(scope="session")
def halves_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("halves") / "halves.db"
    halves.make(path)
    return path


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "standard"])
async def test_no_field_of_an_event_shows_anything_of_others(halves_file: Path, tmp_path: Path, planned: bool) -> None:
    database = await database_at(copied(halves_file, tmp_path / "halves.db")).open()
    ask = Ask(database, engine(planned=planned, limits=LOOSE))
    try:
        ours = await ask.data("{ homeVisitEvents(first: 100) { nodes { sequence } } }", caller=US)
        expected = [node["sequence"] for node in ours["homeVisitEvents"]["nodes"]]
        selection = everything(get_named_type(ROOTS[OperationType.SUBSCRIPTION].fields["homeVisitChanged"].type))
        async with following(ask, US) as follower:
            answers = await follower.answers("node { sequence } " + selection[1:-1], len(expected))
    finally:
        await database.close()

    assert expected != []
    assert [answer["node"]["sequence"] for answer in answers] == expected
    assert re.findall(rf"{CANARY}|bad\d{{21}}", legible(answers)) == []
