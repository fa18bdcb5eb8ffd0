"""What differs between databases in the SQL of queries: one object for each, handed to whatever builds or runs a statement."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

# The conditions of a list by name and form, and its order by column and whether it descends: what its SQL depends on.
ConditionShape = tuple[tuple[str, str], ...]
OrderShape = tuple[tuple[str, bool], ...]


class Access(Enum):
    """How the rows of a list are found."""

    FEWEST = auto()  # by the index that leaves the fewest rows
    IN_ORDER = auto()  # along an index that has the order of the list
    MERGED = auto()  # the first rows of a few lists, each along an index in that order
    SCAN = auto()  # all rows are looked at, or those that the index of keywords finds
    SORTED = auto()  # all that meet the conditions, by whichever index leaves the fewest, and then sorted
    WALK = auto()  # those of the first rows in the order of the list, so many as `rows` says


class AccessPath(NamedTuple):
    """One way to find the rows of a list. Where it takes more than `max_steps`, in the database's own measure, the next is tried.

    `mergeable` names the condition whose values have a list each, where the lists of several are merged. After so many `rows`
    a walk ends: the next path is for a page that it has not filled.
    """

    access: Access
    max_steps: int | None = None
    mergeable: str | None = None
    rows: int | None = None


class Joined(NamedTuple):
    """A join, and what in it has the columns of the rows found."""

    join: sa.FromClause
    found: sa.FromClause


class Dialect(ABC):
    """One database's SQL. Row locks are SQLAlchemy's own `with_for_update`, which a database that needs none leaves out."""

    sqlalchemy: sa.Dialect

    @abstractmethod
    def list_value(self, texts: Sequence[str]) -> Any:
        """Return the parameter value of a list, so that its length does not change the SQL."""

    @abstractmethod
    def is_member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        """Hold where the column is one of the list that is the parameter."""

    @abstractmethod
    def shares_member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        """Hold where the list that the JSON of the column is and the one that is the parameter have a member in common."""

    @abstractmethod
    def numbered(self, parameter: str, name: str) -> sa.FromClause:
        """Return the list that is the parameter as a table `name`: `value`, and `key`, which grows along the list."""

    @abstractmethod
    def contains(self, folded: sa.ColumnElement[str], parameter: str) -> sa.ColumnElement[bool]:
        """Hold where a folded text contains the folded keyword that is the parameter, as one literal text."""

    @abstractmethod
    def indexed_keyword(self, keyword: str, before: str | None = None) -> Any:
        """Return what the index of keywords is searched for; None where it cannot find this keyword.

        `before` is the keyword as notes that an older version folded may hold it, where that is another text.
        """

    @abstractmethod
    def is_indexed(self, visits: sa.FromClause, parameter: str) -> sa.ColumnElement[bool]:
        """Hold for visits that the index of keywords finds by the parameter: at least all whose notes contain the keyword."""

    @abstractmethod
    def page_paths(self, conditions: ConditionShape, order: OrderShape) -> Sequence[AccessPath]:
        """Return how a page is found, the path to be tried first at the front."""

    @abstractmethod
    def nested_paths(self, conditions: ConditionShape) -> Sequence[AccessPath]:
        """Return how a list for each of many parents is found or counted, the path to be tried first at the front."""

    @abstractmethod
    def count_paths(self, conditions: ConditionShape) -> Sequence[AccessPath]:
        """Return how the rows of a list are counted, the path to be tried first at the front."""

    @abstractmethod
    def without_index(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the column so that its index is not chosen before one that has the order of the list."""

    @abstractmethod
    def scanning(self, query: sa.Select[Any], table: sa.FromClause) -> sa.Select[Any]:
        """Return the query so that all rows of the table are looked at, one after the other."""

    @abstractmethod
    def is_walked(self, name: str, form: str, order: OrderShape) -> bool:
        """Tell whether a walk along the index that has the order sees only rows that meet the condition."""

    @abstractmethod
    def joined(self, lists: sa.FromClause, numbers: sa.Select[Any], table: sa.Table, *, outer: bool) -> Joined:
        """Join each of some lists to the rows of a table whose `number` the query selects, correlated to it.

        `outer`: also where there are none.
        """

    @abstractmethod
    def by_code_points(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the text so that it sorts by the code points of its characters."""

    @abstractmethod
    def insert_rows(self, session: Session, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows as they were read, each with all columns of the table in their order."""


def dialect_of(session: Session) -> Dialect:
    """Return the dialect of the database that opened the session."""
    dialect: Dialect = session.info["dialect"]
    return dialect
