"""One person's data: shown whole, told apart from others' by IDs alone, and erased."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, update

from storage.carehq.merging import Tally
from storage.database import Database, Wiped
from storage.errors import AmbiguousPerson, InvalidInput, LetterUnderWay, NobodyFound, PersonUnnamed, Problem
from storage.models import CareEnquiry, ServiceUserContact
from storage.outbox.messages import OutboxMessage
from storage.repository import HomeVisits
from storage.retention import erasing, wiping
from storage.retention.commands import erase_and_describe
from storage.retention.document import document_of
from storage.retention.erasing import erase
from storage.retention.finding import Person, PersonRequest, find_person
from tests.databases import engine_at
from tests.storage.carehq.taking import taken
from tests.storage.homes import (
    DAUGHTER,
    EVANS,
    FORGOTTEN,
    NOBODY,
    NOW,
    REID,
    STRANGER,
    Clock,
    booking,
    events_of,
    everything_in,
    keep,
    rows_of,
    visit,
)

ADA = "ada@family.example"
REIDS = Person(frozenset({REID}), frozenset())


async def test_all_that_is_kept_about_a_person_is_one_document(visits: HomeVisits, database: Database) -> None:
    booked = await visits.book(booking(notes="Ada is frail.", service_user_contact=DAUGHTER), idempotency_key="form-1")
    await visits.book(booking(care_enquiry=EVANS))

    document = json.loads(json.dumps(await document_of(database, await find_person(database, PersonRequest(f" {ADA.upper()}")))))

    assert document.keys() == {"care_enquiries", "contacts", "home_visits"}
    [enquiry], [contact], [shown] = document.values()
    assert (enquiry["id"], enquiry["first_name"], enquiry["email"]) == (REID, "Ada", ADA)
    assert (contact["id"], contact["first_name"], contact["care_enquiry"]) == (DAUGHTER, "Dora", REID)
    assert (shown["id"], shown["notes"], shown["date_time"]) == (booked.id, "Ada is frail.", "2024-11-03T11:00:00Z")
    assert [(event["type"], event["actor"], event["changes"]) for event in shown["events"]] == [("BOOKED", "clerk", [])]
    assert [(letter["status"], letter["address_now"], letter["created"]) for letter in shown["letters"]] == [
        ("QUEUED", ADA, "2024-10-20T09:30:00Z")
    ]
    assert shown["idempotency_keys"] == [{"subject": "clerk", "key": "form-1", "created": "2024-10-20T09:30:00Z"}]


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        (
            [CareEnquiry(id=EVANS[:-1] + "0", first_name="Ada", email=ADA)],
            (
                "One name has this email address, in 2 records. Name those that are meant, each by its own option:\n"
                "  --care-enquiry 300000000000000000000000: person 1\n"
                "  --care-enquiry 30000000000000000000000a: person 1"
            ),
        ),
        (
            [ServiceUserContact(id="4" * 24, first_name="Dora", email="ADA@family.example", care_enquiry=REID)],
            (
                "2 people, by their names, have this email address, in 2 records. Name those that are meant, each by its own "
                "option:\n"
                "  --care-enquiry 30000000000000000000000a: person 1\n"
                "  --contact 444444444444444444444444 (of care enquiry 30000000000000000000000a): person 2"
            ),
        ),
    ],
    ids=["one person with two enquiries", "two people with one address"],
)
async def test_several_records_with_one_address_are_told_apart_and_asked_for(
    database: Database, records: list[Any], sentence: str
) -> None:
    await keep(database, *[type(record)(**record.model_dump()) for record in records])

    with pytest.raises(AmbiguousPerson) as ambiguous:
        await find_person(database, PersonRequest(ADA))

    assert str(ambiguous.value) == sentence


@pytest.mark.parametrize(
    "request_",
    [PersonRequest("nobody@family.example"), PersonRequest(care_enquiries=[NOBODY]), PersonRequest(contacts=["Dora"])],
)
async def test_who_is_not_kept_is_not_found(database: Database, request_: PersonRequest) -> None:
    with pytest.raises(NobodyFound):
        await find_person(database, request_)


@pytest.mark.parametrize(
    "request_",
    [PersonRequest(), PersonRequest(ADA, [REID]), *map(PersonRequest, ("", "  ", "\u200b", "\u00ad \n"))],
)
async def test_who_is_not_named_clearly_is_nobody_also_where_addresses_are_blank(
    database: Database, request_: PersonRequest
) -> None:
    blank = enumerate(["", "  ", "\u200b", "\u00ad \n"])
    await keep(database, *[CareEnquiry(id=f"6{number:023x}", first_name="Eve", email=email) for number, email in blank])

    with pytest.raises(PersonUnnamed):
        await find_person(database, request_)


@pytest.mark.parametrize(
    ("email", "kept"),
    [
        ("anna\N{SUPERSCRIPT TWO}@family.example", "anna2@family.example"),
        ("stra\N{LATIN SMALL LETTER SHARP S}e@family.example", "strasse@family.example"),
        ("kim@family.example", "\N{KELVIN SIGN}im@family.example"),
        ("e\N{COMBINING ACUTE ACCENT}va@family.example", "\N{LATIN SMALL LETTER E WITH ACUTE}va@family.example"),
        ("an\u00adna@family.example", "anna@family.example"),
    ],
)
async def test_who_has_an_address_that_is_only_like_it_is_named_by_their_id(database: Database, email: str, kept: str) -> None:
    await keep(database, CareEnquiry(id="6" * 24, first_name="Anna", email=kept))

    with pytest.raises(AmbiguousPerson) as ambiguous:
        await find_person(database, PersonRequest(email))

    assert str(ambiguous.value) == (
        "One name has this email address or one like it, in 1 record. Name those that are meant, each by its own option:\n"
        f"  --care-enquiry {'6' * 24}: person 1"
    )


async def test_erasing_cancels_what_is_pending_and_wipes_all_of_it(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    ended = await visits.book(booking(notes="Ada is frail."))
    await visits.complete(ended.id)
    pending = await visits.book(booking(service_user_contact=DAUGHTER), idempotency_key="form-1")
    other = await visits.book(booking(care_enquiry=EVANS, notes="Somebody else"))
    clock.advance(minutes=1)

    erased = await erase(database, REIDS, clock, mail=tmp_path)

    assert (erased.cancelled, erased.wiped) == (1, Wiped(2, 1, 1))
    assert str(erased) == (
        "Cancelled 1 pending visit; wiped 2 visits, 1 care enquiry and 1 contact; removed 0 from the folder of letters."
    )
    rows = {row["id"]: row for row in rows_of(path, "home_visits")}
    assert [rows[id]["notes"] for id in (ended.id, pending.id, other.id)] == ["", "", "Somebody else"]
    assert rows[pending.id]["cancelled"] == rows[pending.id]["anonymized"] == "2024-10-20T09:31:00"
    assert (rows[pending.id]["service_user_contact"], rows[pending.id]["confirmation"]) == (None, "WITHDRAWN")
    events = [(event["type"], event["actor"]) for event in events_of(path) if event["home_visit"] == pending.id]
    assert events == [("BOOKED", "clerk"), ("CANCELLED", "erasure"), ("ANONYMIZED", "erasure")]
    assert rows_of(path, "idempotency_keys") == []
    assert "Ada" not in repr(everything_in(path))
    assert "Dora" not in repr(everything_in(path))
    with pytest.raises(InvalidInput):
        await visits.book(booking(service_user_contact=DAUGHTER), idempotency_key="form-1")


async def test_erasing_again_finds_nothing_and_changes_nothing(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await visits.book(booking())
    await erase(database, REIDS, clock, mail=tmp_path)
    before = everything_in(path)

    erased = await erase(database, REIDS, clock, mail=tmp_path)

    assert (erased.cancelled, erased.wiped) == (0, Wiped())
    assert everything_in(path) == before


async def test_erasing_a_contact_leaves_the_family_that_they_came_for(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    theirs = await visits.book(booking(service_user_contact=DAUGHTER, notes="Dora is late."))
    others = await visits.book(booking(notes="Ada comes alone."))

    erased = await erase(database, Person(frozenset(), frozenset({DAUGHTER})), clock, mail=tmp_path)

    assert (erased.cancelled, erased.wiped) == (1, Wiped(1, 0, 1))
    rows = {row["id"]: row for row in rows_of(path, "home_visits")}
    assert (rows[theirs.id]["notes"], rows[others.id]["notes"], rows[others.id]["cancelled"]) == ("", "Ada comes alone.", None)
    assert next(row for row in rows_of(path, "care_enquiries") if row["id"] == REID)["first_name"] == "Ada"


async def test_nobody_is_erased_while_a_letter_to_them_is_on_its_way(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(erasing, "MAX_RETRIES", 2)
    await visits.book(booking())

    def lease(session: Session) -> None:
        session.exec(update(OutboxMessage).values(leased_until=clock() + timedelta(seconds=30)))

    await database.write(lease)
    before = everything_in(path)

    with pytest.raises(LetterUnderWay):
        await erase(database, REIDS, clock, mail=tmp_path)

    assert everything_in(path) == before


async def test_an_import_brings_nobody_back_who_was_wiped(database: Database, clock: Clock, path: Path, tmp_path: Path) -> None:
    await erase(database, Person(frozenset({REID}), frozenset({STRANGER})), clock, mail=tmp_path)
    before = everything_in(path)
    enquiry = {"_id": REID, "first_name": "Ada", "email": ADA}
    # The enquiry of this one is not wiped.
    contact = {"_id": STRANGER, "first_name": "Sam", "care_enquiry": EVANS}

    tallies = await taken(database, tmp_path, care_enquiries=[enquiry], service_user_contacts=[contact])

    assert tallies == dict.fromkeys(tallies, Tally(unchanged=1))
    assert everything_in(path) == before


async def test_the_letters_of_a_person_are_removed_from_the_folder(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await visits.book(booking())
    await visits.book(booking(care_enquiry=EVANS))
    await visits.book(booking(care_enquiry="30000000000000000000000c"))
    theirs, others = (row["id"] for row in rows_of(path, "outbox_messages"))
    mail = tmp_path / "mail"
    mail.mkdir()
    for name in (f"{theirs}.eml", f"{theirs}.part", f"{others}.eml", "readme.eml"):
        (mail / name).write_text("To: Ada")

    erased = await erase(database, REIDS, clock, mail=mail)

    assert erased.letters == 1
    assert sorted(file.name for file in mail.iterdir()) == sorted([f"{others}.eml", "readme.eml"])


async def test_who_came_along_goes_with_a_person_unless_they_have_a_family_or_another_visit_needs_them(
    database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    alone, needed, other, wiped_family = (f"7{number:023x}" for number in range(4))
    families = {alone: None, needed: REID, other: EVANS, wiped_family: FORGOTTEN}
    await keep(database, *[ServiceUserContact(id=id, first_name="Sam", care_enquiry=of) for id, of in families.items()])
    came = [visit(number, care_enquiry=REID, service_user_contact=id) for number, id in enumerate(families)]
    await keep(database, *came, visit(9, care_enquiry=EVANS, service_user_contact=needed))

    document = await document_of(database, REIDS)
    erased = await erase(database, REIDS, clock, mail=tmp_path)

    assert {contact["id"] for contact in document["contacts"]} == {DAUGHTER, *families}
    assert (erased.cancelled, erased.wiped) == (4, Wiped(4, 1, 3))
    names = {row["id"]: row["first_name"] for row in rows_of(path, "service_user_contacts")}
    assert [names[id] for id in families] == [None, "Sam", "Sam", None]
    assert names[DAUGHTER] is None


async def test_a_contact_who_was_wiped_cannot_be_booked_with(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await erase(database, Person(frozenset(), frozenset({DAUGHTER})), clock, mail=tmp_path)
    before = everything_in(path)

    with pytest.raises(InvalidInput) as refused:
        await visits.book(booking(service_user_contact=DAUGHTER))

    message = "This contact has been anonymized. Choose a current one."
    assert refused.value.problems == (Problem("service_user_contact", "INVALID", message),)
    assert everything_in(path) == before


@pytest.mark.parametrize("is_readable", [True, False])
async def test_it_is_not_said_that_files_were_cleared_which_could_not_be(
    is_readable: bool, database: Database, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if not is_readable:
        (tmp_path / "mail").touch()

    with pytest.raises(NobodyFound) as nobody:
        await erase_and_describe(database, PersonRequest("nobody@family.example"), clock)

    assert ("was removed from files all the same" in str(nobody.value)) == is_readable
    assert ("may hold what was wiped" in str(nobody.value)) != is_readable


@pytest.mark.postgresql  # SQLite has one writer
@pytest.mark.parametrize("commits", [True, False])
async def test_who_is_just_booked_with_is_erased_with_that_visit(
    commits: bool, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    engine = engine_at(path)
    with Session(engine) as session:
        session.add(visit(1, care_enquiry=REID, service_user_contact=DAUGHTER, notes="Dora is late."))
        session.flush()
        erasing_her = asyncio.create_task(erase(database, Person(frozenset(), frozenset({DAUGHTER})), clock, mail=tmp_path))
        await asyncio.sleep(0.3)
        is_waiting = not erasing_her.done()
        await asyncio.to_thread(session.commit if commits else session.rollback)
    erased = await erasing_her
    engine.dispose()

    assert is_waiting
    assert (erased.cancelled, erased.wiped) == (1, Wiped(1, 0, 1)) if commits else (0, Wiped(0, 0, 1))
    rows = [(row["notes"], row["service_user_contact"], row["cancelled"] is None) for row in rows_of(path, "home_visits")]
    assert rows == ([("", None, False)] if commits else [])


@pytest.mark.postgresql  # SQLite has one writer
async def test_who_books_with_a_contact_that_is_just_wiped_is_refused(visits: HomeVisits, database: Database, path: Path) -> None:
    engine = engine_at(path)
    with Session(engine) as session:
        wiping.wipe_contacts(session, wiping.lock_contacts(session, {DAUGHTER}), NOW)
        session.flush()
        booked = asyncio.create_task(visits.book(booking(service_user_contact=DAUGHTER)))
        await asyncio.sleep(0.3)
        is_waiting = not booked.done()
        await asyncio.to_thread(session.commit)
    engine.dispose()

    assert is_waiting
    with pytest.raises(InvalidInput):
        await booked
    assert rows_of(path, "home_visits") == []
