"""Rows written by statements that are compiled once: what a session finds out anew for each record costs more than SQLite."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from storage.queries.statements import DIALECT


class Insert:
    """Writes rows of one table at once, after whatever the session has not written yet. What is not given is null."""

    def __init__(self, model: type[SQLModel]) -> None:
        table: sa.Table = model.__table__  # type: ignore[attr-defined]  # every table model has one
        self._text = str(sa.insert(table).compile(dialect=DIALECT))
        self._columns = [(column.name, _stored_by(column)) for column in table.columns]

    def __call__(self, session: Session, values: Mapping[str, Any]) -> None:
        session.flush()
        stored = tuple(store(values.get(name)) for name, store in self._columns)
        session.connection().exec_driver_sql(self._text, stored)


def _stored_by(column: sa.Column[Any]) -> Callable[[Any], Any]:
    return column.type.dialect_impl(DIALECT).bind_processor(DIALECT) or (lambda value: value)
