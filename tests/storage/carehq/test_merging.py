"""What a document changes about what is kept, and what it must not."""

import json
from pathlib import Path
from typing import Any

import pytest

from storage.carehq.merging import Tally
from storage.database import Database
from storage.models import HomeVisitStatus
from storage.queries.paging import Window
from storage.repository import HomeVisits
from tests.databases import path_of
from tests.storage.carehq.taking import (
    CONTACT,
    ENQUIRY,
    LATER,
    LOCATION,
    USER,
    VISIT,
    contact,
    enquiry,
    give,
    take,
    taken,
    visit,
    write,
)
from tests.storage.homes import EVERYTHING, NOW, Clock, events_of, everything_in, number_events, rows_of


async def test_a_newer_visit_updates(database: Database, tmp_path: Path) -> None:
    await taken(database, tmp_path, home_visits=[visit(notes="Ring the bell.")])
    newer = visit(
        modified=LATER,
        date_time="2024-11-04 12:30:00",
        host="nurse",
        visit_type="virtual",
        location=24 * "9",
        assigned_to=USER,
        completed="2024-11-04 13:30:00",
        notes="KNOCK twice.",
    )

    tallies = await taken(database, tmp_path, home_visits=[newer])

    assert tallies == {"home_visits": Tally(updated=1)}
    (row,) = rows_of(path_of(database), "home_visits")
    assert (row["version"], row["notes"], row["notes_folded"]) == (2, "KNOCK twice.", "knock twice.")
    assert await give(database) == [
        visit(anonymized=None, cancelled=None, service_user_contact=None) | newer | {"date_time": "2024-11-04 12:30:00"}
    ]


async def test_notes_that_no_booking_could_have_are_imported_and_found_by_the_first_part_of_them(
    visits: HomeVisits, database: Database, tmp_path: Path
) -> None:
    marks, symbols = "e" + "\N{COMBINING ACUTE ACCENT}" * 31 + " stairs", "garden " + "\ufdfa" * 2_000 + " lift"
    documents = [visit(notes=marks), visit(_id=24 * "8", notes=symbols)]

    tallies = await taken(database, tmp_path, home_visits=documents)

    assert tallies == {"home_visits": Tally(new=2)}
    rows = rows_of(path_of(database), "home_visits")
    assert [row["notes"] for row in rows] == [marks, symbols]
    assert [len(row["notes_folded"]) for row in rows] == [37, 30_000]
    found = {
        keyword: [one.notes for one in (await visits.page({"keyword": keyword}, [], Window.of(None, None, None, None))).nodes]
        for keyword in ("stairs", marks, "garden", "lift")
    }
    assert found == {"stairs": [marks], marks: [marks], "garden": [symbols], "lift": []}


async def test_the_event_of_an_update_tells_each_change_but_not_what_notes_said(database: Database, tmp_path: Path) -> None:
    await taken(database, tmp_path, home_visits=[visit(notes="Ring the bell.", assigned_to=USER)])
    changes = {"assigned_to": None, "date_time": "2024-11-03 12:00:00.5", "host": "nurse", "notes": "Knock."}

    await taken(database, tmp_path, home_visits=[visit(modified=LATER, cancelled=LATER, **changes)])

    _, event = events_of(path_of(database))
    assert {name: event[name] for name in ("sequence", "type", "actor", "home_visit", "version")} == {
        "sequence": 2,
        "type": "IMPORTED",
        "actor": "import",
        "home_visit": VISIT,
        "version": 2,
    }
    assert json.loads(event["changes"]) == [
        ["assigned_to", USER, None],
        ["cancelled", None, "2024-11-02T08:00:00Z"],
        ["date_time", "2024-11-03T11:00:00Z", "2024-11-03T12:00:00Z"],
        ["host", "MANAGER", "NURSE"],
        ["notes", None, None],
    ]


async def test_a_newer_visit_with_nothing_else_new_is_a_version_without_changes(database: Database, tmp_path: Path) -> None:
    await taken(database, tmp_path, home_visits=[visit()])

    tallies = await taken(database, tmp_path, home_visits=[visit(modified=LATER)])

    (row,), events = rows_of(path_of(database), "home_visits"), events_of(path_of(database))
    assert tallies == {"home_visits": Tally(updated=1)}
    assert (row["version"], row["modified"]) == (2, "2024-11-02T08:00:00")
    assert [(event["version"], event["changes"]) for event in events] == [(1, "[]"), (2, "[]")]


ENDINGS = {
    "cancelled": {"cancelled": "2024-11-01 16:03:34"},
    "completed": {"completed": "2024-11-01 16:03:34"},
    "moved": {"date_time": "2024-11-04 11:00:00"},
    "wiped": {"anonymized": "2024-11-01 16:03:34", "notes": ""},
    "of another home": {"location": 24 * "9"},
    "of another user": {"assigned_to": USER},
}


@pytest.mark.parametrize("changes", ENDINGS.values(), ids=ENDINGS)
async def test_of_the_same_second_other_content_is_newer_and_the_same_bytes_are_nothing(
    database: Database, tmp_path: Path, changes: dict[str, str]
) -> None:
    await taken(database, tmp_path, home_visits=[visit(notes="Pending")])
    changed = visit(notes="Pending") | changes

    first = await taken(database, tmp_path, home_visits=[changed])
    number_events(path_of(database))
    before = everything_in(path_of(database))
    second = await taken(database, tmp_path, home_visits=[changed])

    (row,), (_, event) = rows_of(path_of(database), "home_visits"), events_of(path_of(database))
    assert (first, second) == ({"home_visits": Tally(updated=1)}, {"home_visits": Tally(unchanged=1)})
    assert everything_in(path_of(database)) == before
    assert (row["version"], row["modified"], event["version"]) == (2, "2024-11-01T16:03:34", 2)
    assert {name for name, *_ in json.loads(event["changes"])} == set(changes)
    (exported,) = await give(database)
    assert changed.items() <= exported.items()


async def test_a_file_with_two_states_of_one_second_changes_nothing_when_it_comes_again(
    database: Database, tmp_path: Path
) -> None:
    documents = [visit(), visit(cancelled="2024-11-01 16:03:34")]

    first = await taken(database, tmp_path, home_visits=documents)
    before = everything_in(path_of(database))
    second = await taken(database, tmp_path, home_visits=documents)

    assert (first, second) == ({"home_visits": Tally(new=1, unchanged=1)}, {"home_visits": Tally(unchanged=2)})
    assert everything_in(path_of(database)) == before
    assert rows_of(path_of(database), "home_visits")[0]["cancelled"] == "2024-11-01T16:03:34"


async def test_what_is_anonymized_in_a_second_stays_so_in_it(database: Database, tmp_path: Path) -> None:
    wiped = visit(anonymized="2024-11-01 16:03:34")

    tallies = await taken(database, tmp_path, home_visits=[wiped, visit(notes="Private")])

    (row,) = rows_of(path_of(database), "home_visits")
    assert (tallies, row["notes"]) == ({"home_visits": Tally(new=1, unchanged=1)}, "")


@pytest.mark.parametrize("end", ["cancelled", "completed"])
async def test_what_the_source_takes_back_is_pending_again(database: Database, tmp_path: Path, end: str) -> None:
    await taken(database, tmp_path, home_visits=[visit(**{end: "2024-11-01 16:03:34"})])

    tallies = await taken(database, tmp_path, home_visits=[visit(modified=LATER)])

    found = await HomeVisits(database, EVERYTHING, Clock()).get(VISIT)
    assert found is not None
    assert (tallies, found.status) == ({"home_visits": Tally(updated=1)}, HomeVisitStatus.PENDING)


async def test_a_completed_visit_that_was_cancelled_is_cancelled_with_a_warning(database: Database, tmp_path: Path) -> None:
    await taken(database, tmp_path, home_visits=[visit(completed="2024-11-01 16:03:34")])
    both = visit(completed="2024-11-01 16:03:34", cancelled=LATER, modified=LATER)
    (path,) = write(tmp_path, home_visits=[both])

    outcome = await take(database, path)

    found = await HomeVisits(database, EVERYTHING, Clock()).get(VISIT)
    assert found is not None
    assert (found.status, found.completed) == (HomeVisitStatus.CANCELLED, None)
    assert (outcome.tallies, outcome.report.refused) == ({"home_visits": Tally(updated=1)}, 0)
    assert [str(one) for one in outcome.refused] == [
        f"{path}: document 1 (line 1): warning: completed is left out, for `cancelled` is set: the visit is CANCELLED"
    ]


@pytest.mark.parametrize("modified", ["2024-11-01 16:03:33", "2024-11-01 16:03:33.999999", "2023-11-01 16:03:34"])
async def test_a_visit_that_is_older_is_left(database: Database, tmp_path: Path, modified: str) -> None:
    await taken(database, tmp_path, home_visits=[visit()])
    before = everything_in(path_of(database))

    tallies = await taken(database, tmp_path, home_visits=[visit(modified=modified, notes="New", care_enquiry=24 * "9")])

    assert tallies == {"home_visits": Tally(unchanged=1)}
    assert everything_in(path_of(database)) == before


async def test_of_one_visit_several_times_in_a_batch_the_newest_counts(database: Database, tmp_path: Path) -> None:
    first, newer, older, newest = (visit(modified=f"2024-11-0{day} 08:00:00", notes=f"Of day {day}") for day in (3, 5, 4, 6))

    tallies = await taken(database, tmp_path, home_visits=[first, newer, older, newest, newest])

    (row,), events = rows_of(path_of(database), "home_visits"), events_of(path_of(database))
    assert tallies == {"home_visits": Tally(new=1, updated=2, unchanged=2)}
    assert (row["version"], row["notes"], row["notes_folded"]) == (3, "Of day 6", "of day 6")
    assert [(event["sequence"], event["version"]) for event in events] == [(1, 1), (2, 2), (3, 3)]


async def test_what_the_source_anonymized_is_anonymized_here(database: Database, tmp_path: Path) -> None:
    await taken(database, tmp_path, care_enquiries=[enquiry()], home_visits=[visit(notes="Private")])
    wiped = {"anonymized": LATER}

    await taken(database, tmp_path, care_enquiries=[{"_id": ENQUIRY, **wiped}], home_visits=[visit(modified=LATER, **wiped)])

    (row,), (about,) = rows_of(path_of(database), "home_visits"), rows_of(path_of(database), "care_enquiries")
    assert (row["anonymized"], row["notes"], row["notes_folded"]) == ("2024-11-02T08:00:00", "", "")
    assert (about["anonymized"], about["first_name"], about["email"]) == ("2024-11-02T08:00:00", None, None)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("users", {"_id": USER, "first_name": "Ada", "email": "ada@homes.example"}, {"_id": USER, "first_name": "Beth"}),
        ("users", {"_id": USER, "suspended": True}, {"_id": USER, "locations": [LOCATION], "location_role": "nurse"}),
        ("locations", {"_id": LOCATION, "name": "Willow"}, {"_id": LOCATION, "name": "Rowan", "time_zone": "Europe/Dublin"}),
        ("care_enquiries", enquiry(location=LOCATION), enquiry(first_name="Beth", location=24 * "9")),
        ("service_user_contacts", contact(), contact(care_enquiry=None, phone="+44 1632 960100")),
    ],
)
async def test_a_later_document_replaces_what_is_known(
    database: Database, tmp_path: Path, kind: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    await taken(database, tmp_path, **{kind: [before]})

    tallies = await taken(database, tmp_path, **{kind: [after]})

    (exported,) = await give(database, kind)
    assert tallies == {kind: Tally(updated=1)}
    assert {name: value for name, value in exported.items() if value is not None} == {
        name: value for name, value in after.items() if value is not None
    }


async def test_the_last_of_several_documents_about_one_thing_counts(database: Database, tmp_path: Path) -> None:
    users = [{"_id": USER, "first_name": name} for name in ("Ada", "Beth", "Beth", "Cleo")]

    tallies = await taken(database, tmp_path, users=users)

    assert tallies == {"users": Tally(new=1, updated=2, unchanged=1)}
    assert [row["first_name"] for row in rows_of(path_of(database), "users")] == ["Cleo"]


async def test_a_document_that_holds_only_an_id_is_a_stub(database: Database, tmp_path: Path) -> None:
    tallies = await taken(database, tmp_path, users=[{"_id": USER}, {"_id": USER, "colour": "blue"}])

    assert tallies == {"users": Tally(new=1, unchanged=1)}
    assert everything_in(path_of(database))["users"] == [(USER, None, None, None, None, None, 0, "1", "")]


async def test_where_users_work_is_kept_by_its_id(database: Database, tmp_path: Path) -> None:
    other = 24 * "9"
    works = {"locations": [LOCATION, other], "location_role": "deputy_manager", "suspended": True}

    await taken(database, tmp_path, users=[{"_id": USER, **works}], locations=[{"_id": other, "name": "Rowan"}])

    kept = everything_in(path_of(database))
    assert kept["users"] == [(USER, None, None, None, f'["{LOCATION}", "{other}"]', "DEPUTY_MANAGER", 1, "1", "")]
    assert [row[:2] for row in kept["locations"]] == [(LOCATION, None), (other, "Rowan")]
    assert await give(database, "users") == [{"_id": USER, "first_name": None, "last_name": None, "email": None, **works}]


async def test_the_clock_is_read_once_for_all_events(database: Database, tmp_path: Path) -> None:
    paths = write(tmp_path, home_visits=[visit(), visit(_id=CONTACT)])

    await take(database, *paths, now=NOW)

    assert [event["at"] for event in events_of(path_of(database))] == ["2024-10-20T09:30:00"] * 2


async def test_of_notes_that_the_source_anonymized_nothing_is_left_in_the_database(database: Database, tmp_path: Path) -> None:
    await take(database, *write(tmp_path, home_visits=[visit(notes="Ask for Wurlitzer, thrice.")]))
    before = repr(everything_in(path_of(database))).lower()
    await take(database, *write(tmp_path, home_visits=[visit(notes="", anonymized=LATER, modified=LATER)]))

    after = repr(everything_in(path_of(database))).lower()

    assert ("wurlitzer" in before, "wurlitzer" in after, "thrice" in after) == (True, False, False)


@pytest.mark.sqlite  # PostgreSQL's files are cleaned by its own commands, as the README says
async def test_of_notes_that_the_source_anonymized_nothing_is_left_in_the_file(database: Database, tmp_path: Path) -> None:
    await take(database, *write(tmp_path, home_visits=[visit(notes="Ask for Wurlitzer, thrice.")]))
    await take(database, *write(tmp_path, home_visits=[visit(notes="", anonymized=LATER, modified=LATER)]))
    await database.close()

    kept = path_of(database).read_bytes().lower()

    assert [part for part in (b"wurlitzer", b"thrice", b"litz", b"wur") if part in kept] == []
    assert [file.name for file in path_of(database).parent.glob("*-wal")] == []
