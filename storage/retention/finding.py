"""Whose data are kept: people by their email address, told apart, and the records that one of them was asked for by."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

import sqlalchemy as sa

from storage.database import Database
from storage.errors import AmbiguousPerson, NobodyFound
from storage.folding import folded
from storage.identifiers import identifier
from storage.models import CareEnquiry, ServiceUserContact, table_of
from storage.names import plain
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

ROWS = 5_000
ENQUIRIES, CONTACTS = table_of(CareEnquiry), table_of(ServiceUserContact)


class Subject(NamedTuple):
    """What is kept about one person: care enquiries, each with its contacts and visits, and contacts of other enquiries."""

    care_enquiries: frozenset[str]
    contacts: frozenset[str]


class SubjectRequest(NamedTuple):
    """Whom an operator names: by an email address, or by IDs."""

    email: str | None = None
    care_enquiries: Collection[str] = ()
    contacts: Collection[str] = ()


class _Found(NamedTuple):
    """A record that has the address; `name` is that of the person, folded."""

    table: sa.Table
    id: str
    name: str
    care_enquiry: str | None


async def find_subject(database: Database, request: SubjectRequest) -> Subject:
    """Return whom a request names; raise NobodyFound, or AmbiguousPerson for an address that several records have."""
    email, *ids = request
    if (email is None) != any(ids):
        raise NobodyFound("Name one person: by --email, or by --care-enquiry and --contact.")
    return await _by_ids(database, request) if email is None else await _by_email(database, email)


async def _by_ids(database: Database, request: SubjectRequest) -> Subject:
    _, care_enquiries, contacts = request
    for table, ids in ((ENQUIRIES, care_enquiries), (CONTACTS, contacts)):
        for id in ids:
            if identifier(id) is None or not await database.fetch(_exists(database.dialect, table), {"id": id}):
                raise NobodyFound(f"There is no {_NAMES[table]} {id.encode(errors='replace').decode()}. Check the ID.")
    return Subject(frozenset(care_enquiries), frozenset(contacts))


async def _by_email(database: Database, email: str) -> Subject:
    found = [*await _with_email(database, ENQUIRIES, email), *await _with_email(database, CONTACTS, email)]
    if not found:
        raise NobodyFound("Nobody is kept with this email address, as far as it was not wiped.")
    if len(found) > 1:
        raise AmbiguousPerson(_told_apart(found))
    [one] = found
    ids = frozenset({one.id})
    return Subject(ids, frozenset()) if one.table is ENQUIRIES else Subject(frozenset(), ids)


async def _with_email(database: Database, table: sa.Table, email: str) -> list[_Found]:
    sought, after, found = _key(email), "", list[_Found]()
    while rows := await database.fetch(_addresses(database.dialect, table), {"after": after}):
        for id, address, first, last, enquiry in rows:
            if _key(str(address)) == sought:
                name = plain(f"{first or ''} {last or ''}")
                found.append(_Found(table, str(id), name, enquiry if table is CONTACTS else None))  # type: ignore[arg-type]  # an ID
        after = str(rows[-1][0])
    return found


def _key(address: str) -> str:
    return folded(address.strip())


def _told_apart(found: Sequence[_Found]) -> str:
    """Say who it may be without saying anything about them: an operator looks at each by its ID."""
    people = list(dict.fromkeys(one.name for one in found))
    lines = [f"  {_described(one)}: person {people.index(one.name) + 1}" for one in found]
    several = f"{len(people)} people, by their names," if len(people) > 1 else "One name"
    have = "have" if len(people) > 1 else "has"
    sentence = f"{several} {have} this email address, in {len(found)} records. Name those that are meant, each by its own option:"
    return "\n".join([sentence, *lines])


def _described(one: _Found) -> str:
    option = f"--{_NAMES[one.table].replace(' ', '-')} {one.id}"
    return option if one.table is ENQUIRIES else f"{option} (of care enquiry {one.care_enquiry or 'unknown'})"


_NAMES = {ENQUIRIES: "care enquiry", CONTACTS: "contact"}


@lru_cache
def _exists(dialect: Dialect, table: sa.Table) -> Statement:
    return compiled(dialect, sa.select(table.c.id).where(table.c.id == sa.bindparam("id", type_=sa.String())))


@lru_cache
def _addresses(dialect: Dialect, table: sa.Table) -> Statement:
    """Select the next records that have an address: nobody who asks is left out for how they were folded."""
    columns = [table.c.id, table.c.email, table.c.first_name, table.c.last_name]
    enquiry = table.c.care_enquiry if table is CONTACTS else table.c.id
    query = sa.select(*columns, enquiry.label("care_enquiry"))
    query = query.where(table.c.id > sa.bindparam("after", type_=sa.String()), table.c.email.is_not(None)).order_by(table.c.id)
    return compiled(dialect, query.limit(sa.literal_column(str(ROWS))).offset(sa.literal_column("0")))
