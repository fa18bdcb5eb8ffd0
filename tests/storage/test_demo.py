"""Made-up visits: enough of every sort, around today, and never beside real ones."""

import asyncio
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import SQLModel

from storage import demo
from storage.caller import Caller, Role
from storage.database import Database
from storage.demo import demo_documents, fill_with_demo
from storage.errors import DatabaseUnusable
from storage.models import CareEnquiry, HomeVisitStatus, Location, ServiceUserContact, User
from storage.queries.paging import Window
from storage.repository import HomeVisits
from tests.databases import copied, database_at, migrate, path_of
from tests.storage.homes import EVERYTHING, NOBODY, booking, events_of, everything_in, keep, rows_of

NOW = datetime(2026, 7, 15, 14, 23, 45, 678_000, tzinfo=UTC)
DAYS = [date(2026, 7, 15) + timedelta(days) for days in range(0, 366, 13)]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "home_visits.db"
    migrate(path)
    return path


@pytest.fixture
def path(empty: Path, tmp_path: Path) -> Path:
    return copied(empty, tmp_path / "home_visits.db")


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_an_empty_database_is_filled(database: Database) -> None:
    filled = await fill_with_demo(database, NOW)

    counts = {table: len(rows) for table, rows in everything_in(path_of(database)).items()}
    assert filled is True
    assert counts == {
        "alembic_version": 1,
        "api_keys": 0,
        "care_enquiries": 150,
        "carehq_account": 0,
        "carehq_intents": 0,
        "carehq_walks": 0,
        "home_visit_events": 300,
        "home_visits": 300,
        "idempotency_keys": 0,
        "locations": 6,
        "notes_refolding": 0,
        "outbox_messages": 0,
        "service_user_contacts": 70,
        "sightings": 0,
        "unpurged_wipes": 0,
        "used_nonces": 0,
        "users": 8,
    }


async def test_each_visit_has_the_event_of_its_import(database: Database) -> None:
    await fill_with_demo(database, NOW)

    events = events_of(path_of(database))

    assert {(event["type"], event["actor"], event["at"], event["version"]) for event in events} == {
        ("IMPORTED", "import", "2026-07-15T14:23:45.678", 1)
    }
    assert [event["home_visit"] for event in events] == [row["id"] for row in rows_of(path_of(database), "home_visits")]


async def test_there_is_what_a_booking_form_chooses_from(database: Database) -> None:
    await fill_with_demo(database, NOW)

    enquiries, visits, users, contacts = (
        rows_of(path_of(database), table) for table in ("care_enquiries", "home_visits", "users", "service_user_contacts")
    )
    booked = {visit["care_enquiry"] for visit in visits}
    unbooked = {enquiry["id"] for enquiry in enquiries} - booked
    assert (len(unbooked), len({contact["care_enquiry"] for contact in contacts} & unbooked)) == (21, 8)
    assert all(user["location_role"] and user["locations"] for user in users)
    assert [user["last_name"] for user in users if user["suspended"]] == ["Price"]
    assert all(row["name_folded"].startswith("0") and row["search_folded"] for row in [*enquiries, *users])


async def test_a_second_time_changes_nothing(database: Database) -> None:
    await fill_with_demo(database, NOW)
    before = everything_in(path_of(database))

    filled = await fill_with_demo(database, NOW + timedelta(days=1))

    assert filled is False
    assert everything_in(path_of(database)) == before


@pytest.mark.parametrize(
    "record",
    [User(id=NOBODY), Location(id=NOBODY), CareEnquiry(id=NOBODY), ServiceUserContact(id=NOBODY)],
    ids=lambda r: type(r).__name__,
)
async def test_a_database_that_holds_anything_else_is_refused_and_left_as_it_is(database: Database, record: SQLModel) -> None:
    await keep(database, type(record)(**record.model_dump()))
    before = everything_in(path_of(database))

    with pytest.raises(DatabaseUnusable) as refused:
        await fill_with_demo(database, NOW)

    assert str(refused.value) == (
        f"{database} holds what is not made up: leave out --demo, or set HOME_VISITS_DATABASE_URL to a new file."
    )
    assert everything_in(path_of(database)) == before


async def test_a_demo_that_was_used_is_still_one(database: Database) -> None:
    await fill_with_demo(database, NOW)
    await keep(database, User(id=NOBODY, first_name="Amy"))
    await HomeVisits(database, EVERYTHING, lambda: NOW).book(booking(care_enquiry=demo.CARE_ENQUIRY))
    before = everything_in(path_of(database))

    filled = await fill_with_demo(database, NOW)

    assert filled is False
    assert everything_in(path_of(database)) == before


async def test_of_two_servers_that_start_at_once_one_fills(database: Database, path: Path) -> None:
    beside = await database_at(path).open()

    filled = await asyncio.gather(fill_with_demo(database, NOW), fill_with_demo(beside, NOW))
    await beside.close()

    assert sorted(filled) == [False, True]
    assert len(rows_of(path, "home_visits")) == 300


def test_the_same_day_has_the_same_visits() -> None:
    assert demo_documents(DAYS[0]) == demo_documents(DAYS[0])


def test_from_day_to_day_only_the_dates_of_visits_move() -> None:
    def without_dates(document: dict[str, Any]) -> dict[str, Any]:
        dates = {"created", "modified", "date_time", "cancelled", "completed"}
        return {name: name if name in dates else value for name, value in document.items()}

    worlds = [{kind: [*map(without_dates, documents)] for kind, documents in demo_documents(day).items()} for day in DAYS]

    assert worlds == [worlds[0]] * len(DAYS)


def test_everything_is_marked_as_made_up() -> None:
    documents = demo_documents(NOW.date())

    assert all(location["name"].endswith(" (demo)") for location in documents["locations"])
    addresses = [document.get("email") for kind in documents.values() for document in kind]
    assert all(re.fullmatch(r"[a-zé.]+@(homes|family)\.example", address) for address in addresses if address)
    phones = [document.get("phone") for kind in documents.values() for document in kind]
    # Numbers that Ofcom and ComReg keep for fiction.
    assert all(re.fullmatch(r"\+44 1632 960\d{3}|\+353 20 910 \d{4}", phone) for phone in phones if phone)


def test_ids_are_in_the_order_of_booking() -> None:
    for day in DAYS:
        visits = demo_documents(day)["home_visits"]
        assert [visit["_id"] for visit in visits] == sorted(visit["_id"] for visit in visits)
        assert [visit["created"] for visit in visits] == sorted(visit["created"] for visit in visits)


def test_no_id_is_given_twice() -> None:
    ids = [document["_id"] for documents in demo_documents(NOW.date()).values() for document in documents]

    assert len(ids) == len(set(ids)) == 534


def test_past_visits_are_mostly_over_and_coming_ones_mostly_pending() -> None:
    for day in DAYS:
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        fates = Counter(
            (instant(visit["date_time"]) < midnight, "cancelled" in visit, "completed" in visit)
            for visit in demo_documents(day)["home_visits"]
        )
        assert fates == {
            (True, False, True): 143,
            (True, True, False): 23,
            (True, False, False): 21,
            (False, False, False): 99,
            (False, True, False): 14,
        }


def test_nothing_has_happened_that_lies_ahead() -> None:
    for day in DAYS:
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for visit in demo_documents(day)["home_visits"]:
            ended = visit.get("cancelled") or visit.get("completed") or visit["created"]
            assert visit["modified"] == ended
            assert instant(visit["created"]) <= instant(ended) < midnight
            assert instant(visit["created"]) < instant(visit["date_time"])


def test_visits_are_in_working_hours_where_they_take_place() -> None:
    zones = {location["_id"]: ZoneInfo(location["time_zone"]) for location in demo_documents(NOW.date())["locations"]}

    for day in DAYS:
        for visit in demo_documents(day)["home_visits"]:
            local = instant(visit["date_time"]).astimezone(zones[visit["location"]])
            assert (9 <= local.hour <= 16, local.minute % 15, local.weekday() < 6) == (True, 0, True)


def test_references_hold() -> None:
    documents = demo_documents(NOW.date())
    enquiries = {enquiry["_id"]: enquiry for enquiry in documents["care_enquiries"]}
    contacts = {contact["_id"]: contact for contact in documents["service_user_contacts"]}

    for visit in documents["home_visits"]:
        enquiry = enquiries[visit["care_enquiry"]]
        contact = contacts.get(visit.get("service_user_contact"))
        assert (visit["location"], visit["assigned_to"]) == (enquiry["location"], enquiry["assigned_to"])
        assert contact is None or contact["care_enquiry"] == enquiry["_id"]


async def test_what_examples_name_is_there(database: Database) -> None:
    await fill_with_demo(database, NOW)
    visits = HomeVisits(database, EVERYTHING, lambda: NOW)

    visit = await visits.get(demo.PENDING_VISIT)

    assert visit is not None
    assert (visit.status, visit.care_enquiry, visit.location) == (HomeVisitStatus.PENDING, demo.CARE_ENQUIRY, demo.LOCATION)
    assert visit.assigned_to == demo.USER
    assert visit.date_time.date() == date(2026, 7, 16)


async def test_the_ids_of_examples_do_not_change() -> None:
    assert (demo.LOCATION, demo.USER, demo.CARE_ENQUIRY, demo.PENDING_VISIT) == (
        "6724fb00de305d5479637800",
        "67250976de305d5479637806",
        "67251cbede305d547963780e",
        "6729ff9dde305d5479637a15",
    )


async def test_a_demo_can_be_booked_in_and_seen_by_location(database: Database) -> None:
    await fill_with_demo(database, NOW)
    caller = Caller("clerk", frozenset({Role.COORDINATOR}), frozenset({demo.LOCATION}))
    visits = HomeVisits(database, caller, lambda: NOW)

    booked = await visits.book(booking(care_enquiry=demo.CARE_ENQUIRY))
    page = await visits.page({"care_enquiry": [demo.CARE_ENQUIRY]}, [("id", True)], Window.of(1, None, None, None))

    assert [visit.id for visit in page.nodes] == [booked.id]
