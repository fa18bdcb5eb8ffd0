"""PostgreSQL's SQL: lists as arrays, keywords by trigrams, and drivers' rows as they come."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlmodel import Session

from storage.postgresql import access_paths, numbering
from storage.queries.dialect import Access, AccessPath, ConditionShape, Dialect, Joined, OrderShape
from storage.queries.selectivity import has_indexed_text

# A word of three characters or more has a trigram that the index can be asked for.
_HAS_TRIGRAM = re.compile(r"[^\W_]{3}")
_ESCAPED = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})


class SQLAlchemyDialect(PGDialect_asyncpg):
    """JSON is text in a row, and decoded only where a session loads it: SQLAlchemy's codec would decode it in each."""

    supports_statement_cache = True
    # Else nobody would decode it: no codec is set up for it.
    supports_native_json_deserialization = False
    colspecs = {kind: adapted for kind, adapted in PGDialect_asyncpg.colspecs.items() if kind is not sa.JSON}  # noqa: RUF012 - as there

    def on_connect(self) -> None:
        return None


class PostgreSQLDialect(Dialect):
    sqlalchemy: sa.Dialect = SQLAlchemyDialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    numbers_after_commit = True

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

    def is_indexed(self, folded: sa.Column[Any], parameter: str) -> sa.ColumnElement[bool]:
        return folded.like(sa.func.any(_texts(parameter)))

    def words(self, keyword: str) -> list[str] | None:
        words = [word for word in keyword.split() if _HAS_TRIGRAM.search(word)]
        return [f"%{word.translate(_ESCAPED)}%" for word in words] if len(words) > 1 else None

    def has_words(self, folded: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        return folded.like(sa.func.all(_texts(parameter)))

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
        # Of an order by one column alone the planner would take another index, and walk past all other values.
        after, before = (sa.tuple_(value, bound) for bound in bounds)
        place = sa.tuple_(column, order)
        query = query.where(place > after, place < before)
        return query.order_by(*((column.desc(), order.desc()) if backward else (column, order)))

    def nested_paths(self, conditions: ConditionShape) -> Sequence[AccessPath]:
        return [AccessPath(Access.SCAN if has_indexed_text(conditions) else Access.IN_ORDER)]

    def count_paths(self, conditions: ConditionShape) -> Sequence[AccessPath]:
        return [AccessPath(Access.SCAN if has_indexed_text(conditions) else Access.FEWEST)]

    def group_paths(self, conditions: ConditionShape, groupings: frozenset[str]) -> Sequence[AccessPath]:
        del groupings
        return self.count_paths(conditions)

    def utc_day(self, instant: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.to_char(_in_utc(instant), sa.literal_column("'YYYY-MM-DD'"), type_=sa.String())

    def is_at_or_after(self, instant: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        return sa.cast(_in_utc(instant), sa.Time()) >= sa.cast(_text(parameter), sa.Time())

    def search_paths(self, _walk: AccessPath, _order: OrderShape) -> Sequence[AccessPath]:
        return [AccessPath(Access.SCAN)]

    def without_index(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column

    def scanning(self, query: sa.Select[Any], table: sa.FromClause) -> sa.Select[Any]:  # noqa: ARG002 - the planner counts rows
        return query

    def planned_whole(self, query: sa.Select[Any]) -> sa.Select[Any]:
        # To find the first groups soon the planner would walk along an index of all visits. In this order none is the first.
        return query.order_by(sa.func.count())

    def is_walked(self, name: str, form: str, order: OrderShape) -> bool:
        return access_paths.is_walked(name, form, order[0][0])

    def joined(self, lists: sa.FromClause, keys: sa.Select[Any], table: sa.Table, *, outer: bool, key: str = "number") -> Joined:
        del key  # the rows themselves: to look each up by its key again would take twice as long
        found = keys.with_only_columns(*table.c).lateral("found")
        return Joined(lists.join(found, sa.true(), isouter=outer), found)

    def by_code_points(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column.collate("C")

    def index_new(self, session: Session, table: sa.Table, texts: Sequence[tuple[str, str | None]]) -> None:
        """PostgreSQL's indexes take many rows of one statement at once."""

    def new_identifier(self, instant: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        del instant
        return sa.null()  # a trigger makes it

    def lock_numbers(self, session: Session) -> None:
        numbering.lock_numbers(session)

    def number_events(self, session: Session, limit: int) -> int:
        return numbering.number_events(session, limit)


def _in_utc(instant: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.timezone(sa.literal_column("'UTC'"), instant)


def _texts(parameter: str) -> sa.BindParameter[Any]:
    return sa.bindparam(parameter, type_=sa.ARRAY(sa.String()))


def _text(parameter: str) -> sa.BindParameter[Any]:
    return sa.bindparam(parameter, type_=sa.String())


DIALECT = PostgreSQLDialect()


def register() -> None:
    """Make the dialect known to SQLAlchemy, which finds them by name."""
    registry.register("postgresql.home_visits", __name__, "SQLAlchemyDialect")
