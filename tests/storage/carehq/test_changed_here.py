"""An import leaves what was changed or anonymized here as it is, and mail is told what it changes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.carehq.merging import Tally
from storage.database import Database
from storage.repository import HomeVisits
from storage.retention.marks import unpurged
from tests.databases import path_of
from tests.storage.carehq.taking import CONTACT, ENQUIRY, LATER, LOCATION, VISIT, change, contact, enquiry, give, taken, visit
from tests.storage.homes import EVERYTHING, Clock, booking, everything_in, rows_of


async def test_a_visit_that_was_changed_here_is_left_until_the_source_has_a_newer_one(database: Database, tmp_path: Path) -> None:
    clock = Clock()
    clock.now = datetime(2024, 11, 1, 20, tzinfo=UTC)
    await taken(database, tmp_path, home_visits=[visit()])
    await HomeVisits(database, EVERYTHING, clock).update(VISIT, {"notes": "Changed here"})

    older = await taken(database, tmp_path, home_visits=[visit(modified="2024-11-01 19:00:00", notes="Changed there")])
    newer = await taken(database, tmp_path, home_visits=[visit(modified="2024-11-01 21:00:00", notes="Changed there")])

    assert (older, newer) == ({"home_visits": Tally(unchanged=1)}, {"home_visits": Tally(updated=1)})
    (row,) = rows_of(path_of(database), "home_visits")
    assert (row["notes"], row["version"]) == ("Changed there", 3)


async def test_what_was_anonymized_here_is_not_brought_back(database: Database, tmp_path: Path) -> None:
    documents = {"care_enquiries": [enquiry()], "service_user_contacts": [contact()], "home_visits": [visit(notes="Private")]}
    await taken(database, tmp_path, **documents)
    await change(database, "UPDATE home_visits SET notes = '', notes_folded = '', anonymized = '2024-11-01T17:00:00'")
    await change(database, "UPDATE care_enquiries SET first_name = NULL, email = NULL, anonymized = '2024-11-01T17:00:00'")
    await change(database, "UPDATE service_user_contacts SET first_name = NULL")
    before = everything_in(path_of(database))

    tallies = await taken(
        database, tmp_path, **documents | {"home_visits": [visit(notes="Private", modified="2025-01-01 00:00:00")]}
    )

    assert tallies == {kind: Tally(unchanged=1) for kind in documents}
    assert everything_in(path_of(database)) == before


async def test_a_contact_of_an_anonymized_enquiry_is_not_brought_back_under_another(database: Database, tmp_path: Path) -> None:
    await taken(database, tmp_path, care_enquiries=[enquiry()], service_user_contacts=[contact(first_name=None)])
    await change(database, "UPDATE care_enquiries SET anonymized = '2024-11-01T17:00:00'")
    before = everything_in(path_of(database))

    tallies = await taken(database, tmp_path, service_user_contacts=[contact(care_enquiry=24 * "9")])

    assert tallies == {"service_user_contacts": Tally(unchanged=1)}
    assert everything_in(path_of(database)) == before


@pytest.mark.parametrize("contact_alone", [False, True])
async def test_a_new_visit_of_who_was_wiped_comes_without_what_it_says_of_them(
    contact_alone: bool, database: Database, tmp_path: Path
) -> None:
    await taken(database, tmp_path, care_enquiries=[enquiry()], service_user_contacts=[contact()])
    wiped = "service_user_contacts" if contact_alone else "care_enquiries"
    await change(database, f"UPDATE {wiped} SET first_name = NULL, email = NULL, anonymized = '2024-11-01T17:00:00'")  # noqa: S608 - our own name
    document = visit(notes="Ada is frail.", service_user_contact=CONTACT)

    first = await taken(database, tmp_path, home_visits=[document])
    before = everything_in(path_of(database))
    again = await taken(database, tmp_path, home_visits=[document])

    assert (first, again) == ({"home_visits": Tally(new=1)}, {"home_visits": Tally(unchanged=1)})
    assert everything_in(path_of(database)) == before
    (row,) = rows_of(path_of(database), "home_visits")
    assert (row["notes"], row["notes_folded"], row["service_user_contact"], row["anonymized"]) == ("", "", None, None)
    newer = await taken(database, tmp_path, home_visits=[document | {"completed": LATER, "modified": LATER}])
    (row,) = rows_of(path_of(database), "home_visits")
    assert (newer, row["notes"], row["service_user_contact"]) == ({"home_visits": Tally(updated=1)}, "", None)


async def test_what_the_source_has_anonymized_is_kept_without_what_it_says_of_people(database: Database, tmp_path: Path) -> None:
    wiped = {"anonymized": LATER}
    documents = {
        "care_enquiries": [enquiry(**wiped)],
        "home_visits": [visit(**wiped, notes="Frail", service_user_contact=CONTACT)],
    }

    await taken(database, tmp_path, **documents)

    (row,), (person,) = rows_of(path_of(database), "home_visits"), rows_of(path_of(database), "care_enquiries")
    assert (row["notes"], row["notes_folded"], row["service_user_contact"]) == ("", "", None)
    assert (person["first_name"], person["email"], person["search_folded"]) == (None, None, "")


async def test_the_source_takes_away_what_is_kept_of_a_contact_whose_enquiry_it_has_anonymized(
    database: Database, tmp_path: Path
) -> None:
    await taken(database, tmp_path, care_enquiries=[enquiry()], service_user_contacts=[contact(phone="020 7946 0000")])
    await taken(database, tmp_path, care_enquiries=[enquiry(first_name=None, email=None, anonymized=LATER)])

    partly = await taken(database, tmp_path, service_user_contacts=[contact()])
    wholly = await taken(database, tmp_path, service_user_contacts=[contact(first_name=None)])
    late = await taken(database, tmp_path, service_user_contacts=[contact()])

    assert [list(tallies.values()) for tallies in (partly, wholly, late)] == [
        [Tally(unchanged=1)],
        [Tally(updated=1)],
        [Tally(unchanged=1)],
    ]
    (row,) = rows_of(path_of(database), "service_user_contacts")
    assert (row["first_name"], row["phone"], row["search_folded"]) == (None, None, "")


async def test_a_wiped_enquiry_stays_so_whatever_the_source_takes_away(database: Database, tmp_path: Path) -> None:
    await taken(database, tmp_path, care_enquiries=[enquiry()])
    await change(database, "UPDATE care_enquiries SET first_name = NULL, email = NULL, anonymized = '2024-11-01T17:00:00'")
    before = everything_in(path_of(database))

    tallies = await taken(database, tmp_path, care_enquiries=[enquiry(first_name=None, email=None)])

    assert tallies == {"care_enquiries": Tally(unchanged=1)}
    assert everything_in(path_of(database)) == before


@pytest.mark.parametrize(
    ("changes", "confirmation"),
    [
        ({"notes": "Bring a coat."}, "QUEUED"),
        ({"date_time": "2024-11-03 11:00:01"}, "WITHDRAWN"),
        ({"cancelled": LATER}, "WITHDRAWN"),
        ({"completed": LATER}, "WITHDRAWN"),
        ({"anonymized": LATER}, "WITHDRAWN"),
    ],
)
async def test_an_update_withdraws_mail_that_it_makes_stale(
    database: Database, tmp_path: Path, changes: dict[str, str], confirmation: str
) -> None:
    await taken(database, tmp_path, care_enquiries=[enquiry(location=LOCATION)])
    booked = await HomeVisits(database, EVERYTHING, Clock()).book(booking(care_enquiry=ENQUIRY))
    (exported,) = await give(database)

    await taken(database, tmp_path, home_visits=[exported | changes | {"modified": LATER}])

    (row,), (message,) = rows_of(path_of(database), "home_visits"), rows_of(path_of(database), "outbox_messages")
    assert (row["id"], row["confirmation"], message["status"]) == (booked.id, confirmation, confirmation)


async def test_the_news_that_a_visit_is_cancelled_goes_out_though_the_source_has_cancelled_it_at_another_second(
    database: Database, tmp_path: Path
) -> None:
    await taken(database, tmp_path, care_enquiries=[enquiry(location=LOCATION)])
    visits = HomeVisits(database, EVERYTHING, Clock())
    booked = await visits.book(booking(care_enquiry=ENQUIRY))
    await change(database, "UPDATE outbox_messages SET status = 'SENT'")
    await visits.cancel(booked.id, notify_care_seeker=True)
    (exported,) = await give(database)

    await taken(database, tmp_path, home_visits=[exported | {"cancelled": LATER, "modified": LATER}])
    again = [message["status"] for message in rows_of(path_of(database), "outbox_messages")]
    await taken(database, tmp_path, home_visits=[exported | {"cancelled": None, "modified": "2024-11-03 08:00:00"}])

    assert again == ["SENT", "QUEUED"]
    assert [message["status"] for message in rows_of(path_of(database), "outbox_messages")] == ["SENT", "WITHDRAWN"]


@pytest.mark.parametrize("milliseconds", [0, 1, 999])
async def test_a_visit_that_was_booked_here_comes_back_unchanged(database: Database, tmp_path: Path, milliseconds: int) -> None:
    clock = Clock()
    clock.advance(milliseconds=milliseconds)
    await taken(database, tmp_path, care_enquiries=[enquiry(location=LOCATION)])
    await HomeVisits(database, EVERYTHING, clock).book(booking(care_enquiry=ENQUIRY, notes="Booked here"))
    before = everything_in(path_of(database))

    tallies = await taken(
        database, tmp_path, home_visits=await give(database), care_enquiries=await give(database, "care_enquiries")
    )

    assert tallies == {"care_enquiries": Tally(unchanged=1), "home_visits": Tally(unchanged=1)}
    assert everything_in(path_of(database)) == before


async def test_a_visit_that_was_changed_here_within_a_second_of_its_export_is_left(database: Database, tmp_path: Path) -> None:
    clock = Clock()
    await taken(database, tmp_path, care_enquiries=[enquiry(location=LOCATION)])
    visits = HomeVisits(database, EVERYTHING, clock)
    booked = await visits.book(booking(care_enquiry=ENQUIRY))
    exported = await give(database)
    clock.advance(milliseconds=500)
    await visits.update(booked.id, {"notes": "Changed here"})
    before = everything_in(path_of(database))

    tallies = await taken(database, tmp_path, home_visits=exported)

    assert tallies == {"home_visits": Tally(unchanged=1)}
    assert everything_in(path_of(database)) == before


async def test_instants_that_were_kept_finer_than_an_export_has_them_are_nothing_new(database: Database, tmp_path: Path) -> None:
    await taken(database, tmp_path, home_visits=[visit(created="2024-11-01 16:03:33.250", completed="2024-11-01 16:03:33.999")])
    before = everything_in(path_of(database))

    tallies = await taken(database, tmp_path, home_visits=await give(database))

    assert tallies == {"home_visits": Tally(unchanged=1)}
    assert everything_in(path_of(database)) == before


async def test_what_the_source_anonymizes_leaves_nothing_beside_it(database: Database, tmp_path: Path) -> None:
    """Files are purged after it by the next server or `anonymize`, which the mark tells of it."""
    await taken(database, tmp_path, care_enquiries=[enquiry(location=LOCATION)])
    booked = await HomeVisits(database, EVERYTHING, Clock()).book(booking(care_enquiry=ENQUIRY), idempotency_key="of her name")
    assert rows_of(path_of(database), "unpurged_wipes") == []

    anonymized = visit(_id=booked.id, modified="2030-01-01 00:00:00", anonymized="2030-01-01 00:00:00")
    await taken(database, tmp_path, home_visits=[anonymized])

    assert rows_of(path_of(database), "idempotency_keys") == []
    assert len(rows_of(path_of(database), "unpurged_wipes")) == 1


@pytest.mark.parametrize(
    ("documents", "marks"),
    [
        ({"service_user_contacts": [contact(first_name=None)]}, 1),
        ({"care_enquiries": [enquiry(first_name=None, email=None)]}, 1),
        ({"care_enquiries": [enquiry(email=None)]}, 0),
        ({"home_visits": [visit(modified=LATER, service_user_contact="7" * 24)]}, 1),
        ({"home_visits": [visit(modified=LATER, notes="")]}, 0),
    ],
    ids=["a contact", "an enquiry", "an address", "notes of a contact who was wiped", "notes"],
)
async def test_what_the_source_has_blanked_is_to_be_purged_from_files(
    documents: dict[str, list[dict[str, object]]], marks: int, database: Database, tmp_path: Path
) -> None:
    wiped = [contact(_id="7" * 24)]
    first = visit(notes="Ada is frail.", service_user_contact=CONTACT)
    await taken(database, tmp_path, care_enquiries=[enquiry()], service_user_contacts=[contact(), *wiped], home_visits=[first])
    await change(database, f"UPDATE service_user_contacts SET anonymized = '2024-11-01T17:00:00' WHERE id = '{'7' * 24}'")  # noqa: S608 - our own
    before = await unpurged(database)

    await taken(database, tmp_path, **documents)

    assert (before, len(await unpurged(database))) == ([], marks)
