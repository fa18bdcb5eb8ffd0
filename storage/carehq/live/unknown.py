"""What documents refer to and is not known here: asked for before they are stored, so that nobody sees a visit of nobody."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from storage.carehq.documents import Document, Kind, UserDocument
from storage.carehq.live.lists import REFERENCES
from storage.database import Database
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

# Contacts name enquiries, and both name users and locations.
OUTERMOST_FIRST = tuple(reversed(REFERENCES))


def named(kind: Kind, documents: Iterable[Document]) -> dict[str, set[str]]:
    """Return the IDs that documents of one kind refer to, by the name of the kind that they are of."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    references = {key.parent.name: key.column.table.name for key in kind.table.foreign_keys}
    for document in documents:
        for field, name in references.items():
            if id := getattr(document, field):
                ids[name].add(id)
        if isinstance(document, UserDocument):
            ids["locations"].update(document.locations or ())
    return ids


async def unknown(database: Database, kind: Kind, ids: Iterable[str]) -> set[str]:
    """Return those of which nothing is stored, or nothing but the ID."""
    candidates = set(ids)
    if not candidates:
        return candidates
    rows: Sequence[Any] = await database.fetch(
        _with_details(database.dialect, kind), {"ids": database.dialect.list_value(sorted(candidates))}
    )
    return candidates - {row[0] for row in rows}


@lru_cache
def _with_details(dialect: Dialect, kind: Kind) -> Statement:
    table = kind.table
    details = [table.c[name] for name in kind.document.model_fields if name != "id" and table.c[name].nullable]
    has_details = sa.or_(*(column.is_not(None) for column in details))
    return compiled(dialect, sa.select(table.c.id).where(dialect.is_member(table.c.id, "ids"), has_details))
