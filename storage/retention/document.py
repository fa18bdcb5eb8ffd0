"""What is kept about one person, as one document: each record whole, with the columns' own names."""

import json
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from storage.carehq.live.intents import Intent
from storage.database import Database
from storage.events.appending import EVENTS, VISITS
from storage.instants import Instant
from storage.models import IdempotencyKey, table_of
from storage.outbox.messages import MESSAGES
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled
from storage.records import shown_columns
from storage.retention.finding import CONTACTS, ENQUIRIES, Person

Record = dict[str, Any]
Records = dict[str, list[Record]]

KEYS, INTENTS = table_of(IdempotencyKey), table_of(Intent)
# Of one statement.
IDS = 500


async def document_of(database: Database, person: Person) -> Records:
    """Return care enquiries, contacts and visits; of each visit its events, letters with whom they went to, and booking keys.

    Where an account is followed, what is asked of it just now and concerns them is there as `changes_in_carehq`.
    """
    enquiries = await _records(database, ENQUIRIES.c.id, person.care_enquiries)
    visits = await _by_id(
        database, {VISITS.c.care_enquiry: person.care_enquiries, VISITS.c.service_user_contact: person.contacts}
    )
    came_along = {visit["service_user_contact"] for visit in visits.values()} - {None}
    contacts = await _by_id(
        database, {CONTACTS.c.care_enquiry: person.care_enquiries, CONTACTS.c.id: came_along | person.contacts}
    )
    for name, table in (("events", EVENTS), ("letters", MESSAGES), ("idempotency_keys", KEYS)):
        for visit in visits.values():
            visit[name] = []
        for record in await _records(database, table.c.home_visit, visits):
            visits[record.pop("home_visit")][name].append(record)
    families = await _records(database, ENQUIRIES.c.id, {visit["care_enquiry"] for visit in visits.values()})
    addresses = {enquiry["id"]: enquiry["email"] for enquiry in families}
    for visit in visits.values():
        for letter in visit["letters"]:
            # Letters go to the address that the care enquiry has when they are sent; none is kept beside them.
            letter["address_now"] = addresses[visit["care_enquiry"]]
    document = {"care_enquiries": enquiries, "contacts": [*contacts.values()], "home_visits": [*visits.values()]}
    changes = await _by_id(database, {INTENTS.c.care_enquiry: person.care_enquiries, INTENTS.c.home_visit: visits})
    return document | ({"changes_in_carehq": [*changes.values()]} if changes else {})


async def _by_id(database: Database, conditions: dict[sa.Column[Any], Collection[str]]) -> dict[str, Record]:
    """Return, by their own IDs, the records that have one of some IDs in a column, or one of others in another."""
    return {record["id"]: record for column, ids in conditions.items() for record in await _records(database, column, ids)}


async def _records(database: Database, column: sa.Column[Any], ids: Collection[str]) -> list[Record]:
    """Return the records of a table that have one of these IDs in a column, in the order of their keys."""
    records, names = [], _columns(column.table)
    for part in _parts(sorted(ids)):
        rows = await database.fetch(_select(database.dialect, column), {"ids": database.dialect.list_value(part)})
        records += [{name: _value(column.table, name, value) for name, value in zip(names, row, strict=True)} for row in rows]
    return records


def _parts(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), IDS):
        yield ids[start : start + IDS]


def _columns(table: sa.FromClause) -> list[str]:
    return [name for name in shown_columns(table) if name != "fingerprint"]  # type: ignore[arg-type]  # the columns of a table


def _value(table: sa.FromClause, name: str, value: Any) -> Any:
    kind = table.c[name].type
    if value is None:
        return None
    if isinstance(kind, Instant):
        return f"{value}Z"
    return json.loads(value) if isinstance(kind, sa.JSON) else value


@lru_cache
def _select(dialect: Dialect, column: sa.Column[Any]) -> Statement:
    table: Any = column.table
    query = sa.select(*(table.c[name] for name in _columns(table))).where(dialect.is_member(column, "ids"))
    return compiled(dialect, query.order_by(*table.primary_key.columns))
