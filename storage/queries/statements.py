"""SQL as the driver takes it: built by SQLAlchemy, compiled once for each shape of what is asked."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

# Instructions of SQLite's machine: some 2,500 rows found by an index, each at another place of the file, in five milliseconds.
SOON_STEPS = 20_000


class _Compiler(SQLiteCompiler):
    def get_from_hint_text(self, _table: sa.FromClause, text: str | None) -> str | None:
        return text


DIALECT = sa.create_engine("sqlite://", paramstyle="qmark").dialect
DIALECT.statement_compiler = _Compiler


class Statement(NamedTuple):
    """SQL as the driver takes it, and the names of its parameters in their order.

    `instead` asks the same in another way, for when this one turns out to take more than so many `steps` of SQLite's machine.
    """

    text: str
    names: tuple[str, ...]
    fallback: "Statement | None" = None
    max_steps: int = SOON_STEPS

    def given(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self.names]


def compiled(query: sa.Select[*tuple[Any, ...]], fallback: sa.Select[*tuple[Any, ...]] | None = None) -> Statement:
    """Compile once what runs often: values that differ between calls must be named parameters."""
    done = query.compile(dialect=DIALECT)
    if done.positiontup is None:
        raise TypeError("the dialect must number its parameters")
    fixed = {name: value for name, value in done.params.items() if value is not None}
    if fixed:
        raise TypeError(f"values compiled into a statement: {fixed}")
    return Statement(str(done), tuple(done.positiontup), None if fallback is None else compiled(fallback))
