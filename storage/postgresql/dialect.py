"""PostgreSQL's SQL: lists as arrays, keywords by trigrams, and drivers' rows as they come."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlmodel import Session

from storage.postgresql import access_paths
from storage.queries.dialect import Access, AccessPath, ConditionShape, Dialect, Joined, OrderShape
from storage.queries.search import INDEXED_KEYWORD

# A word of three characters or more has a trigram that the index can be asked for.
_HAS_TRIGRAM = re.compile(r"[^\W_]{3}")
_ESCAPED = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})


class SQLAlchemyDialect(PGDialect_asyncpg):
    """JSON is text in a row, and decoded only where a session loads it: SQLAlchemy's codec would decode it in each."""

    supports_statement_cache = True
    colspecs = {kind: adapted for kind, adapted in PGDialect_asyncpg.colspecs.items() if kind is not sa.JSON}  # noqa: RUF012 - as there

    def on_connect(self) -> None:
        return None


class PostgreSQLDialect(Dialect):
    sqlalchemy: sa.Dialect = SQLAlchemyDialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own

    def list_value(self, texts: Sequence[str]) -> Any:
        return list(texts)

    def is_member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        return column == sa.func.any(_texts(parameter))

    def shares_member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        texts = sa.case((sa.func.json_typeof(column) == sa.literal_column("'array'"), column))
        member = sa.func.json_array_elements_text(texts).table_valued("value", name="members").render_derived().c.value
        return sa.exists(sa.select(sa.literal_column("1")).where(self.is_member(member, parameter)))

    def numbered(self, parameter: str, name: str) -> sa.FromClause:
        return sa.func.unnest(_texts(parameter)).table_valued("value", with_ordinality="key", name=name).render_derived()

    def contains(self, folded: sa.ColumnElement[str], parameter: str) -> sa.ColumnElement[bool]:
        return sa.func.strpos(folded, _text(parameter)) > sa.literal_column("0")

    def indexed_keyword(self, keyword: str, before: str | None = None) -> list[str] | None:
        texts = [keyword] if before is None else [keyword, before]
        if not all(map(_HAS_TRIGRAM.search, texts)):
            return None
        return [f"%{text.translate(_ESCAPED)}%" for text in texts]

    def is_indexed(self, visits: sa.FromClause, parameter: str) -> sa.ColumnElement[bool]:
        return visits.c.notes_folded.like(sa.func.any(_texts(parameter)))

    def page_paths(self, conditions: ConditionShape, order: OrderShape) -> Sequence[AccessPath]:
        return access_paths.page_paths(conditions, order)

    def nested_paths(self, conditions: ConditionShape) -> Sequence[AccessPath]:
        return [AccessPath(Access.SCAN if (INDEXED_KEYWORD, "") in conditions else Access.IN_ORDER)]

    def count_paths(self, conditions: ConditionShape) -> Sequence[AccessPath]:
        return [AccessPath(Access.SCAN if (INDEXED_KEYWORD, "") in conditions else Access.FEWEST)]

    def without_index(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column

    def scanning(self, query: sa.Select[Any], table: sa.FromClause) -> sa.Select[Any]:  # noqa: ARG002 - the planner counts rows
        return query

    def is_walked(self, name: str, form: str, order: OrderShape) -> bool:
        return access_paths.is_walked(name, form, order[0][0])

    def joined(self, lists: sa.FromClause, numbers: sa.Select[Any], table: sa.Table, *, outer: bool) -> Joined:
        # The rows themselves: to look each up by its number again would take twice as long.
        found = numbers.with_only_columns(*table.c).lateral("found")
        return Joined(lists.join(found, sa.true(), isouter=outer), found)

    def by_code_points(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column.collate("C")

    def insert_rows(self, session: Session, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
        # One array for each column, all of text: a third of the time that a statement for each row takes.
        types = [column.type.compile(self.sqlalchemy) for column in table.columns]
        values = ", ".join(f"CAST(c{index} AS {type})" for index, type in enumerate(types))
        arrays = ", ".join(f"${index + 1}::text[]" for index in range(len(types)))
        names = ", ".join(f"c{index}" for index in range(len(types)))
        insert = f"INSERT INTO {table.name} ({', '.join(table.c.keys())}) SELECT {values} FROM unnest({arrays}) AS r ({names})"  # noqa: S608 - our own names
        columns = [[None if value is None else str(value) for value in column] for column in zip(*rows, strict=True)]
        session.connection().exec_driver_sql(insert, tuple(columns))


def _texts(parameter: str) -> sa.BindParameter[Any]:
    return sa.bindparam(parameter, type_=sa.ARRAY(sa.String()))


def _text(parameter: str) -> sa.BindParameter[Any]:
    return sa.bindparam(parameter, type_=sa.String())


DIALECT = PostgreSQLDialect()


def register() -> None:
    """Make the dialect known to SQLAlchemy, which finds them by name."""
    registry.register("postgresql.home_visits", __name__, "SQLAlchemyDialect")
