"""A small world to ask about: three homes, the people who care, seek care and visit, and two dozen visits.

Everything is fixed, so that answers can be told exactly. Two homes have visits, the third is known by its ID only.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlmodel import Session

from storage.caller import Caller, Role
from storage.folding import folded
from storage.models import CareEnquiry, HomeVisit, Location, ServiceUserContact, User, VisitHost, VisitType
from tests.databases import engine_at, migrate
from tests.people import with_folded

NOW = datetime(2024, 11, 4, 9, 30, tzinfo=UTC)

WILLOWS, BEECHES, STUB_HOME = (f"10000000000000000000000{n}" for n in (1, 2, 3))
ANNA, BEN, STUB_USER = (f"20000000000000000000000{n}" for n in (1, 2, 3))
FOR_WILLOWS, ALSO_FOR_WILLOWS, FOR_BEECHES, STUB_ENQUIRY, ANONYMIZED_ENQUIRY, ELSEWHERE = (
    f"30000000000000000000000{n}" for n in (1, 2, 3, 4, 5, 6)
)
DAUGHTER, SON, STUB_CONTACT = (f"40000000000000000000000{n}" for n in (1, 2, 3))
UNKNOWN = "f" * 24

EVERYBODY = Caller("everybody", frozenset(Role))


def limited_to(*locations: str, role: Role = Role.COORDINATOR) -> Caller:
    return Caller("limited", frozenset({role}), frozenset(locations))


VISITS = 24
VISIT_IDS = [f"5000000000000000000000{n:02}" for n in range(VISITS)]
PENDING, CANCELLED, COMPLETED = VISIT_IDS[:3]


def references() -> list[User | Location | CareEnquiry | ServiceUserContact]:
    return [
        User(id=ANNA, first_name="Anna", last_name="Ash", email="anna@homes.example"),
        User(id=BEN, first_name="Ben", last_name="Birch", email="ben@homes.example"),
        User(id=STUB_USER),
        Location(id=WILLOWS, name="The Willows", email="willows@homes.example", phone="0100", time_zone="Europe/Dublin"),
        Location(id=BEECHES, name="The Beeches", email="beeches@homes.example", phone="0200"),
        Location(id=STUB_HOME),
        CareEnquiry(
            id=FOR_WILLOWS,
            first_name="Wilma",
            last_name="Fern",
            email="wilma@family.example",
            phone="0300",
            assigned_to=ANNA,
            location=WILLOWS,
        ),
        CareEnquiry(id=ALSO_FOR_WILLOWS, first_name="Walter", location=WILLOWS),
        CareEnquiry(id=FOR_BEECHES, first_name="Bill", email="bill@family.example", assigned_to=BEN, location=BEECHES),
        CareEnquiry(id=STUB_ENQUIRY),
        CareEnquiry(id=ANONYMIZED_ENQUIRY, location=WILLOWS, assigned_to=STUB_USER, anonymized=NOW - timedelta(days=30)),
        CareEnquiry(id=ELSEWHERE, first_name="Elsa", location=STUB_HOME, assigned_to=BEN),
        ServiceUserContact(id=DAUGHTER, first_name="Dora", last_name="Fern", phone="0400", care_enquiry=FOR_WILLOWS),
        ServiceUserContact(id=SON, first_name="Sam", email="sam@family.example", care_enquiry=FOR_BEECHES),
        ServiceUserContact(id=STUB_CONTACT),
    ]


def visit(n: int) -> HomeVisit:
    """Return the visit of this number: three of one shape, pending, cancelled and completed, then three of the next."""
    enquiry, location, user = [
        (FOR_WILLOWS, WILLOWS, ANNA),
        (FOR_BEECHES, BEECHES, BEN),
        (ALSO_FOR_WILLOWS, WILLOWS, None),
        # The enquiry has moved since: what was booked stays where it was.
        (FOR_BEECHES, WILLOWS, ANNA),
        (STUB_ENQUIRY, BEECHES, STUB_USER),
        (FOR_WILLOWS, WILLOWS, BEN),
    ][n // 3 % 6]
    created = NOW - timedelta(days=10, minutes=VISITS - n)
    ended = NOW - timedelta(days=1, milliseconds=n)
    status = n % 3
    notes = f"Visit {n}: café" if n % 4 else ""
    return HomeVisit(
        id=VISIT_IDS[n],
        care_enquiry=enquiry,
        location=location,
        assigned_to=user,
        service_user_contact={FOR_WILLOWS: DAUGHTER, FOR_BEECHES: SON}.get(enquiry) if n % 2 else None,
        date_time=NOW + timedelta(hours=7 * (n % 5) - 12, microseconds=n % 2),
        visit_type=list(VisitType)[n % 2],
        host=list(VisitHost)[n % 9],
        notes=notes,
        notes_folded=folded(notes),
        created=created,
        modified=ended if status else created,
        cancelled=ended if status == 1 else None,
        completed=ended if status == 2 else None,
        anonymized=ended if n == 8 else None,
        version=2 if status else 1,
    )


def make(path: Path) -> None:
    """Make the database of this world."""
    migrate(path)
    engine = engine_at(path)
    with Session(engine) as session:
        for record in references():
            session.add(with_folded(record))
            session.flush()
        session.add_all([visit(n) for n in range(VISITS)])
        session.commit()
    engine.dispose()
