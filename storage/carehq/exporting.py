"""CareHQ documents out of the database, in the form in which they came."""

from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO

import orjson
import sqlalchemy as sa

from storage.carehq.documents import Kind, kind_named
from storage.instants import Instant, instant, stored
from storage.queries.statements import compiled
from storage.sqlite.database import Database

BATCH = 1000


async def export_documents(database: Database, out: BinaryIO, kind: str = "home_visits") -> int:
    """Write the documents of a kind as a JSON array, one a line in the order of their IDs, and return how many there are.

    A record of which only the ID is known is left out: whatever refers to it brings it back.
    While others write, each document is whole, and none that was there from the start is missed. Raises UnknownKind.
    """
    count = 0
    told = kind_named(kind)
    out.write(b"[")
    async for document in _documents(database, told):
        out.write(b",\n" if count else b"\n")
        out.write(orjson.dumps(document))
        count += 1
    out.write(b"\n]\n")
    return count


async def _documents(database: Database, kind: Kind) -> AsyncIterator[dict[str, Any]]:
    columns = [kind.table.c[name] for name in kind.document.model_fields]
    fields = [(field.alias or name) for name, field in kind.document.model_fields.items()]
    forms = [_form(column) for column in columns]
    page = compiled(_page(kind.table, columns))
    after = ""
    while rows := await database.fetch(page, {"after": after}):
        for row in rows:
            values = (None if value is None else form(value) for form, value in zip(forms, row, strict=True))
            document = dict(zip(fields, values, strict=True))
            yield {
                name: value for name, value in document.items() if value is not None or name not in kind.document.only_when_set
            }
        after = rows[-1][0]


def _page(table: sa.Table, columns: list[sa.Column[Any]]) -> sa.Select[*tuple[Any, ...]]:
    rows = sa.select(*columns).where(table.c.id > sa.bindparam("after", type_=sa.String()))
    details = [column for column in columns if column is not table.c.id]
    if all(column.nullable for column in details):
        rows = rows.where(sa.or_(*(column.is_not(None) for column in details)))
    # Without an offset SQLAlchemy would put one into the statement, as a value.
    return rows.order_by(table.c.id).limit(sa.literal_column(str(BATCH))).offset(sa.literal_column("0"))


def _form(column: sa.Column[Any]) -> Callable[[Any], str]:
    """Return what turns a value of the column, as stored, into what the source writes."""
    if isinstance(column.type, Instant):
        return lambda value: stored(instant(value) if isinstance(value, str) else value).replace("T", " ")
    return str.lower if isinstance(column.type, sa.Enum) else str
