"""Which records a caller sees by ID alone, and what is shown of those that a visit refers to."""

import pytest

from storage.caller import Caller
from storage.database import Database
from storage.models import Location, ServiceUserContact, User
from storage.queries.references import Kind
from storage.references import References
from tests.storage.homes import (
    ALICE,
    BOB,
    DAUGHTER,
    EVANS,
    EVERYTHING,
    FORGOTTEN,
    FROST,
    HOMELESS,
    NOBODY,
    NOW,
    REID,
    ROWAN,
    SON,
    STRANGER,
    WILLOW,
    keep,
    limited_to,
    visit,
)

IDS: dict[Kind, list[str]] = {
    "care_enquiry": [REID, EVANS, FROST, HOMELESS, FORGOTTEN],
    "location": [WILLOW, ROWAN],
    "user": [ALICE, BOB],
    "service_user_contact": [DAUGHTER, SON, STRANGER],
}


async def seen(database: Database, caller: Caller) -> dict[Kind, list[str]]:
    """Return what the caller sees by ID of all that there is."""
    references = References(database, caller, "Europe/London")
    return {kind: sorted(await references.load_visible(kind, [*ids, NOBODY])) for kind, ids in IDS.items()}


async def test_whoever_sees_every_location_sees_everything(database: Database) -> None:
    assert await seen(database, EVERYTHING) == IDS


async def test_without_visits_a_location_shows_its_enquiries_and_their_contacts(database: Database) -> None:
    assert await seen(database, limited_to(WILLOW)) == {
        "care_enquiry": [REID, EVANS, FORGOTTEN],
        "location": [WILLOW],
        "user": [ALICE],
        "service_user_contact": [DAUGHTER],
    }


async def test_a_visit_in_sight_shows_what_it_refers_to(database: Database) -> None:
    await keep(
        database,
        visit(1, location=WILLOW, care_enquiry=FROST, assigned_to=BOB, service_user_contact=STRANGER),
        visit(2, location=ROWAN, care_enquiry=HOMELESS, assigned_to=ALICE, service_user_contact=SON),
    )

    assert await seen(database, limited_to(WILLOW)) == {
        "care_enquiry": [REID, EVANS, FROST, FORGOTTEN],
        "location": [WILLOW],
        "user": [ALICE, BOB],
        "service_user_contact": [DAUGHTER, SON, STRANGER][0::2],
    }
    assert await seen(database, limited_to(ROWAN)) == {
        "care_enquiry": [FROST, HOMELESS],
        "location": [ROWAN],
        "user": [ALICE, BOB],
        "service_user_contact": [SON],
    }


@pytest.mark.parametrize(
    "caller",
    [limited_to(), limited_to(NOBODY), limited_to("\0", "\ud800", WILLOW + "\0", "%")],
    ids=["no location", "an unknown location", "no IDs"],
)
async def test_whoever_sees_no_location_sees_nothing(database: Database, caller: Caller) -> None:
    await keep(database, visit(1, assigned_to=BOB))

    assert await seen(database, caller) == {kind: [] for kind in IDS}


async def test_what_a_visit_in_sight_refers_to_is_shown_with_its_details(database: Database) -> None:
    references = References(database, limited_to(ROWAN), "Europe/Paris")

    users = await references.load_referenced("user", [ALICE])
    locations = await references.load_referenced("location", [WILLOW, ROWAN])
    enquiries = await references.load_referenced("care_enquiry", [REID, FORGOTTEN])
    contacts = await references.load_referenced("service_user_contact", [DAUGHTER])

    assert (users[ALICE].first_name, users[ALICE].email) == ("Alice", None)
    assert {id: (location.name, location.time_zone) for id, location in locations.items()} == {
        WILLOW: ("Willow Court", "Europe/London"),
        ROWAN: (None, "Europe/Paris"),
    }
    assert (enquiries[REID].email, enquiries[REID].assigned_to, enquiries[REID].location) == ("ada@family.example", ALICE, WILLOW)
    assert enquiries[FORGOTTEN].anonymized == NOW
    assert (contacts[DAUGHTER].first_name, contacts[DAUGHTER].care_enquiry) == ("Dora", REID)


@pytest.mark.sqlite  # elsewhere nothing is remembered
async def test_a_location_without_a_time_zone_is_not_remembered_with_that_of_another_server(database: Database) -> None:
    in_paris, in_london = (References(database, EVERYTHING, f"Europe/{city}") for city in ("Paris", "London"))
    await in_paris.load_referenced("location", [ROWAN])

    remembered = [references.cached("location", [ROWAN]).keys() for references in (in_paris, in_london)]
    found = await in_london.load_referenced("location", [ROWAN])

    assert remembered == [{ROWAN}, set()]
    assert found[ROWAN].time_zone == "Europe/London"


async def test_many_are_read_by_one_statement(database: Database) -> None:
    await keep(database, *(User(id=f"9{number:023x}") for number in range(300)))
    references = References(database, EVERYTHING, "Europe/London")
    ids = [f"9{number:023x}" for number in range(300)]

    found = await references.load_referenced("user", ids)

    assert (list(found), database.statement_count) == (ids, 1)


@pytest.mark.parametrize(
    "id", ["", "\0", "\ud800", WILLOW + "\0", WILLOW.upper(), "'", "[", "x" * 100_000], ids=lambda text: ascii(text[:30])
)
async def test_what_is_no_id_is_unknown(database: Database, id: str) -> None:
    for caller in (EVERYTHING, limited_to(WILLOW)):
        references = References(database, caller, "Europe/London")

        assert id not in await references.load_visible("location", [id])
        assert id not in await references.load_referenced("location", [id, WILLOW])


async def test_scope_may_be_of_more_than_250_locations(database: Database) -> None:
    many = [f"9{number:023x}" for number in range(300)]
    await keep(database, *(Location(id=location) for location in many))
    await keep(database, visit(1, location=many[299]), ServiceUserContact(id="4" * 24))

    assert (await seen(database, limited_to(*many)))["care_enquiry"] == [EVANS]
