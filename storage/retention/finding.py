"""Whose data are kept: people by their email address, told apart, and the records that one of them was asked for by."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

import sqlalchemy as sa

from storage.database import Database
from storage.errors import AmbiguousPerson, NobodyFound, PersonUnnamed
from storage.folding import folded
from storage.identifiers import identifier
from storage.models import CareEnquiry, ServiceUserContact, table_of
from storage.names import plain
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

ROWS = 5_000
ENQUIRIES, CONTACTS = table_of(CareEnquiry), table_of(ServiceUserContact)


class Person(NamedTuple):
    """The records of one person: care enquiries, each with its contacts and visits, and contacts of other enquiries."""

    care_enquiries: frozenset[str]
    contacts: frozenset[str]


class PersonRequest(NamedTuple):
    """Whom an operator names: by an email address, or by IDs."""

    email: str | None = None
    care_enquiries: Collection[str] = ()
    contacts: Collection[str] = ()


class _Match(NamedTuple):
    """A record with the address that was named, or one like it; `name` is that of the person, folded."""

    table: sa.Table
    id: str
    name: str
    care_enquiry: str | None
    is_exact: bool


def require_named(request: PersonRequest) -> None:
    """Raise PersonUnnamed for a request that names nobody, or one person in two ways."""
    if (request.email is None) != any((request.care_enquiries, request.contacts)):
        raise PersonUnnamed("Name one person: by --email, or by --care-enquiry and --contact.")
    if request.email is not None and not folded(request.email.strip()):
        raise PersonUnnamed("The email address is blank: name one person by theirs, or by --care-enquiry and --contact.")


async def find_person(database: Database, request: PersonRequest) -> Person:
    """Return whom a request names; raise PersonUnnamed, NobodyFound, or AmbiguousPerson where it may be several records."""
    require_named(request)
    return await _by_ids(database, request) if request.email is None else await _by_email(database, request.email)


async def _by_ids(database: Database, request: PersonRequest) -> Person:
    for table, ids in ((ENQUIRIES, request.care_enquiries), (CONTACTS, request.contacts)):
        for id in ids:
            if identifier(id) is None or not await database.fetch(_exists(database.dialect, table), {"id": id}):
                raise NobodyFound(f"There is no {_NAMES[table]} {id.encode(errors='replace').decode()}. Check the ID.")
    return Person(frozenset(request.care_enquiries), frozenset(request.contacts))


async def _by_email(database: Database, email: str) -> Person:
    matches = [*await _matches(database, ENQUIRIES, email), *await _matches(database, CONTACTS, email)]
    if not matches:
        raise NobodyFound("Nobody is kept with this email address, as far as it was not wiped.")
    if len(matches) > 1 or not matches[0].is_exact:
        raise AmbiguousPerson(_list(matches))
    ids = frozenset({matches[0].id})
    return Person(ids, frozenset()) if matches[0].table is ENQUIRIES else Person(frozenset(), ids)


async def _matches(database: Database, table: sa.Table, email: str) -> list[_Match]:
    """Return the records whose address a search takes for this one: more than are meant, as `straße` and `strasse`."""
    key, after, matches = folded(email.strip()), "", list[_Match]()
    while rows := await database.fetch(_addresses(database.dialect, table), {"after": after}):
        for id, address, first, last, enquiry in rows:
            if folded(str(address).strip()) == key:
                name, is_exact = plain(f"{first or ''} {last or ''}"), _in_lower_case(str(address)) == _in_lower_case(email)
                matches.append(_Match(table, str(id), name, enquiry if table is CONTACTS else None, is_exact))  # type: ignore[arg-type]  # an ID
        after = str(rows[-1][0])
    return matches


def _in_lower_case(address: str) -> bytes:
    # Of text, `lower` makes one of letters that are not the same: the sign for Kelvin is a `k` then.
    return address.strip().encode(errors="surrogatepass").lower()


def _list(matches: Sequence[_Match]) -> str:
    """Say who it may be without saying anything about them: an operator looks at each by its ID."""
    people = list(dict.fromkeys(match.name for match in matches))
    lines = [f"  {_described(match)}: person {people.index(match.name) + 1}" for match in matches]
    several = f"{len(people)} people, by their names, have" if len(people) > 1 else "One name has"
    records = "1 record" if len(matches) == 1 else f"{len(matches)} records"
    address = "this email address" if all(match.is_exact for match in matches) else "this email address or one like it"
    sentence = f"{several} {address}, in {records}. Name those that are meant, each by its own option:"
    return "\n".join([sentence, *lines])


def _described(match: _Match) -> str:
    option = f"--{_NAMES[match.table].replace(' ', '-')} {match.id}"
    return option if match.table is ENQUIRIES else f"{option} (of care enquiry {match.care_enquiry or 'unknown'})"


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
