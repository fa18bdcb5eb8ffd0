"""Inserts that are compiled once: what a session finds out anew for each record costs more than the database does."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from storage.models import table_of
from storage.queries.dialect import Dialect, dialect_of

# The columns of a new row that are computed by SQL, by their names.
Computed = Callable[[Dialect], Mapping[str, sa.ColumnElement[Any]]]


def _nothing(_dialect: Dialect) -> Mapping[str, sa.ColumnElement[Any]]:
    return {}


class Insert:
    """Writes rows of one table at once, after whatever the session has not written yet. A value that is left out is null."""

    def __init__(self, model: type[SQLModel], computed: Computed = _nothing) -> None:
        self._table = table_of(model)
        self._computed = computed

    def __call__(self, session: Session, values: Mapping[str, Any]) -> None:
        session.flush()
        insert = _compiled(dialect_of(session), self._table, self._computed)
        session.connection().exec_driver_sql(insert.text, insert.stored(values))

    def several(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows in their order."""
        session.flush()
        insert = _compiled(dialect_of(session), self._table, self._computed)
        if rows:
            session.connection().exec_driver_sql(insert.text, list(map(insert.stored, rows)))


class _CompiledInsert(NamedTuple):
    """`columns` are the names in the order of the parameters, each with what turns a value into the driver's."""

    text: str
    columns: list[tuple[str, Callable[[Any], Any]]]

    def stored(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(store(values.get(name)) for name, store in self.columns)


@lru_cache
def _compiled(dialect: Dialect, table: sa.Table, computed: Computed = _nothing) -> _CompiledInsert:
    expressions = computed(dialect)
    # The database numbers rows itself.
    columns = [c for c in table.columns if c is not table.autoincrement_column and c.name not in expressions]
    insert = sa.insert(table).values(expressions).inline() if expressions else sa.insert(table).inline()
    text = str(insert.compile(dialect=dialect.sqlalchemy, column_keys=[column.name for column in columns]))
    return _CompiledInsert(text, [(column.name, _stored_by(column, dialect.sqlalchemy)) for column in columns])


def _stored_by(column: sa.Column[Any], dialect: sa.Dialect) -> Callable[[Any], Any]:
    return column.type.dialect_impl(dialect).bind_processor(dialect) or (lambda value: value)
