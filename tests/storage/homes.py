"""What the tests of storage know: two care homes, their people and families, and how to look at everything that is kept."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlmodel import Session, SQLModel

from storage.caller import Caller, Role
from storage.database import Database
from storage.events import numbering
from storage.folding import folded
from storage.identifiers import is_identifier
from storage.lifecycle import BookingInput
from storage.models import CareEnquiry, HomeVisit, Location, ServiceUserContact, User, VisitHost, VisitType
from storage.sqlite import migrating
from tests.databases import database_at, engine_at, is_sqlite, migrate
from tests.inspection import inspect

WILLOW, ROWAN = "10000000000000000000000a", "10000000000000000000000b"
ALICE, BOB = "20000000000000000000000a", "20000000000000000000000b"
REID, EVANS, FROST = "30000000000000000000000a", "30000000000000000000000b", "30000000000000000000000c"
HOMELESS, FORGOTTEN = "30000000000000000000000d", "30000000000000000000000e"
DAUGHTER, SON, STRANGER = "40000000000000000000000a", "40000000000000000000000b", "40000000000000000000000c"
NOBODY = "f" * 24

NOW = datetime(2024, 10, 20, 9, 30, tzinfo=UTC)
VISIT_TIME = datetime(2024, 11, 3, 11, tzinfo=UTC)

EVERYTHING = Caller("clerk", frozenset(Role))


def limited_to(*locations: str, subject: str = "clerk") -> Caller:
    return Caller(subject, frozenset({Role.COORDINATOR}), frozenset(locations))


class Clock:
    """Tells the time that it was set to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


def prepare(path: Path) -> None:
    """Make a database of two homes: Reid and Evans have asked at Willow, Frost at Rowan; no visit is booked."""
    migrate(path)
    engine = engine_at(path)
    with Session(engine) as session:
        session.add_all([Location(id=WILLOW, name="Willow Court", time_zone="Europe/London"), Location(id=ROWAN)])
        session.add_all([User(id=ALICE, first_name="Alice"), User(id=BOB, first_name="Bob")])
        session.flush()
        session.add_all(
            [
                CareEnquiry(id=REID, first_name="Ada", email="ada@family.example", assigned_to=ALICE, location=WILLOW),
                CareEnquiry(id=EVANS, location=WILLOW),
                CareEnquiry(id=FROST, email="frost@family.example", assigned_to=BOB, location=ROWAN),
                CareEnquiry(id=HOMELESS, email="none@family.example"),
                CareEnquiry(id=FORGOTTEN, location=WILLOW, anonymized=NOW),
            ]
        )
        session.flush()
        session.add_all(
            [
                ServiceUserContact(id=DAUGHTER, first_name="Dora", care_enquiry=REID),
                ServiceUserContact(id=SON, care_enquiry=FROST),
                ServiceUserContact(id=STRANGER),
            ]
        )
        session.commit()
    engine.dispose()


def migrate_to(step: str, path: Path) -> None:
    """Bring a database as far as a step of the past."""
    migrating.migrate_to(step, path)


def booking(**changes: Any) -> BookingInput:
    values: dict[str, Any] = {
        "care_enquiry": REID,
        "date_time": VISIT_TIME,
        "host": VisitHost.NURSE,
        "visit_type": VisitType.IN_PERSON,
    }
    return BookingInput(**(values | changes))


def visit_id(number: int) -> str:
    return f"5{number:023x}"


def visit(number: int, **changes: Any) -> HomeVisit:
    """Make a pending visit to Willow with the ID of this number."""
    kinds: dict[str, Any] = {
        "visit_type": VisitType.IN_PERSON,
        "host": VisitHost.NURSE,
        "notes_folded": folded(changes.get("notes", "")),
    }
    values = {"care_enquiry": EVANS, "location": WILLOW, "date_time": VISIT_TIME, "created": NOW, "modified": NOW}
    return HomeVisit(id=visit_id(number), **(kinds | values | changes))


async def keep(database: Database, *records: SQLModel) -> None:
    def work(session: Session) -> None:
        session.add_all(records)

    await database.write(work)


def everything_in(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return each table's rows, so that two looks can be compared."""
    return inspect(path).everything()


def number_events(path: Path) -> None:
    """Number what is committed, as whoever reads events does, also while another event loop runs."""
    if is_sqlite():
        return

    async def work() -> None:
        database = await database_at(path).open()
        await numbering.number_events(database)
        await database.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work()).result()


def events_of(path: Path) -> list[dict[str, Any]]:
    """Return the events in the order of their numbers, each without its ID, which is another each time."""
    number_events(path)
    events = sorted(rows_of(path, "home_visit_events"), key=lambda event: int(event["sequence"]))
    ids = {event.pop("id") for event in events}
    assert len(ids) == len(events)
    assert all(map(is_identifier, ids))
    return [{name: value for name, value in event.items() if name != "number"} for event in events]


def rows_of(path: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table in the order in which they were inserted."""
    return inspect(path).records(table)
