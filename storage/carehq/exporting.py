"""CareHQ documents out of the database, in the form in which they came."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, BinaryIO

import orjson
import sqlalchemy as sa

from storage.carehq.documents import Kind, kind_named
from storage.database import Database
from storage.instants import Instant, stored
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

BATCH = 1000
WHOLE_SECONDS = len("2024-11-03T11:00:00")


async def export_documents(database: Database, out: BinaryIO, kind: str = "home_visits") -> int:
    """Write the documents of a kind as a JSON array, one a line in the order of their IDs, and return how many there are.

    A record of which only the ID is stored is left out: whatever refers to it brings it back.
    While others write, each document is whole, and none that was there from the start is missed. Raises UnknownKind.
    """
    documents = _documents(database, kind_named(kind))
    count = 0
    out.write(b"[")
    async for document in documents:
        out.write(b",\n" if count else b"\n")
        out.write(orjson.dumps(document))
        count += 1
    out.write(b"\n]\n")
    return count


async def _documents(database: Database, kind: Kind) -> AsyncIterator[dict[str, Any]]:
    fields = [(field.alias or name) for name, field in kind.document.model_fields.items()]
    forms = [_form(column) for column in _columns(kind)]
    page = _page(database.dialect, kind)
    after = ""
    while rows := await database.fetch(page, {"after": after}):
        for row in rows:
            values = (None if value is None else form(value) for form, value in zip(forms, row, strict=True))
            document = dict(zip(fields, values, strict=True))
            yield {
                name: value
                for name, value in document.items()
                if name not in kind.document.only_when_set or (value is not None and value is not False)
            }
        after = str(rows[-1][0])


def attributes_of(kind: Kind) -> dict[str, str]:
    """Return the names that documents of a kind have, in the order of the source's, each with the one that ours have."""
    return dict(sorted((field.alias or name, name) for name, field in kind.document.model_fields.items()))


def document_of(
    kind: Kind, record: Any, attributes: Collection[str], instead: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Return a record as a document of the source's with these attributes, null where there is nothing.

    `instead` has values by our names of columns, in place of the record's own.
    """
    names = [(attribute, name) for attribute, name in attributes_of(kind).items() if attribute in attributes]
    return {
        attribute: instead[name] if name in instead else _shown(kind.table.c[name], getattr(record, name))
        for attribute, name in names
    }


def _shown(column: sa.Column[Any], value: Any) -> Any:
    if value is None or isinstance(column.type, sa.JSON):
        return value
    return _form(column)(stored(value) if isinstance(value, datetime) else value)


def _columns(kind: Kind) -> list[sa.Column[Any]]:
    return [kind.table.c[name] for name in kind.document.model_fields]


@lru_cache
def _page(dialect: Dialect, kind: Kind) -> Statement:
    table, columns = kind.table, _columns(kind)
    rows = sa.select(*columns).where(table.c.id > sa.bindparam("after", type_=sa.String()))
    details = [column for column in columns if column is not table.c.id]
    if all(column.nullable or column.server_default is not None for column in details):
        rows = rows.where(sa.or_(*(column.is_not(None) if column.nullable else column for column in details)))
    # Without an offset SQLAlchemy would put one into the statement, as a value.
    rows = rows.order_by(table.c.id).limit(sa.literal_column(str(BATCH))).offset(sa.literal_column("0"))
    return compiled(dialect, rows)


def _form(column: sa.Column[Any]) -> Callable[[Any], Any]:
    """Return what turns a value of the column, as stored, into what the source writes."""
    if isinstance(column.type, sa.JSON):
        return orjson.loads
    if isinstance(column.type, sa.Boolean):
        return bool
    if isinstance(column.type, Instant):
        # Cut, not rounded: who asks again for what was modified since then misses nothing.
        return lambda text: text[:WHOLE_SECONDS].replace("T", " ")
    return str.lower if isinstance(column.type, sa.Enum) else str
