"""Random histories of visits, each step held against a model of the lifecycle."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from storage.caller import Caller
from storage.errors import InvalidInput, Refusal
from storage.lifecycle import BookingInput
from storage.models import HomeVisit, VisitHost, VisitType
from storage.repository import HomeVisits
from tests.databases import copied, database_at, drop_below
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
    VISIT_TIME,
    WILLOW,
    Clock,
    events_of,
    limited_to,
    rows_of,
)
from tests.storage.lifecycle_model import Model, Refused, Row

TIMES = st.integers(0, 2).map(lambda hours: VISIT_TIME + timedelta(hours=hours))
HOSTS = st.sampled_from(list(VisitHost)[:2])
NOTES = st.sampled_from(["", "Ring twice.", "CAFÉ"])
USERS = st.none() | st.sampled_from([ALICE, BOB, NOBODY])
CALLERS = st.sampled_from([EVERYTHING, EVERYTHING, limited_to(WILLOW), limited_to(ROWAN), limited_to(WILLOW, subject="porter")])
VERSIONS = st.none() | st.integers(-1, 2)
BOOKINGS = st.fixed_dictionaries(
    {
        "care_enquiry": st.sampled_from([REID, EVANS, FROST, REID, NOBODY]),
        "date_time": TIMES,
        "host": HOSTS,
        "visit_type": st.sampled_from(VisitType),
        "assigned_to": USERS,
        "service_user_contact": st.none() | st.sampled_from([DAUGHTER, SON, NOBODY]),
        "notes": NOTES,
    }
)
CHANGES = st.fixed_dictionaries(
    {}, optional={"date_time": st.none() | TIMES, "host": st.none() | HOSTS, "notes": st.none() | NOTES, "assigned_to": USERS}
)


class Histories(RuleBasedStateMachine):
    booked = Bundle("booked")

    def __init__(self, template: Path) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._path = copied(template, Path(self._folder.name) / "home_visits.db")
        self._runner = asyncio.Runner()
        self._database = self._runner.run(database_at(self._path).open())
        self._clock = Clock()
        self._model = Model()

    def teardown(self) -> None:
        self._runner.run(self._database.close())
        self._runner.close()
        drop_below(Path(self._folder.name))
        self._folder.cleanup()

    def _both(self, caller: Caller, do: Callable[[HomeVisits], Awaitable[HomeVisit]], expect: Callable[[str], Any]) -> str | None:
        """Do it and expect it, each as a second later; return the ID of the visit that was answered with."""
        self._clock.advance(seconds=1)
        try:
            answer: Any = self._runner.run(_awaited(do(HomeVisits(self._database, caller, self._clock))))
            outcome: tuple[str, ...] = ("accepted",)
        except Refusal as refusal:
            answer, outcome = None, (type(refusal).__name__, *_refused_fields(refusal))
        try:
            expect(answer.id if answer else "")
            expected: tuple[str, ...] = ("accepted",)
        except Refused as refused:
            expected = refused.args
        assert outcome == expected
        return answer.id if answer else None

    @rule(target=booked, caller=CALLERS, request=BOOKINGS, key=st.none() | st.sampled_from(["k", "l"]))
    def book(self, caller: Caller, request: Row, key: str | None) -> Any:
        answered = []

        def expect(id: str) -> None:
            answered.append(self._model.book(caller, request, key, self._clock(), id))

        id = self._both(caller, lambda visits: visits.book(BookingInput(**request), idempotency_key=key), expect)
        assert answered == ([id] if id else [])
        return id or multiple()

    @rule(caller=CALLERS, id=booked | st.just(NOBODY), changes=CHANGES, behind=VERSIONS)
    def update(self, caller: Caller, id: str, changes: Row, behind: int | None) -> None:
        version = self._version(id, behind)
        self._both(
            caller,
            lambda visits: visits.update(id, changes, expected_version=version),
            lambda _: self._model.update(caller, id, changes, version, self._clock()),
        )

    @rule(caller=CALLERS, id=booked | st.just(NOBODY), behind=VERSIONS)
    def cancel(self, caller: Caller, id: str, behind: int | None) -> None:
        version = self._version(id, behind)
        self._both(
            caller,
            lambda visits: visits.cancel(id, expected_version=version),
            lambda _: self._model.end(caller, id, "cancelled", version, self._clock()),
        )

    @rule(caller=CALLERS, id=booked | st.just(NOBODY), behind=VERSIONS)
    def complete(self, caller: Caller, id: str, behind: int | None) -> None:
        version = self._version(id, behind)
        self._both(
            caller,
            lambda visits: visits.complete(id, expected_version=version),
            lambda _: self._model.end(caller, id, "completed", version, self._clock()),
        )

    @rule(id=booked, caller=CALLERS)
    def read(self, id: str, caller: Caller) -> None:
        read = self._runner.run(HomeVisits(self._database, caller, self._clock).get(id))
        expected = self._model.visits[id]
        in_sight = caller.locations is None or expected["location"] in caller.locations
        assert (read and (read.id, read.version, read.notes)) == (
            (id, expected["version"], expected["notes"]) if in_sight else None
        )

    def _version(self, id: str, behind: int | None) -> int | None:
        """Return a version that is so far behind that of the visit; None expects none."""
        return None if behind is None else int(self._model.visits.get(id, {"version": 1})["version"]) - behind

    @invariant()
    def tables_agree_with_the_model(self) -> None:
        kept = [
            {k: v for k, v in row.items() if k not in ("number", "confirmation")} for row in rows_of(self._path, "home_visits")
        ]
        events = [row | {"changes": json.loads(row["changes"])} for row in events_of(self._path)]
        keys = {(row["subject"], row["key"]): row["home_visit"] for row in rows_of(self._path, "idempotency_keys")}
        assert kept == list(self._model.visits.values())
        assert events == self._model.events
        assert keys == {used: id for used, (_, id) in self._model.keys.items()}

    @invariant()
    def versions_count_the_changes_and_sequences_have_no_gap(self) -> None:
        events = events_of(self._path)
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        for visit in rows_of(self._path, "home_visits"):
            versions = [event["version"] for event in events if event["home_visit"] == visit["id"]]
            assert versions == list(range(1, visit["version"] + 1))


async def _awaited(work: Awaitable[HomeVisit]) -> HomeVisit:
    return await work


def _refused_fields(refusal: Refusal) -> list[str]:
    return [problem.field for problem in refusal.problems] if isinstance(refusal, InvalidInput) else []


def test_random_histories_go_as_the_lifecycle_says(template: Path) -> None:
    run_state_machine_as_test(
        lambda: Histories(template), settings=settings(max_examples=15, stateful_step_count=20, deadline=None)
    )


@pytest.mark.slow
def test_long_random_histories_go_as_the_lifecycle_says(template: Path) -> None:
    run_state_machine_as_test(
        lambda: Histories(template), settings=settings(max_examples=80, stateful_step_count=50, deadline=None)
    )
