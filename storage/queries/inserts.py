"""Inserts that are compiled once: what a session finds out anew for each record costs more than the database does."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from storage.models import table_of
from storage.queries.dialect import Dialect, dialect_of


class Insert:
    """Writes rows of one table at once, after whatever the session has not written yet. A value that is left out is null."""

    def __init__(self, model: type[SQLModel]) -> None:
        self._table = table_of(model)

    def __call__(self, session: Session, values: Mapping[str, Any]) -> None:
        session.flush()
        insert = _compiled(dialect_of(session), self._table)
        stored = tuple(store(values.get(name)) for name, store in insert.columns)
        session.connection().exec_driver_sql(insert.text, stored)


class _CompiledInsert(NamedTuple):
    """`columns` are the names in the order of the parameters, each with what turns a value into the driver's."""

    text: str
    columns: list[tuple[str, Callable[[Any], Any]]]


@lru_cache
def _compiled(dialect: Dialect, table: sa.Table) -> _CompiledInsert:
    # The database numbers rows itself.
    columns = [column for column in table.columns if column is not table.autoincrement_column]
    insert = sa.insert(table).inline()
    text = str(insert.compile(dialect=dialect.sqlalchemy, column_keys=[column.name for column in columns]))
    return _CompiledInsert(text, [(column.name, _stored_by(column, dialect.sqlalchemy)) for column in columns])


def _stored_by(column: sa.Column[Any], dialect: sa.Dialect) -> Callable[[Any], Any]:
    return column.type.dialect_impl(dialect).bind_processor(dialect) or (lambda value: value)
