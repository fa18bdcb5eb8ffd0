"""SQLite's SQL: lists as JSON, the index of keywords, and hints to its planner."""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression
from sqlmodel import Session

from storage.models import HomeVisit, table_of
from storage.queries.dialect import AccessPath, ConditionShape, Dialect, Joined, OrderShape
from storage.sqlite import access_paths, keywords, people

VISITS = table_of(HomeVisit)
PLUS = operators.custom_op[Any]("+")


class _Compiler(SQLiteCompiler):
    """Writes the hint of a table behind its name, which SQLAlchemy leaves out for SQLite."""

    def get_from_hint_text(self, _table: sa.FromClause, text: str | None) -> str | None:
        return text


class _Dialect(SQLiteDialect_pysqlite):
    statement_compiler = _Compiler
    supports_statement_cache = True


class SQLiteDialect(Dialect):
    sqlalchemy: sa.Dialect = _Dialect(paramstyle="qmark")
    numbers_after_commit = False

    def list_value(self, texts: Sequence[str]) -> str:
        return json.dumps(texts)

    def is_member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        return column.in_(sa.select(sa.func.json_each(_text(parameter)).table_valued("value").c.value))

    def shares_member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        member = sa.func.json_each(column).table_valued("value").c.value
        return sa.exists(sa.select(sa.literal_column("1")).where(self.is_member(member, parameter)))

    def numbered(self, parameter: str, name: str) -> sa.FromClause:
        return sa.func.json_each(_text(parameter)).table_valued("key", "value").alias(name)

    def contains(self, folded: sa.ColumnElement[str], parameter: str) -> sa.ColumnElement[bool]:
        return sa.func.instr(folded, _text(parameter)) > sa.literal_column("0")

    def indexed_keyword(self, keyword: str, before: str | None = None) -> str | None:
        texts = [keyword] if before is None else [keyword, before]
        if any(len(text) < keywords.SHORTEST for text in texts):
            return None
        return " OR ".join(f"({keywords.trigrams(text)})" for text in texts) if before else keywords.trigrams(keyword)

    def is_indexed(self, folded: sa.Column[Any], parameter: str) -> sa.ColumnElement[bool]:
        if folded.table is VISITS:
            return VISITS.c.number.in_(keywords.candidates(_text(parameter)))
        table = folded.table
        return table.c.id.in_(people.candidates(table.name, _text(parameter)))

    def words(self, keyword: str) -> None:
        """SQLite tries the index itself for so many steps."""

    def has_words(self, folded: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:  # noqa: ARG002 - of no words, all have
        return sa.true()

    def page_paths(self, conditions: ConditionShape, order: OrderShape) -> Sequence[AccessPath]:
        return access_paths.page_paths(conditions, order)

    def event_paths(self, leads: ConditionShape) -> Sequence[AccessPath]:
        return access_paths.event_paths(leads)

    def along(
        self,
        query: sa.Select[Any],
        column: sa.ColumnElement[Any],
        value: sa.ColumnElement[Any],
        order: sa.ColumnElement[Any],
        bounds: tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]],
        *,
        backward: bool,
    ) -> sa.Select[Any]:
        after, before = bounds
        query = query.where(column == value, order > after, order < before)
        return query.order_by(order.desc() if backward else order)

    def nested_paths(self, conditions: ConditionShape) -> Sequence[AccessPath]:
        return access_paths.nested_paths(conditions)

    def count_paths(self, conditions: ConditionShape) -> Sequence[AccessPath]:
        return access_paths.count_paths(conditions)

    def search_paths(self, walk: AccessPath, order: OrderShape) -> Sequence[AccessPath]:
        return access_paths.search_paths(walk, order)

    def group_paths(self, conditions: ConditionShape, groupings: frozenset[str]) -> Sequence[AccessPath]:
        return access_paths.group_paths(conditions, groupings)

    def utc_day(self, instant: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.substr(instant, sa.literal_column("1"), sa.literal_column("10"), type_=sa.String())

    def is_at_or_after(self, instant: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        return sa.func.substr(instant, sa.literal_column("12"), type_=sa.String()) >= _text(parameter)

    def without_index(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        # SQLite takes an index for the plain column, and then has to sort all that it finds.
        return UnaryExpression(column, operator=PLUS)

    def scanning(self, query: sa.Select[Any], table: sa.FromClause) -> sa.Select[Any]:
        # To look at all rows one after the other takes a tenth of looking them all up in the order of an index.
        return query.with_hint(table, "NOT INDEXED")

    def planned_whole(self, query: sa.Select[Any]) -> sa.Select[Any]:
        return query

    def is_walked(self, name: str, form: str, order: OrderShape) -> bool:  # noqa: ARG002 - its walks are bounded in steps
        return True

    def joined(self, lists: sa.FromClause, keys: sa.Select[Any], table: sa.Table, *, outer: bool, key: str = "number") -> Joined:
        found = table.alias("found")
        return Joined(lists.join(found, found.c[key].in_(keys), isouter=outer), found)

    def by_code_points(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column

    def index_new(self, session: Session, table: sa.Table, texts: Sequence[tuple[str, str | None]]) -> None:
        people.index_new(session, table.name, texts)

    def new_identifier(self, instant: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        seconds = sa.func.strftime(sa.literal_column("'%s'"), instant)
        random = sa.func.lower(sa.func.hex(sa.func.randomblob(sa.literal_column("8"))))
        return sa.func.printf(sa.literal_column("'%08x'"), seconds).concat(random)

    def lock_numbers(self, session: Session) -> None:
        """Whoever writes is alone."""

    def number_events(self, session: Session, limit: int) -> int:  # noqa: ARG002 - they are numbered when they are inserted
        return 0


def _text(parameter: str) -> sa.BindParameter[Any]:
    return sa.bindparam(parameter, type_=sa.String())


DIALECT = SQLiteDialect()
