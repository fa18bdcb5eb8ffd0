"""Families that no visit needs any more are wiped by age, whatever has wiped their visits, or taken them elsewhere."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database, Wiped
from storage.repository import HomeVisits
from storage.retention import unneeded
from storage.retention.anonymizing import anonymize
from storage.retention.erasing import erase
from storage.retention.finding import Person
from storage.retention.preview import preview
from tests.storage.carehq.taking import CONTACT, ENQUIRY, LATER, contact, enquiry, taken, visit
from tests.storage.homes import DAUGHTER, EVANS, REID, Clock, booking, everything_in, rows_of

YEAR = 365
ENDED = {"completed": "2024-11-02 00:00:00"}
BLANK: dict[str, Any] = {"first_name": None, "email": None}
WIPED_BY_SOURCE = {"notes": "", "service_user_contact": None, "anonymized": LATER, "modified": LATER, **ENDED}


async def anonymized(database: Database, clock: Clock, tmp_path: Path) -> Wiped:
    """Return what is wiped, which is what a dry run says."""
    counted = await preview(database, YEAR, clock())
    report = await anonymize(database, YEAR, clock, mail=tmp_path / "mail")
    assert report.wiped == counted
    return counted


def names_of(path: Path, *ids: str) -> list[str]:
    rows = rows_of(path, "care_enquiries") + rows_of(path, "service_user_contacts")
    return [row["first_name"] for row in rows if row["id"] in ids and row["first_name"]]


async def test_a_family_whose_only_visit_was_erased_with_a_contact_goes_when_that_is_old(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await visits.book(booking(service_user_contact=DAUGHTER))
    await erase(database, Person(frozenset(), frozenset({DAUGHTER})), clock, mail=tmp_path)

    clock.advance(days=YEAR)
    early = (await anonymized(database, clock, tmp_path), names_of(path, REID))
    clock.advance(seconds=1)
    late = (await anonymized(database, clock, tmp_path), names_of(path, REID))

    assert early == (Wiped(), ["Ada"])
    assert late == (Wiped(0, 1, 0), [])


@pytest.mark.parametrize(
    ("documents", "wiped"),
    [
        ({"home_visits": [visit(**WIPED_BY_SOURCE)]}, Wiped(0, 1, 1)),
        ({"home_visits": [visit(**WIPED_BY_SOURCE)], "care_enquiries": [enquiry(**BLANK, anonymized=LATER)]}, Wiped(0, 0, 1)),
        ({"home_visits": [visit(**WIPED_BY_SOURCE | {"completed": None})]}, Wiped(0, 1, 1)),
    ],
    ids=["a visit", "a visit and its enquiry", "a pending visit"],
)
async def test_a_family_whose_visit_the_source_has_anonymized_goes(
    documents: dict[str, Any], wiped: Wiped, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    first = [
        visit(notes="Frail", service_user_contact=CONTACT, **ENDED | {"completed": documents["home_visits"][0]["completed"]})
    ]
    await taken(database, tmp_path, care_enquiries=[enquiry()], service_user_contacts=[contact()], home_visits=first)
    await taken(database, tmp_path, **documents)
    clock.now += timedelta(days=YEAR + 20)

    assert (await anonymized(database, clock, tmp_path), names_of(path, ENQUIRY, CONTACT)) == (wiped, [])


async def test_a_family_goes_whose_visit_an_import_moved_to_another(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await visits.complete((await visits.book(booking())).id)
    await taken(database, tmp_path, home_visits=[visit(care_enquiry=REID)])
    clock.advance(days=YEAR + 20)
    before = (await anonymized(database, clock, tmp_path), names_of(path, REID, DAUGHTER))

    await taken(database, tmp_path, home_visits=[visit(care_enquiry=EVANS, modified="2025-11-10 00:00:00")])

    assert before == (Wiped(1, 0, 0), ["Ada", "Dora"])
    assert (await anonymized(database, clock, tmp_path), names_of(path, REID, DAUGHTER)) == (Wiped(0, 1, 1), [])


async def test_families_without_a_visit_and_those_who_are_expected_stay(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await taken(database, tmp_path, care_enquiries=[enquiry()], service_user_contacts=[contact()])
    await visits.book(booking(service_user_contact=DAUGHTER))
    await visits.complete((await visits.book(booking())).id)
    clock.advance(days=YEAR, seconds=1)

    assert await anonymized(database, clock, tmp_path) == Wiped(1, 0, 0)
    assert names_of(path, REID, DAUGHTER, ENQUIRY, CONTACT) == ["Ada", "Ada", "Dora", "Dora"]


async def test_all_of_them_are_gone_through_a_part_at_a_time(
    database: Database, clock: Clock, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unneeded, "ROWS", 3)
    monkeypatch.setattr(unneeded, "BATCH", 2)
    unneeded._flagged.cache_clear()
    ids = [f"{number:024x}" for number in range(1, 12)]
    enquiries = [enquiry(_id=id, first_name=f"Una {id}") for id in ids]
    await taken(database, tmp_path, care_enquiries=enquiries, home_visits=[visit(_id=id, care_enquiry=id, **ENDED) for id in ids])
    newer = [visit(_id=id, care_enquiry=id, **WIPED_BY_SOURCE) for id in ids]
    await taken(database, tmp_path, home_visits=newer)
    clock.advance(days=YEAR + 20)

    wiped = await anonymized(database, clock, tmp_path)
    again = await anonymized(database, clock, tmp_path)
    unneeded._flagged.cache_clear()

    assert (wiped, again) == (Wiped(0, 11, 0), Wiped())
    assert "Una" not in repr(everything_in(path))
