"""Anonymizing by age: what is wiped of whom, what stays, and who may come in between."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, update

from schema.server.background import anonymize_regularly
from storage.database import Database, Wiped
from storage.errors import InvalidInput
from storage.instants import stored
from storage.models import CareEnquiry, ConfirmationStatus
from storage.outbox.messages import OutboxMessage
from storage.outbox.overview import given_up, retry
from storage.references import References
from storage.repository import HomeVisits
from storage.retention import anonymizing
from storage.retention.anonymizing import anonymize
from storage.retention.preview import preview
from tests.conftest import APP, environment
from tests.databases import database_at, is_sqlite, url_of
from tests.inspection import inspect
from tests.storage.carehq.taking import CONTACT, ENQUIRY, taken
from tests.storage.carehq.taking import contact as document_of_contact
from tests.storage.carehq.taking import enquiry as document_of_enquiry
from tests.storage.carehq.taking import visit as document_of_visit
from tests.storage.homes import (
    DAUGHTER,
    EVANS,
    EVERYTHING,
    REID,
    Clock,
    booking,
    events_of,
    everything_in,
    keep,
    rows_of,
    visit,
    visit_id,
)
from tests.storage.retention.families import add_families, left_in_tables, left_of, load

YEAR = 365


async def closed(visits: HomeVisits, **changes: Any) -> str:
    id = (await visits.book(booking(notes="Ada is frail.", **changes))).id
    await visits.complete(id)
    return id


def row(path: Path, table: str, id: str) -> dict[str, Any]:
    [found] = [record for record in rows_of(path, table) if record["id"] == id]
    return found


async def test_a_visit_that_ended_long_ago_is_kept_without_what_it_says_of_people(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    id = await closed(visits, service_user_contact=DAUGHTER)
    before = row(path, "home_visits", id)
    now = clock.advance(days=YEAR, seconds=1)

    report = await anonymize(database, YEAR, clock, mail=tmp_path)

    wiped = {"notes": "", "notes_folded": "", "service_user_contact": None, "anonymized": stored(now), "modified": stored(now)}
    assert report.wiped == Wiped(1, 1, 1)
    assert row(path, "home_visits", id) == before | wiped | {"version": 3}
    *_, event = events_of(path)
    assert (event["actor"], event["type"], event["version"], event["at"]) == ("retention", "ANONYMIZED", 3, stored(now))
    changes = [["notes", None, None], ["service_user_contact", None, None], ["anonymized", None, f"{stored(now)}Z"]]
    assert json.loads(event["changes"]) == changes
    names = ("first_name", "last_name", "email", "phone", "search_folded", "anonymized")
    nobody = {**dict.fromkeys(names[:4]), "search_folded": "", "anonymized": stored(now)}
    assert {name: row(path, "care_enquiries", REID)[name] for name in names} == nobody
    assert {name: row(path, "service_user_contacts", DAUGHTER)[name] for name in names} == nobody
    assert row(path, "care_enquiries", REID)["name_folded"] == "1"


async def test_visits_that_are_pending_or_ended_lately_stay_as_they_are(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await visits.book(booking(notes="Ada is frail."))
    await closed(visits)
    clock.advance(days=YEAR)
    before = everything_in(path)

    report = await anonymize(database, YEAR, clock, mail=tmp_path)

    assert (report.wiped, report.left) == (Wiped(), 0)
    assert everything_in(path) == before


async def test_details_go_with_the_last_visit_that_needs_them(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await closed(visits, service_user_contact=DAUGHTER)
    pending = await visits.book(booking())
    clock.advance(days=YEAR, seconds=1)

    first = await anonymize(database, YEAR, clock, mail=tmp_path)
    enquiry = row(path, "care_enquiries", REID)
    await visits.cancel(pending.id)
    clock.advance(days=YEAR, seconds=1)
    second = await anonymize(database, YEAR, clock, mail=tmp_path)

    assert (first.wiped, enquiry["first_name"], enquiry["anonymized"]) == (Wiped(1, 0, 1), "Ada", None)
    assert (second.wiped, row(path, "care_enquiries", REID)["first_name"]) == (Wiped(1, 1, 0), None)


async def test_a_contact_whom_another_family_s_visit_needs_stays(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await closed(visits, service_user_contact=DAUGHTER)
    await keep(database, visit(1, care_enquiry=EVANS, service_user_contact=DAUGHTER))
    clock.advance(days=YEAR, seconds=1)

    report = await anonymize(database, YEAR, clock, mail=tmp_path)

    assert report.wiped == Wiped(1, 1, 0)
    assert row(path, "service_user_contacts", DAUGHTER)["first_name"] == "Dora"


async def test_a_dry_run_counts_what_would_be_wiped_and_changes_nothing(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await closed(visits, service_user_contact=DAUGHTER)
    await closed(visits, care_enquiry=EVANS)
    await visits.book(booking(care_enquiry=EVANS))
    now = clock.advance(days=YEAR, seconds=1)
    before = everything_in(path)

    counted = await preview(database, YEAR, now)

    assert counted == Wiped(2, 1, 1)
    assert everything_in(path) == before
    assert (await anonymize(database, YEAR, clock, mail=tmp_path)).wiped == counted


async def test_a_letter_that_was_given_up_is_not_tried_again(
    visits: HomeVisits, database: Database, clock: Clock, tmp_path: Path
) -> None:
    id = (await visits.book(booking(), suppress_confirmation=True)).id
    await visits.cancel(id)
    times = {"date_time": clock(), "created": clock(), "due": clock(), "give_up": clock(), "sequence": 2**31 - 2}
    await keep(database, OutboxMessage(id="8" * 24, home_visit=id, status=ConfirmationStatus.FAILED, method="CANCEL", **times))
    clock.advance(days=YEAR, seconds=1)

    before = [message.id for message in await given_up(database)]
    await anonymize(database, YEAR, clock, mail=tmp_path)

    assert before == ["8" * 24]
    assert (await given_up(database), await retry(database, before, clock())) == ([], [])


async def lease(database: Database, until: datetime | None) -> None:
    def work(session: Session) -> None:
        session.exec(update(OutboxMessage).values(leased_until=until))

    await database.write(work)


async def test_a_visit_waits_for_a_letter_that_is_on_its_way(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anonymizing, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(anonymizing, "MAX_RETRIES", 3)
    id = await closed(visits)
    clock.advance(days=YEAR, seconds=1)
    await lease(database, clock() + timedelta(seconds=30))
    before = row(path, "home_visits", id)

    first = await anonymize(database, YEAR, clock, mail=tmp_path)
    waiting = row(path, "home_visits", id)
    clock.advance(seconds=31)
    second = await anonymize(database, YEAR, clock, mail=tmp_path)

    assert (first.wiped, first.left, waiting) == (Wiped(), 1, before)
    assert (second.wiped, second.left) == (Wiped(1, 1, 1), 0)


async def test_who_books_while_their_details_are_wiped_is_refused_or_keeps_them(
    database: Database, clock: Clock, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several batches, which those who book meet halfway.
    monkeypatch.setattr(anonymizing, "BATCH", 5)
    monkeypatch.setattr(anonymizing, "_due", anonymizing._due.__wrapped__)
    enquiries = [f"6{number:023x}" for number in range(40)]
    await keep(
        database,
        *[CareEnquiry(id=id, location=row(path, "care_enquiries", REID)["location"], first_name="Una") for id in enquiries],
    )
    await keep(database, *[visit(number, care_enquiry=id, completed=clock()) for number, id in enumerate(enquiries)])
    clock.advance(days=YEAR, seconds=1)
    other = await database_at(path).open()

    async def book(id: str) -> bool:
        try:
            await HomeVisits(other, EVERYTHING, clock).book(booking(care_enquiry=id))
        except InvalidInput:
            return False
        return True

    async def book_all() -> dict[str, bool]:
        return {id: await book(id) for id in reversed(enquiries)}

    report, booked = await asyncio.gather(anonymize(database, YEAR, clock, mail=tmp_path), book_all())
    await other.close()

    names = {record["id"]: record["first_name"] for record in rows_of(path, "care_enquiries")}
    assert {id: names[id] == "Una" for id in enquiries} == booked
    assert set(booked.values()) == {True, False}
    assert report.wiped.visits == len(enquiries)


async def test_an_import_beside_it_brings_nothing_back(database: Database, clock: Clock, path: Path, tmp_path: Path) -> None:
    people = {"care_enquiries": [document_of_enquiry()], "service_user_contacts": [document_of_contact()]}
    other = await database_at(path).open()
    await taken(other, tmp_path, **people)

    def documents(second: int) -> list[dict[str, Any]]:
        times = {"completed": "2020-01-01 00:00:00", "modified": f"2024-11-01 16:04:{second:02}", "service_user_contact": CONTACT}
        return [document_of_visit(_id=visit_id(number), notes=f"Frail {second}.", **times) for number in range(60)]

    async def import_all() -> None:
        for second in range(5):
            who = [document_of_contact(first_name=f"Dora {second}")]
            enquiries = [document_of_enquiry(first_name=f"Ada {second}")]
            await taken(other, tmp_path, care_enquiries=enquiries, service_user_contacts=who, home_visits=documents(second))

    await taken(other, tmp_path, home_visits=documents(0))
    clock.advance(days=YEAR)
    await asyncio.gather(anonymize(database, YEAR, clock, mail=tmp_path), import_all())
    await other.close()

    kept = {(record["notes"], record["anonymized"] is None) for record in rows_of(path, "home_visits")}
    assert kept == {("", False)}
    assert row(path, "care_enquiries", ENQUIRY)["first_name"] is None
    assert row(path, "service_user_contacts", CONTACT)["first_name"] is None


async def test_another_process_reads_nothing_of_it_after_the_commit(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    other = await database_at(path).open()
    id = await closed(visits, service_user_contact=DAUGHTER)
    clock.advance(days=YEAR, seconds=1)
    before = (await References(other, EVERYTHING, "Europe/London").load_referenced("care_enquiry", [REID]))[REID]

    await anonymize(database, YEAR, clock, mail=tmp_path)
    references = References(other, EVERYTHING, "Europe/London")
    cached = references.cached("care_enquiry", [REID])
    after = (await references.load_referenced("care_enquiry", [REID]))[REID]
    read = await HomeVisits(other, EVERYTHING, clock).get(id)
    await other.close()

    assert (before.first_name, cached, after.first_name, after.email) == ("Ada", {}, None, None)
    assert read is not None
    assert (read.notes, read.service_user_contact) == ("", None)


async def test_a_server_that_is_set_to_wipes_by_itself(visits: HomeVisits, database: Database, clock: Clock, path: Path) -> None:
    id = await closed(visits)
    clock.advance(days=YEAR, seconds=1)

    task = asyncio.create_task(anonymize_regularly(database, YEAR, clock, interval_seconds=0.01, start_seconds=0))
    async with asyncio.timeout(20):
        while row(path, "home_visits", id)["anonymized"] is None:  # noqa: ASYNC110 - another task writes it
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert row(path, "home_visits", id)["notes"] == ""


async def test_what_was_killed_in_the_middle_comes_to_the_same_end(database: Database, path: Path, tmp_path: Path) -> None:
    ended = datetime.fromisoformat("2020-01-01T00:00:00Z")
    await keep(database, *[visit(n, care_enquiry=REID, completed=ended, created=ended, notes="Frail.") for n in range(200)])
    # The database that a command finds by its setting.
    variables = environment(tmp_path, DATABASE_URL=url_of(path))
    command = [sys.executable, APP, "anonymize", "--older-than", "365"]

    process = await asyncio.to_thread(subprocess.Popen, command, cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL)
    while not _wiped(path):
        assert process.poll() is None
        time.sleep(0.005)  # noqa: ASYNC251 - nothing else runs here
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    partly = _wiped(path)
    again = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )

    assert 0 < partly < 200
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr.startswith(f"Wiped: {200 - partly} visits, 1 care enquiry and 1 contact.\n")
    assert _wiped(path) == 200
    events = inspect(path).query("SELECT home_visit FROM home_visit_events WHERE type = 'ANONYMIZED'")
    assert sorted(events) == sorted((visit_id(n),) for n in range(200))


def _wiped(path: Path) -> int:
    [[count]] = inspect(path).query("SELECT count(*) FROM home_visits WHERE anonymized IS NOT NULL")
    return int(count)


@pytest.mark.parametrize("count", [20, pytest.param(int(os.environ.get("WIPED_FAMILIES", "1000")), marks=pytest.mark.slow)])
async def test_nothing_is_left_of_families_that_were_wiped_under_load(
    database: Database, clock: Clock, path: Path, tmp_path: Path, count: int
) -> None:
    mail = tmp_path / "mail"
    families = await add_families(database, clock, mail, count)
    leftover = tmp_path / ".backup.db.abcdefgh.unfinished"
    leftover.write_text(families[0].words[0])
    there = left_in_tables(families, path)
    other = await database_at(path).open()
    clock.advance(days=YEAR, seconds=1)

    async with load(database, clock), load(other, clock):
        report = await anonymize(database, YEAR, clock, mail=mail)
        if not is_sqlite():
            leftover.unlink()
        left = (left_in_tables(families, path), left_of(families, tmp_path))
    await other.close()

    assert there == {word for family in families for at, word in enumerate(family.words) if at != 7}
    assert report.wiped == Wiped(count, count, count)
    assert left == (set(), set())
    assert list(mail.iterdir()) == []
    contacts = repr(inspect(path).query("SELECT changes FROM home_visit_events"))
    assert [family.contact for family in families if family.contact in contacts] == []
    [[keys]] = inspect(path).query("SELECT count(*) FROM idempotency_keys")
    assert keys == 0
