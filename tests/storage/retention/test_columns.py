"""Each column of each table is wiped with a family, or named here as saying nothing about one: a new one is to be decided on."""

import json
from pathlib import Path

import pytest

from storage.carehq.live.intents import Intent
from storage.database import Database
from storage.repository import HomeVisits
from storage.retention.anonymizing import anonymize
from storage.retention.erasing import erase
from storage.retention.finding import Person
from tests.databases import is_sqlite
from tests.inspection import inspect
from tests.storage.homes import DAUGHTER, REID, ROWAN, Clock, booking, everything_in, keep, rows_of, visit

WIPED = {
    "care_enquiries": ("first_name", "last_name", "email", "phone", "name_folded", "search_folded"),
    "service_user_contacts": ("first_name", "last_name", "email", "phone", "search_folded"),
    "home_visits": ("notes", "notes_folded", "service_user_contact"),
    "home_visit_events": ("changes",),
    "outbox_messages": ("reasons",),
    "idempotency_keys": ("subject", "key", "fingerprint", "home_visit", "created"),
    "carehq_intents": ("id", "subject", "key", "fingerprint", "care_enquiry", "home_visit", "started"),
    # Of contacts.
    "sightings": ("record",),
}
# IDs, times, numbers and choices; staff, homes and programs; how far the database has come.
KEPT = {
    "care_enquiries": ("id", "assigned_to", "location", "anonymized"),
    "service_user_contacts": ("id", "care_enquiry", "anonymized"),
    "home_visits": (
        *("number", "id", "care_enquiry", "location", "date_time", "visit_type", "host", "assigned_to", "created", "modified"),
        *("cancelled", "completed", "anonymized", "version", "confirmation"),
    ),
    "home_visit_events": ("number", "id", "sequence", "at", "actor", "type", "home_visit", "care_enquiry", "location", "version"),
    "outbox_messages": (
        *("id", "home_visit", "sequence", "status", "date_time", "previous", "created", "due", "give_up", "ended", "attempts"),
        *("leased_until", "method"),
    ),
    "users": (
        *("id", "first_name", "last_name", "email", "locations", "location_role", "suspended", "name_folded", "search_folded"),
    ),
    "locations": ("id", "name", "email", "phone", "time_zone", "name_folded", "search_folded"),
    "api_keys": (
        *("key", "account_id", "subject", "secret", "roles", "locations", "allows_signature_1", "created", "last_used"),
        "revoked",
    ),
    "sightings": ("location", "home_visit"),
    "used_nonces": ("key", "nonce", "used"),
    "carehq_account": ("id", "url", "account_id", "holder", "held_until", "last_synced", "compared"),
    "carehq_walks": ("kind", "watermark", "began", "since", "page", "item_count", "has_shrunk"),
    "notes_refolding": ("id", "number"),
    "unpurged_wipes": ("id",),
    "alembic_version": ("version_num",),
}
# What SQLite keeps beside a table to search it by; the text of wiped rows is looked for in its files elsewhere.
INDEX = {"_data": ("id", "block"), "_idx": ("segid", "term", "pgno"), "_config": ("k", "v")}
INDEXES = {
    "home_visits_notes": ("notes_folded",),
    **{f"{table}_search": ("search_folded",) for table in ("care_enquiries", "service_user_contacts")},
}
NUMBERS = {f"{table}_numbers": ("number", "record") for table in ("care_enquiries", "service_user_contacts")}


def test_every_column_is_wiped_or_named_as_saying_nothing_about_a_family(database: Database, path: Path) -> None:
    decided = {table: {*WIPED.get(table, ()), *KEPT.get(table, ())} for table in WIPED.keys() | KEPT.keys()}
    searched = {f"{table}{suffix}": columns for table in INDEXES for suffix, columns in INDEX.items()}
    decided |= {table: set(columns) for table, columns in (INDEXES | searched | NUMBERS).items() if is_sqlite()}

    columns = {table: set(inspect(path).columns(table)) for table in inspect(path).definitions("table")}

    assert columns == decided


@pytest.mark.parametrize("by_age", [True, False])
async def test_nothing_stays_in_the_columns_that_are_wiped(
    by_age: bool, visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    id = (await visits.book(booking(service_user_contact=DAUGHTER), idempotency_key="zebrafish")).id
    await visits.complete(id)
    await keep(database, visit(1, care_enquiry=REID, location=ROWAN, service_user_contact=DAUGHTER, completed=clock()))
    families = {"care_enquiries": f"id = '{REID}'", "service_user_contacts": f"id = '{DAUGHTER}'"}
    changes = json.dumps([["notes", "zebrafish", "zebrafish"], ["service_user_contact", None, DAUGHTER]])
    for table in ("care_enquiries", "service_user_contacts", "home_visits", "home_visit_events", "outbox_messages"):
        texts = {column: f"zebrafish {column}" for column in WIPED[table]} | {"changes": changes}
        values = ", ".join(f"{name} = '{texts[name]}'" for name in WIPED[table] if name != "service_user_contact")
        inspect(path).execute(f"UPDATE {table} SET {values} WHERE {families.get(table, 'TRUE')}")  # noqa: S608 - our own names
    intents = [
        Intent(id=table, subject="clerk", key=f"zebrafish {table}", started=clock(), **{reference: of})
        for table, reference, of in (("a", "care_enquiry", REID), ("b", "home_visit", id))
    ]
    await database.write(lambda session: session.add_all(intents))
    seen = [table for table in WIPED if DAUGHTER in repr(rows_of(path, table))]
    there = {name for name in sum(WIPED.values(), ()) if f"zebrafish {name}" in repr(everything_in(path))}

    if by_age:
        clock.advance(days=365, seconds=1)
        await anonymize(database, 365, clock, mail=tmp_path)
    else:
        await erase(database, Person(frozenset({REID}), frozenset()), clock, mail=tmp_path)

    assert seen == ["service_user_contacts", "home_visits", "home_visit_events", "sightings"]
    assert there == {*WIPED["care_enquiries"], "notes", "notes_folded", "reasons"}
    assert "zebrafish" not in repr(everything_in(path))
    assert rows_of(path, "idempotency_keys") == []
    assert rows_of(path, "carehq_intents") == []
    assert [table for table in WIPED if DAUGHTER in repr(rows_of(path, table))] == ["service_user_contacts"]
