"""What came in goes out in the same form."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from storage.carehq.documents import UnknownKind
from storage.carehq.exporting import export_documents
from storage.database import Database
from storage.repository import HomeVisits
from tests.storage.carehq.taking import CONTACT, ENQUIRY, KINDS, LOCATION, SAMPLES, USER, VISIT, enquiry, give, take, visit, write
from tests.storage.homes import EVERYTHING, Clock, booking


def sample(kind: str) -> list[dict[str, Any]]:
    documents = json.loads((SAMPLES / f"{kind}.json").read_text())
    return sorted(documents, key=lambda document: document["_id"])


async def exported(database: Database, kind: str = "home_visits") -> bytes:
    out = io.BytesIO()
    await export_documents(database, out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "home_visits"])
async def test_the_sources_documents_come_out_as_they_went_in(database: Database, kind: str) -> None:
    await take(database, SAMPLES / f"{kind}.json")

    assert await give(database, kind) == sample(kind)


async def test_the_sources_visits_come_out_with_the_values_that_went_in(database: Database) -> None:
    await take(database, SAMPLES / "home_visits.json")

    exported = await give(database)

    absent_in_some = {"anonymized": None, "service_user_contact": None}
    assert exported == [absent_in_some | document for document in sample("home_visits")]


async def test_the_fields_of_a_visit_stand_in_the_sources_order(database: Database) -> None:
    await take(database, SAMPLES / "home_visits.json")

    (document, *_) = await give(database)

    assert list(document) == [
        "_id",
        "anonymized",
        "assigned_to",
        "cancelled",
        "care_enquiry",
        "completed",
        "created",
        "date_time",
        "host",
        "location",
        "modified",
        "notes",
        "service_user_contact",
        "visit_type",
    ]


async def test_a_document_stands_on_a_line_of_an_array_in_the_order_of_ids(database: Database, tmp_path: Path) -> None:
    users = [{"_id": number * 24, "first_name": name} for number, name in (("2", "Zoë"), ("1", "Ada"))]
    await take(database, *write(tmp_path, users=users))

    assert (await exported(database, "users")).decode() == (
        '[\n{"_id":"111111111111111111111111","first_name":"Ada","last_name":null,"email":null}'
        ',\n{"_id":"222222222222222222222222","first_name":"Zoë","last_name":null,"email":null}\n]\n'
    )


async def test_where_there_is_nothing_the_array_is_empty(database: Database) -> None:
    assert await exported(database) == b"[\n]\n"


async def test_the_documents_are_counted(database: Database) -> None:
    await take(database, SAMPLES / "home_visits.json")

    count = await export_documents(database, io.BytesIO(), "home_visits")

    assert count == 5


async def test_visits_are_exported_unless_another_kind_is_asked_for(database: Database) -> None:
    await take(database, SAMPLES / "home_visits.json")
    out = io.BytesIO()

    await export_documents(database, out)

    assert out.getvalue() == await exported(database, "home_visits")


async def test_a_kind_that_there_is_not_is_refused(database: Database) -> None:
    with pytest.raises(UnknownKind):
        await export_documents(database, io.BytesIO(), "visits")


@pytest.mark.parametrize("kind", ["users", "locations", "care_enquiries", "service_user_contacts"])
async def test_what_only_an_id_is_known_of_is_left_out(database: Database, tmp_path: Path, kind: str) -> None:
    await take(database, *write(tmp_path, home_visits=[visit(assigned_to=USER, service_user_contact=CONTACT)]))

    assert await give(database, kind) == []


async def test_an_enquiry_tells_that_it_was_anonymized_only_where_it_was(database: Database, tmp_path: Path) -> None:
    wiped = {"_id": VISIT, "anonymized": "2024-11-02 08:00:00", "location": LOCATION}
    await take(database, *write(tmp_path, care_enquiries=[wiped, enquiry()]))

    anonymized, plain = await give(database, "care_enquiries")

    absent = dict.fromkeys(["first_name", "last_name", "email", "phone", "assigned_to", "location"])
    assert (anonymized, plain) == (absent | wiped, absent | enquiry())


async def test_a_visit_that_was_booked_here_looks_like_any_other(database: Database, tmp_path: Path) -> None:
    await take(database, *write(tmp_path, care_enquiries=[enquiry(location=LOCATION)]))
    clock = Clock()
    clock.advance(milliseconds=999)
    booked = await HomeVisits(database, EVERYTHING, clock).book(booking(care_enquiry=ENQUIRY, notes="Ring twice."))

    (document,) = await give(database)

    assert document == {
        "_id": booked.id,
        "anonymized": None,
        "assigned_to": None,
        "cancelled": None,
        "care_enquiry": ENQUIRY,
        "completed": None,
        "created": "2024-10-20 09:30:00",
        "date_time": "2024-11-03 11:00:00",
        "host": "nurse",
        "location": LOCATION,
        "modified": "2024-10-20 09:30:00",
        "notes": "Ring twice.",
        "service_user_contact": None,
        "visit_type": "in_person",
    }


async def test_more_than_one_batch_is_complete(database: Database, tmp_path: Path) -> None:
    documents = [visit(_id=f"{number:024x}") for number in range(2500)]
    await take(database, *write(tmp_path, home_visits=documents))

    exported = await give(database)

    assert [document["_id"] for document in exported] == [document["_id"] for document in documents]


class Interrupted(io.BytesIO):
    """Someone who reads one line, then stops listening."""

    def write(self, part: Any) -> int:
        if self.tell() > 100:
            raise BrokenPipeError
        return super().write(part)


async def test_a_reader_who_goes_away_ends_the_export(database: Database) -> None:
    await take(database, SAMPLES / "home_visits.json")

    with pytest.raises(BrokenPipeError):
        await export_documents(database, Interrupted())

    assert len(await give(database)) == 5
