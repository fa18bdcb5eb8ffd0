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
    SCAN = auto()  # all rows are looked at, or those that an index of texts finds
    SCAN_ALL = auto()  # all rows are looked at, because an index of texts finds too many
    SORTED = auto()  # all that meet the conditions, by whichever index leaves the fewest, and then sorted
    NARROWED = auto()  # all that meet the other conditions, where these leave few, for the texts to be read; else as SORTED
    COVERED = (
        auto()
    )  # along an index in the order of the list that also holds other conditions: what does not meet them is not read
    WALK = auto()  # those of the first rows in the order of the list, so many as `rows` says


SCANS = frozenset({Access.SCAN, Access.SCAN_ALL})


class AccessPath(NamedTuple):
    """One way to find the rows of a list. Where it takes more than `max_steps`, in the database's own measure, the next is tried.

    `mergeable` names the condition whose values have a list each, where the lists of several are merged. After so many `rows`
    a walk ends, or one along each of these lists together: the next path is for a page that it has not filled. One that
    `is_longer` is taken only where it fills the page at the rate of the walk before it.
    """

    access: Access
    max_steps: int | None = None
    mergeable: str | None = None
    rows: int | None = None
    is_longer: bool = False


class Joined(NamedTuple):
    """A join, and what in it has the columns of the rows found."""

    join: sa.FromClause
    found: sa.FromClause


class Dialect(ABC):
    """One database's SQL. Row locks are SQLAlchemy's own `with_for_update`, which a database that needs none leaves out."""

    sqlalchemy: sa.Dialect
    # Whether events are numbered once they are committed; else they are numbered as they are inserted.
    numbers_after_commit: bool

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
    def is_indexed(self, folded: sa.Column[Any], parameter: str) -> sa.ColumnElement[bool]:
        """Hold for rows that the index of this column finds by the parameter: at least all whose texts contain the keyword."""

    @abstractmethod
    def words(self, keyword: str) -> Any:
        """Return the words of a keyword, for `has_words`; None where it is not several, or an index needs no estimate of them."""

    @abstractmethod
    def has_words(self, folded: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        """Hold for rows in whose texts all words of the parameter stand, wherever: those that an index of texts looks up."""

    @abstractmethod
    def page_paths(self, conditions: ConditionShape, order: OrderShape) -> Sequence[AccessPath]:
        """Return how a page is found, the path to be tried first at the front."""

    @abstractmethod
    def event_paths(self, leads: ConditionShape) -> Sequence[AccessPath]:
        """Return how a page of events is found by any of these conditions, the path to be tried first at the front."""

    @abstractmethod
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
        """Have the query find the rows with this value in an order, between two bounds of it, along the index on both columns."""

    @abstractmethod
    def nested_paths(self, conditions: ConditionShape) -> Sequence[AccessPath]:
        """Return how a list for each of many parents is found or counted, the path to be tried first at the front."""

    @abstractmethod
    def count_paths(self, conditions: ConditionShape) -> Sequence[AccessPath]:
        """Return how the rows of a list are counted, the path to be tried first at the front."""

    @abstractmethod
    def search_paths(self, walk: AccessPath, order: OrderShape) -> Sequence[AccessPath]:
        """Return how people are found whose folded names contain a text, the path to be tried first at the front.

        `walk` goes through them in the order of the list until a page is full.
        """

    @abstractmethod
    def group_paths(self, conditions: ConditionShape, groupings: frozenset[str]) -> Sequence[AccessPath]:
        """Return how the rows of a list are counted by groups, the path to be tried first at the front."""

    @abstractmethod
    def utc_day(self, instant: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the day, in UTC, of an instant as text: `2024-11-03`."""

    @abstractmethod
    def is_at_or_after(self, instant: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        """Hold where the time of day, in UTC, of an instant is the parameter, a text like `23:00:00`, or later."""

    @abstractmethod
    def without_index(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the column so that its index is not chosen before one that has the order of the list."""

    @abstractmethod
    def scanning(self, query: sa.Select[Any], table: sa.FromClause) -> sa.Select[Any]:
        """Return the query so that all rows of the table are looked at, one after the other."""

    @abstractmethod
    def planned_whole(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Return a query by groups so that it is planned for all of them, though it has a limit."""

    @abstractmethod
    def is_walked(self, name: str, form: str, order: OrderShape) -> bool:
        """Tell whether a walk along the index that has the order sees only rows that meet the condition."""

    @abstractmethod
    def joined(self, lists: sa.FromClause, keys: sa.Select[Any], table: sa.Table, *, outer: bool, key: str = "number") -> Joined:
        """Join each of some lists to the rows of a table whose `key` the query `keys`, correlated to it, selects.

        `outer`: also where there are none.
        """

    @abstractmethod
    def by_code_points(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the text so that it sorts by the code points of its characters."""

    @abstractmethod
    def index_new(self, session: Session, table: sa.Table, texts: Sequence[tuple[str, str | None]]) -> None:
        """Make ready to write many rows at once, whose IDs and folded texts these are, and which have no such text yet."""

    @abstractmethod
    def new_identifier(self, instant: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return an identifier like those of `storage.identifiers`, made at an instant: another one in each row."""

    @abstractmethod
    def lock_numbers(self, session: Session) -> None:
        """Keep others from numbering events until the transaction ends."""

    @abstractmethod
    def number_events(self, session: Session, limit: int) -> int:
        """Number so many of the events that are committed and have no number, first come first; return how many there were."""


def dialect_of(session: Session) -> Dialect:
    """Return the dialect of the database that opened the session."""
    dialect: Dialect = session.info["dialect"]
    return dialect
