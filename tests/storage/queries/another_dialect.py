"""The SQL of another database, so that tests see what of a query is SQLite's."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlmodel import Session

from storage.queries.dialect import Access, AccessPath, ConditionShape, Dialect, Joined, OrderShape


def texts(parameter: str) -> sa.BindParameter[Any]:
    return sa.bindparam(parameter, type_=sa.ARRAY(sa.String()))


class AnotherDialect(Dialect):
    """PostgreSQL's, as far as queries need one: lists are arrays, and a path is only walked or scanned."""

    sqlalchemy = PGDialect_asyncpg()
    numbers_after_commit = True

    def list_value(self, texts: Sequence[str]) -> Any:
        return list(texts)

    def is_member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        return column == sa.func.any(texts(parameter))

    def shares_member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        return sa.func.jsonb_exists_any(sa.cast(column, JSONB), texts(parameter))

    def numbered(self, parameter: str, name: str) -> sa.FromClause:
        listed = sa.func.unnest(texts(parameter)).table_valued("value", with_ordinality="key", name=name)
        return listed.render_derived()

    def contains(self, folded: sa.ColumnElement[str], parameter: str) -> sa.ColumnElement[bool]:
        return sa.func.strpos(folded, sa.bindparam(parameter, type_=sa.String())) > sa.literal_column("0")

    def indexed_keyword(self, keyword: str, before: str | None = None) -> str | None:  # noqa: ARG002 - it looks at every row
        return f"%{keyword}%"

    def is_indexed(self, folded: sa.Column[Any], parameter: str) -> sa.ColumnElement[bool]:
        return folded.like(sa.bindparam(parameter, type_=sa.String()))

    def words(self, keyword: str) -> None:
        pass

    def has_words(self, folded: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:  # noqa: ARG002 - of no words, all have
        return sa.true()

    def page_paths(self, conditions: ConditionShape, order: OrderShape) -> Sequence[AccessPath]:
        several = next((name for name, form in conditions if form == "few"), None)
        merged = [AccessPath(Access.MERGED, 2, several)] if several and order[0][0] == "date_time" else []
        return [AccessPath(Access.IN_ORDER, 1), *merged, AccessPath(Access.SCAN)]

    def event_paths(self, leads: ConditionShape) -> Sequence[AccessPath]:
        return [AccessPath(Access.MERGED, mergeable=leads[0][0])] if leads else [AccessPath(Access.IN_ORDER)]

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

    def nested_paths(self, _conditions: ConditionShape) -> Sequence[AccessPath]:
        return [AccessPath(Access.IN_ORDER, 1), AccessPath(Access.SCAN)]

    def count_paths(self, _conditions: ConditionShape) -> Sequence[AccessPath]:
        return [AccessPath(Access.FEWEST)]

    def search_paths(self, walk: AccessPath, _order: OrderShape) -> Sequence[AccessPath]:
        return [walk._replace(max_steps=1), AccessPath(Access.SCAN)]

    def group_paths(self, _conditions: ConditionShape, _groupings: frozenset[str]) -> Sequence[AccessPath]:
        return [AccessPath(Access.FEWEST, 1), AccessPath(Access.SCAN)]

    def utc_day(self, instant: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.to_char(instant, sa.literal_column("'YYYY-MM-DD'"))

    def is_at_or_after(self, instant: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        return sa.cast(instant, sa.Time()) >= sa.bindparam(parameter, type_=sa.Time())

    def without_index(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column

    def scanning(self, query: sa.Select[Any], _table: sa.FromClause) -> sa.Select[Any]:
        return query

    def planned_whole(self, query: sa.Select[Any]) -> sa.Select[Any]:
        return query

    def is_walked(self, _name: str, _form: str, _order: OrderShape) -> bool:
        return True

    def joined(self, lists: sa.FromClause, keys: sa.Select[Any], table: sa.Table, *, outer: bool, key: str = "number") -> Joined:
        firsts, found = keys.lateral("firsts"), table.alias("found")
        join = lists.join(firsts, sa.true(), isouter=outer).join(found, found.c[key] == firsts.c[key], isouter=outer)
        return Joined(join, found)

    def by_code_points(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column

    def index_new(self, session: Session, table: sa.Table, texts: Sequence[tuple[str, str | None]]) -> None:
        raise NotImplementedError

    def new_identifier(self, instant: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        raise NotImplementedError

    def lock_numbers(self, session: Session) -> None:
        raise NotImplementedError

    def number_events(self, session: Session, limit: int) -> int:
        raise NotImplementedError
