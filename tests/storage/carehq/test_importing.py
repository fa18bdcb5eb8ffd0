"""Files of documents become records, in any order, and once however often they are imported."""

import asyncio
import json
from pathlib import Path

import pytest
from sqlmodel import func, select

from storage.carehq.documents import UnknownKind
from storage.carehq.importing import BATCH, UnreadableFile
from storage.carehq.merging import Tally
from storage.database import Database
from storage.models import HomeVisit
from storage.names import folded_columns
from tests.databases import database_at, path_of
from tests.storage.carehq.taking import (
    ENQUIRY,
    KINDS,
    LOCATION,
    SAMPLES,
    USER,
    VISIT,
    enquiry,
    ids_of,
    numbered,
    take,
    visit,
    write,
)
from tests.storage.homes import events_of, everything_in, rows_of


def sample(*kinds: str) -> list[Path]:
    return [SAMPLES / f"{kind}.json" for kind in kinds]


async def test_the_sources_own_documents_are_imported(database: Database) -> None:
    outcome = await take(database, *sample(*KINDS))

    assert outcome.tallies == {
        "users": Tally(new=2),
        "locations": Tally(new=1),
        "care_enquiries": Tally(new=15),
        "service_user_contacts": Tally(new=3),
        "home_visits": Tally(new=5),
    }
    assert (outcome.refused, outcome.report.refused) == ([], 0)
    assert rows_of(path_of(database), "home_visits")[1] == {
        "number": 2,
        "id": "6724fbd63cd2cde34170f2c6",
        "care_enquiry": "6724fbd64f73a2cebf638f33",
        "location": "6724fbc74f73a2cebf6377fa",
        "date_time": "2024-11-03T11:00:00",
        "visit_type": "IN_PERSON",
        "host": "MANAGER",
        "notes": "Care seeker has requested to view ground floor rooms.",
        "assigned_to": "6724fbc74f73a2cebf637800",
        "service_user_contact": None,
        "created": "2024-11-01T16:03:34",
        "modified": "2024-11-01T16:03:34",
        "cancelled": None,
        "completed": None,
        "anonymized": None,
        "version": 1,
        "confirmation": "NOT_REQUIRED",
        "notes_folded": "care seeker has requested to view ground floor rooms.",
    }
    (document,) = json.loads((SAMPLES / "locations.json").read_text().replace("_id", "id"))
    assert rows_of(path_of(database), "locations") == [document | folded_columns(document)]


async def test_each_visit_has_the_event_of_its_import(database: Database) -> None:
    await take(database, *sample(*KINDS))

    events = events_of(path_of(database))

    assert [event["home_visit"] for event in events] == ids_of(path_of(database), "home_visits")
    assert events[4] == {
        "sequence": 5,
        "at": "2024-10-20T09:30:00",
        "actor": "import",
        "type": "IMPORTED",
        "home_visit": "6724fbd64f73a2cebf638f2e",
        "care_enquiry": "6724fbd64f73a2cebf638f2a",
        "location": "6724fbc74f73a2cebf6377fa",
        "version": 1,
        "changes": "[]",
    }


async def test_no_mail_is_due(database: Database) -> None:
    await take(database, *sample(*KINDS))

    assert rows_of(path_of(database), "outbox_messages") == []
    assert {row["confirmation"] for row in rows_of(path_of(database), "home_visits")} == {"NOT_REQUIRED"}


async def test_a_second_import_changes_nothing(database: Database) -> None:
    await take(database, *sample(*KINDS))
    before = everything_in(path_of(database))

    outcome = await take(database, *sample(*KINDS))

    assert everything_in(path_of(database)) == before
    assert outcome.tallies == {
        "users": Tally(unchanged=2),
        "locations": Tally(unchanged=1),
        "care_enquiries": Tally(unchanged=15),
        "service_user_contacts": Tally(unchanged=3),
        "home_visits": Tally(unchanged=5),
    }


async def test_visits_that_lack_fields_are_told_with_their_place_and_the_rest_is_imported(database: Database) -> None:
    page = SAMPLES / "home_visits_page.json"

    outcome = await take(database, page, *sample("home_visits"))

    assert outcome.tallies == {"home_visits": Tally(new=5, refused=10)}
    missing = "created is missing; location is missing; modified is missing; visit_type is missing"
    assert [str(document) for document in outcome.refused] == [
        f"{page}: document {number} (line {7 * number - 3}): {missing}" for number in range(1, 11)
    ]


async def test_a_file_may_be_empty(database: Database, tmp_path: Path) -> None:
    outcome = await take(database, *write(tmp_path, users=[]))

    assert (outcome.tallies, outcome.refused) == ({"users": Tally()}, [])


async def test_what_is_no_json_is_told_with_its_place(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.write_text(f'{{"_id": "{USER}"}}\n{{"_id": oops}}\n{{"_id": "{VISIT}"}}\n')

    outcome = await take(database, path)

    assert [str(document) for document in outcome.refused] == [
        f"{path}: document 2 (line 2): is no JSON: Expecting value after `_id` on line 2"
    ]
    assert outcome.tallies == {"users": Tally(new=2, refused=1)}


@pytest.mark.parametrize(
    "order", [KINDS, KINDS[::-1], ["home_visits", "users", "care_enquiries", "locations", "service_user_contacts"]]
)
async def test_documents_come_in_any_order_in_several_calls(database: Database, path: Path, order: list[str]) -> None:
    for kind in order:
        await take(database, *sample(kind))

    kept = everything_in(path)

    tables = ["users", "locations", "care_enquiries", "service_user_contacts"]
    documents = {kind: json.loads((SAMPLES / f"{kind}.json").read_text()) for kind in tables}
    assert {table: [row[0] for row in kept[table]] for table in tables} == {
        kind: sorted(document["_id"] for document in documents[kind]) for kind in tables
    }
    assert all(row[1] for table in tables for row in kept[table])
    assert len(kept["home_visits"]) == 5


async def test_files_of_one_call_may_come_in_any_order(database: Database) -> None:
    outcome = await take(database, *sample(*KINDS[::-1]))

    assert list(outcome.tallies) == KINDS
    assert [tally.new for tally in outcome.tallies.values()] == [2, 1, 15, 3, 5]


async def test_of_what_is_referred_to_and_not_known_the_id_is_kept(database: Database, tmp_path: Path) -> None:
    contact = 24 * "5"

    await take(database, *write(tmp_path, home_visits=[visit(assigned_to=USER, service_user_contact=contact)]))

    kept = everything_in(path_of(database))
    assert kept["users"] == [(USER, None, None, None, None, None, 0, "1", "")]
    assert kept["locations"] == [(LOCATION, None, None, None, None, "1", "")]
    assert kept["care_enquiries"] == [(ENQUIRY, None, None, None, None, None, None, None, "1", "")]
    assert kept["service_user_contacts"] == [(contact, None, None, None, None, None, "", None)]


async def test_a_later_document_tells_what_was_only_an_id(database: Database, tmp_path: Path) -> None:
    await take(database, *write(tmp_path, home_visits=[visit()]))

    outcome = await take(database, *write(tmp_path, care_enquiries=[enquiry(assigned_to=USER, location=LOCATION)]))

    assert outcome.tallies == {"care_enquiries": Tally(new=1)}
    row = (ENQUIRY, "Ada", None, "ada@family.example", None, USER, LOCATION, None)
    folded = ("0\tada", "  ada\n  ada@family.example")
    assert everything_in(path_of(database))["care_enquiries"] == [row + folded]


async def test_a_kind_that_is_given_counts_more_than_the_name_of_a_file(database: Database, tmp_path: Path) -> None:
    (path,) = write(tmp_path, users=[{"_id": LOCATION, "name": "Willow Court"}])

    outcome = await take(database, path, kind="locations")

    assert outcome.tallies == {"locations": Tally(new=1)}
    assert ids_of(path_of(database), "users") == []


async def test_nothing_is_imported_where_a_file_does_not_tell_what_it_holds(database: Database, tmp_path: Path) -> None:
    users, unknown = write(tmp_path, users=[{"_id": USER}], things=[{"_id": USER}])

    with pytest.raises(UnknownKind):
        await take(database, users, unknown)

    assert ids_of(path_of(database), "users") == []


@pytest.mark.parametrize("name", ["locations.json", "whatever.json"])
async def test_nothing_is_imported_where_a_file_cannot_be_read(database: Database, tmp_path: Path, name: str) -> None:
    users, missing = *write(tmp_path, users=[{"_id": USER}]), tmp_path / name

    with pytest.raises(UnreadableFile) as refused:
        await take(database, users, missing)

    assert str(refused.value) == f"{missing} cannot be read: No such file or directory. Check its name and its permissions."
    assert ids_of(path_of(database), "users") == []


async def test_a_folder_is_no_file_of_documents(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "users"
    folder.mkdir()

    with pytest.raises(UnreadableFile) as refused:
        await take(database, folder)

    assert str(refused.value) == f"{folder} cannot be read: Is a directory. Check its name and its permissions."


async def test_progress_is_told_after_each_batch_up_to_the_size_of_all_files(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.carehq.importing.BATCH", 10)
    monkeypatch.setattr("storage.carehq.reading.CHUNK", 100)
    paths = write(tmp_path, users=[{"_id": USER}], home_visits=numbered(25))

    outcome = await take(database, *paths)

    users, visits = (path.stat().st_size for path in paths)
    read = [done for done, _ in outcome.progress]
    assert len(read) == 4
    assert read == sorted(read)
    assert (read[0], read[-1], {size for _, size in outcome.progress}) == (users, users + visits, {users + visits})


async def test_documents_that_are_refused_fill_batches_too(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.carehq.importing.BATCH", 10)

    outcome = await take(database, *write(tmp_path, users=[{"first_name": "Nobody"}] * 25))

    assert (len(outcome.refused), len(outcome.progress)) == (25, 3)


async def test_a_name_that_is_too_long_costs_its_document_alone(database: Database, tmp_path: Path) -> None:
    [path] = write(tmp_path, users=[{"_id": USER, "first_name": "A" * 301}, {"_id": VISIT, "first_name": "Ada"}])

    outcome = await take(database, path)

    reason = "first_name must have at most 300 characters: it has 301"
    assert [str(document) for document in outcome.refused] == [f"{path}: document 1 (line 1): {reason}"]
    assert outcome.tallies["users"] == Tally(new=1, refused=1)


async def test_others_that_write_get_in_between_the_transactions_of_an_import(database: Database, tmp_path: Path) -> None:
    files = write(tmp_path, home_visits=numbered(4 * BATCH))
    other = await database_at(path_of(database)).open()
    stored: list[int] = []

    async def write_beside() -> None:
        while True:
            stored.append(await other.write(lambda session: session.exec(select(func.count()).select_from(HomeVisit)).one()))

    writing = asyncio.create_task(write_beside())
    await take(database, *files)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await other.close()

    assert set(stored) >= {BATCH, 2 * BATCH, 3 * BATCH}
