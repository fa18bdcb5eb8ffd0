"""The events of a visit tell all that it was: undone from its present state, they give its state at each version."""

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.events.reading import events_after
from storage.lifecycle import PERSONAL
from storage.models import VisitHost
from storage.repository import HomeVisits
from tests.databases import copied, database_at
from tests.storage.carehq.taking import take, write
from tests.storage.homes import ALICE, BOB, DAUGHTER, EVANS, EVERYTHING, REID, VISIT_TIME, WILLOW, Clock, booking, rows_of

INSTANTS = ("date_time", "created", "cancelled", "completed", "anonymized")
# Personal values are told by no event, the others by each by itself or by none.
UNTOLD = PERSONAL | {"number", "version", "modified", "confirmation", "notes_folded"}

UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "date_time": st.integers(0, 3).map(lambda hours: VISIT_TIME + timedelta(hours=hours)),
        "host": st.sampled_from(list(VisitHost)[:3]),
        "notes": st.sampled_from(["", "Ring twice."]),
        "assigned_to": st.none() | st.sampled_from([ALICE, BOB]),
    },
)
IMPORTS = st.fixed_dictionaries(
    {
        "care_enquiry": st.sampled_from([REID, EVANS]),
        "date_time": st.sampled_from(["2024-11-03 11:00:00", "2024-12-01 10:00:00"]),
        "visit_type": st.sampled_from(["in_person", "virtual"]),
        "service_user_contact": st.none() | st.just(DAUGHTER),
        "completed": st.none() | st.just("2024-11-03 12:00:00"),
    }
)


def state(row: dict[str, Any]) -> dict[str, Any]:
    """Return what events tell of a visit, in their form."""
    told = {name: value for name, value in row.items() if name not in UNTOLD}
    return told | {name: told[name] and f"{told[name]}Z" for name in INSTANTS}


async def check(path: Path, folder: Path, steps: list[tuple[str, Any]]) -> None:
    database, clock = await database_at(path).open(), Clock()
    visits = HomeVisits(database, EVERYTHING, clock)
    visit = await visits.book(booking())
    states = {1: state(rows_of(path, "home_visits")[0])}
    for kind, value in steps:
        now = clock.advance(minutes=1)
        if kind == "import":
            times = {"created": "2024-10-20 09:30:00", "modified": f"{now:%Y-%m-%d %H:%M:%S}"}
            document = {"_id": visit.id, "location": WILLOW, "host": "manager", "notes": "Imported."} | times | value
            await take(database, *write(folder, home_visits=[document]))
        elif rows_of(path, "home_visits")[0]["completed"] is None:
            await visits.update(visit.id, value)
        row = rows_of(path, "home_visits")[0]
        states.setdefault(row["version"], state(row))
    events = await events_after(database, 0, 1_000)
    await database.close()

    undone, found = state(rows_of(path, "home_visits")[0]), {}
    for event in reversed(events):
        found[event.version] = dict(undone)
        undone |= {str(name): before for name, before, _ in event.changes if name not in UNTOLD}

    assert found == states


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(st.tuples(st.just("update"), UPDATES) | st.tuples(st.just("import"), IMPORTS), max_size=6))
def test_undoing_the_events_of_a_visit_gives_its_state_at_each_version(template: Path, steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(copied(template, Path(folder) / "visits.db"), Path(folder), steps))
