"""Invented visits around today, for trying things out: the same ones every day, only their dates move along."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlmodel import Session

from storage.carehq.documents import KINDS
from storage.carehq.merging import merge
from storage.database import Database
from storage.errors import DatabaseUnusable
from storage.models import Location

ENQUIRIES = 150
CONTACTS = 70
VISITS = 300
SUNDAY = 6

LOCATIONS = [
    ("Willow Court (demo)", "willow.court", "+44 1632 960001", "Europe/London"),
    ("Harbour View (demo)", "harbour.view", "+44 1632 960002", "Europe/London"),
    ("Glen Lodge (demo)", "glen.lodge", "+44 1632 960003", "Europe/London"),
    ("Liffey House (demo)", "liffey.house", "+353 20 910 0004", "Europe/Dublin"),
    ("Corbière Grange (demo)", "corbiere.grange", "+44 1632 960005", "Europe/Jersey"),
    ("Rock Gardens (demo)", "rock.gardens", "+44 1632 960006", "Europe/Gibraltar"),
]
# Where each works, by number, and as what. Grace advises families at several; Huw has left.
USERS: list[tuple[str, list[int], str]] = [
    ("Ada Okafor", [0], "manager"),
    ("Brian Hughes", [1], "manager"),
    ("Carys Bowen", [2], "deputy_manager"),
    ("Declan Byrne", [3], "manager"),
    ("Esme Carter", [4], "senior_carer"),
    ("Farid Khan", [5], "administrator"),
    ("Grace Murphy", [0, 1, 2], "customer_relations_adviser"),
    ("Huw Price", [5], "nurse"),
]
SUSPENDED = "Huw Price"
FIRST_NAMES = [
    "Agnes", "Albert", "Beryl", "Chidi", "Dilys", "Eoin", "Edith", "Farah", "George", "Gwen",
    "Hari", "Ines", "Jack", "Kemi", "Liam", "Mabel", "Nia", "Owen", "Pearl", "Ronald",
]  # fmt: skip
LAST_NAMES = [
    "Bello", "Costa", "Doyle", "Evans", "Frost", "Hughes", "Khan", "Morgan",
    "O'Neill", "Patel", "Quinn", "Reid", "Shah", "Taylor", "Ward", "Young",
]  # fmt: skip
HOSTS = {
    "manager": 8, "deputy_manager": 5, "customer_relations_adviser": 4, "administrator": 2, "senior_carer": 2,
    "nurse": 2, "receptionist": 1, "carer": 1, "other": 1,
}  # fmt: skip
NOTES = [
    "",
    "",
    "",
    "Care seeker has requested to view ground floor rooms.",
    "Daughter attends; wheelchair access needed.",
    "Prefers mornings. Asked about respite fees and the garden.",
    "Would like to see the dementia unit and meet the night staff.",
    "Coming by train, needs a taxi from the station.",
    "Asked whether her cat may move in, too.",
    "Son lives abroad and joins by video.",
    "Visiting with her sister. Please have the fee schedule ready.",
    "Second visit: wants to see the room with the bay window again.",
    "Hard of hearing: please speak to him face to face.",
    "Would like to stay for lunch. Vegetarian.",
    "Currently in hospital, discharge planned within two weeks.",
    "Café at the entrance, then the tour; mornings are quieter.",
]


class _Booking(NamedTuple):
    """Days are counted from today; bookings sort by when they were taken."""

    booked_day: int
    booked_second: int
    visit_day: int


def _identifier(number: int) -> str:
    """Make an ID like the source's: 4 bytes of seconds, 5 that name a machine, 3 that count."""
    return f"{0x6724FB00 + 617 * number:08x}de305d5479{0x637800 + number:06x}"


_FIRST_USER = len(LOCATIONS)
_FIRST_ENQUIRY = _FIRST_USER + len(USERS)
_FIRST_CONTACT = _FIRST_ENQUIRY + ENQUIRIES
_FIRST_VISIT = _FIRST_CONTACT + CONTACTS

_ZONES = {_identifier(number): ZoneInfo(zone) for number, (_, _, _, zone) in enumerate(LOCATIONS)}

# What documents and examples may name: a location, its first enquiry, and the visit booked last, which is pending.
LOCATION = _identifier(0)
USER = _identifier(_FIRST_USER)
CARE_ENQUIRY = _identifier(_FIRST_ENQUIRY)
PENDING_VISIT = _identifier(_FIRST_VISIT + VISITS - 1)


async def fill_with_demo(database: Database, now: datetime) -> bool:
    """Fill an empty database, at once or not at all, and return whether it was empty; leave one that was filled before.

    Raises DatabaseUnusable for one that holds anything else.
    """

    def work(session: Session) -> bool:
        if session.get(Location, LOCATION) is not None:
            return False
        for kind in KINDS.values():
            if session.scalar(sa.select(sa.exists().select_from(kind.table))):
                raise DatabaseUnusable(
                    f"{database} holds what is not made up: leave out --demo, or set HOME_VISITS_DATABASE_URL to a new file."
                )
        for name, documents in demo_documents(now.astimezone(UTC).date()).items():
            document = KINDS[name].document
            merge(session, KINDS[name], [document.model_validate(values) for values in documents], now)
        return True

    return await database.write(work)


def demo_documents(today: date) -> dict[str, list[dict[str, Any]]]:
    """Make CareHQ documents, by the name of their kind, what is referred to first."""
    rng = random.Random(20241101)  # noqa: S311 - the same ones every time
    enquiries = [_enquiry(rng, number) for number in range(ENQUIRIES)]
    contacts = [_contact(rng, number, enquiries) for number in range(CONTACTS)]
    return {
        "users": [_user(number, *user) for number, user in enumerate(USERS)],
        "locations": [
            {"_id": _identifier(number), "name": name, "email": f"{mailbox}@homes.example", "phone": phone, "time_zone": zone}
            for number, (name, mailbox, phone, zone) in enumerate(LOCATIONS)
        ],
        "care_enquiries": enquiries,
        "service_user_contacts": contacts,
        "home_visits": list(_visits(rng, today, enquiries, {contact["care_enquiry"]: contact["_id"] for contact in contacts})),
    }


def _user(number: int, name: str, locations: list[int], role: str) -> dict[str, Any]:
    works = {"locations": [_identifier(location) for location in locations], "location_role": role}
    return _person(_FIRST_USER + number, name, "homes.example") | works | {"suspended": name == SUSPENDED}


def _person(number: int, name: str, domain: str) -> dict[str, Any]:
    first, last = name.split()
    mailbox = f"{first}.{last}".lower().replace("'", "")
    return {"_id": _identifier(number), "first_name": first, "last_name": last, "email": f"{mailbox}@{domain}"}


def _relative(rng: random.Random, number: int, last_name: str) -> dict[str, Any]:
    person = _person(number, f"{rng.choice(FIRST_NAMES)} {last_name}", "family.example")
    return person | {"phone": f"+44 1632 960{rng.randrange(100, 1000)}"}


def _enquiry(rng: random.Random, number: int) -> dict[str, Any]:
    home = number % len(LOCATIONS)
    enquiry = _relative(rng, _FIRST_ENQUIRY + number, rng.choice(LAST_NAMES))
    enquiry |= {"assigned_to": _identifier(_FIRST_USER + home), "location": _identifier(home)}
    if number % 10 == 9:
        enquiry["email"] = None
    if number % 20 == 19:
        enquiry["assigned_to"] = None
    return enquiry


def _contact(rng: random.Random, number: int, enquiries: list[dict[str, Any]]) -> dict[str, Any]:
    enquiry = enquiries[2 * number]
    return _relative(rng, _FIRST_CONTACT + number, enquiry["last_name"]) | {"care_enquiry": enquiry["_id"]}


def _visits(
    rng: random.Random, today: date, enquiries: list[dict[str, Any]], contacts: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Make visits in the order in which they were booked, which is that of their IDs."""
    bookings = sorted(_booking(rng) for _ in range(VISITS - 1))
    for number, booking in enumerate(bookings):
        enquiry = rng.choice(enquiries)
        visit = _visit(rng, number, today, booking, enquiry)
        if rng.random() < 0.5:
            visit["service_user_contact"] = contacts.get(enquiry["_id"])
        yield visit | _outcome(rng, visit, today, past=booking.visit_day < 0)
    yield _visit(rng, VISITS - 1, today, _Booking(-1, 18 * 3600, 1), enquiries[0])


def _booking(rng: random.Random) -> _Booking:
    visit_day = -rng.randrange(1, 120) if rng.random() < 0.65 else rng.randrange(0, 29)
    return _Booking(min(visit_day - rng.randrange(2, 21), -1), rng.randrange(8 * 3600, 18 * 3600), visit_day)


def _visit(rng: random.Random, number: int, today: date, booking: _Booking, enquiry: dict[str, Any]) -> dict[str, Any]:
    created = _text(_midnight(today) + timedelta(booking.booked_day, booking.booked_second))
    return {
        "_id": _identifier(_FIRST_VISIT + number),
        "care_enquiry": enquiry["_id"],
        "location": enquiry["location"],
        "assigned_to": enquiry["assigned_to"],
        "date_time": _text(_appointment(rng, today, booking.visit_day, _ZONES[enquiry["location"]])),
        "visit_type": rng.choices(["in_person", "virtual"], [4, 1])[0],
        "host": rng.choices(list(HOSTS), list(HOSTS.values()))[0],
        "notes": rng.choice(NOTES),
        "created": created,
        "modified": created,
    }


def _appointment(rng: random.Random, today: date, day: int, zone: ZoneInfo) -> datetime:
    at = datetime.combine(today + timedelta(day), time(rng.randrange(9, 17), rng.choice([0, 15, 30, 45])), zone)
    if at.weekday() != SUNDAY:
        return at
    return at - timedelta(1) if day < 0 else at + timedelta(1)


def _outcome(rng: random.Random, visit: dict[str, Any], today: date, *, past: bool) -> dict[str, str]:
    """End most of the past visits and a few of the coming ones."""
    chance, share = rng.random(), rng.uniform(0.1, 0.9)
    at, created = datetime.fromisoformat(visit["date_time"]), datetime.fromisoformat(visit["created"])
    if past and chance < 0.75:
        return dict.fromkeys(("completed", "modified"), _text(at + timedelta(hours=1)))
    if chance > 0.88:
        until = min(at, _midnight(today))
        return dict.fromkeys(("cancelled", "modified"), _text(created + share * (until - created)))
    return {}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
