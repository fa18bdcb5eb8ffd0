"""What meets a wipe in the middle, as imports do, waits for it and brings back nothing."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, update

from storage.carehq.merging import Tally
from storage.database import Database
from storage.models import HomeVisit, NotesRefolding, ServiceUserContact
from storage.refolding import refold_all_notes
from storage.retention import wiping
from tests.databases import engine_at
from tests.storage.carehq.taking import CONTACT, ENQUIRY, contact, enquiry, taken, visit
from tests.storage.homes import EVANS, NOW, keep, rows_of, visit_id
from tests.storage.homes import visit as booked

pytestmark = pytest.mark.postgresql  # SQLite has one writer


def wipe_contact(session: Session) -> None:
    wiping.wipe_contacts(session, wiping.lock_contacts(session, {CONTACT}), NOW)


def wipe_enquiry(session: Session) -> None:
    wiping.wipe_enquiries(session, wiping.lock_enquiries(session, {ENQUIRY}), NOW)


@pytest.mark.parametrize(
    ("wipe", "documents"),
    [
        (wipe_contact, {"home_visits": [visit(notes="Frail", service_user_contact=CONTACT)]}),
        (wipe_enquiry, {"home_visits": [visit(notes="Frail", service_user_contact=CONTACT)]}),
        (wipe_enquiry, {"service_user_contacts": [contact(first_name="Frail")]}),
    ],
    ids=["a visit of a contact", "a visit of an enquiry", "a contact that is moved"],
)
async def test_what_is_just_being_wiped_is_not_brought_back(
    wipe: Callable[[Session], None], documents: dict[str, Any], database: Database, path: Path, tmp_path: Path
) -> None:
    of_evans = [contact(care_enquiry=EVANS)]
    await taken(database, tmp_path, care_enquiries=[enquiry()], service_user_contacts=of_evans)
    engine = engine_at(path)
    with Session(engine) as session:
        wipe(session)
        session.flush()
        importing = asyncio.create_task(taken(database, tmp_path, **documents))
        await asyncio.sleep(0.3)
        is_waiting = not importing.done()
        await asyncio.to_thread(session.commit)
    await importing
    engine.dispose()

    assert is_waiting
    assert "Frail" not in repr(rows_of(path, "home_visits") + rows_of(path, "service_user_contacts"))


async def test_notes_that_are_just_being_wiped_are_not_folded_anew(database: Database, path: Path) -> None:
    old = booked(1, notes="Frail", notes_folded="folded before")
    await keep(database, old, booked(2, notes="Plain", notes_folded="folded before"), NotesRefolding())
    engine = engine_at(path)
    with Session(engine) as session:
        session.execute(update(HomeVisit).where(col(HomeVisit.id) == visit_id(1)).values(notes="", notes_folded=""))
        refolding = asyncio.create_task(refold_all_notes(database))
        await asyncio.sleep(0.3)
        is_waiting = not refolding.done()
        await asyncio.to_thread(session.commit)
    await refolding
    engine.dispose()

    assert is_waiting
    assert [(row["notes"], row["notes_folded"]) for row in rows_of(path, "home_visits")] == [("", ""), ("Plain", "plain")]


async def test_a_stub_that_is_just_being_wiped_counts_as_unchanged(database: Database, path: Path, tmp_path: Path) -> None:
    await keep(database, ServiceUserContact(id=CONTACT))
    engine = engine_at(path)
    with Session(engine) as session:
        wipe_contact(session)
        session.flush()
        importing = asyncio.create_task(taken(database, tmp_path, service_user_contacts=[contact(care_enquiry=EVANS)]))
        await asyncio.sleep(0.3)
        is_waiting = not importing.done()
        await asyncio.to_thread(session.commit)
    tallies = await importing
    engine.dispose()

    assert (is_waiting, tallies) == (True, {"service_user_contacts": Tally(unchanged=1)})
