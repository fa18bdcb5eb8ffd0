"""Whether the other conditions of a keyword leave so few visits that these are read sooner than the keyword is looked up.

A planner knows how many rows each index leaves, but not what an index of trigrams costs: it reads the list of each trigram to its
end, a million entries of a frequent one, and for a phrase all rows in which its words stand anywhere.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from storage.queries.conditions import VISITS
from storage.queries.dialect import Dialect
from storage.queries.paging import limited
from storage.queries.search import KEYWORD_WORDS

# Fewer are always read sooner; up to so many more, where all words of a phrase stand in more than a few of a sample.
FEW, MANY = 5_000, 100_000
SAMPLE, FREQUENT = 5_000, 5

_ONE: sa.ColumnElement[int] = sa.literal_column("1")


def is_narrow(dialect: Dialect, conditions: Sequence[sa.ColumnElement[bool]], *, phrase: bool) -> sa.ColumnElement[bool]:
    """Hold where few visits meet the conditions, which one index holds: it is looked up once, however often this is used."""
    narrow = _are_at_most(FEW, conditions)
    if phrase:
        narrow = sa.or_(narrow, sa.and_(_are_frequent(dialect, conditions), _are_at_most(MANY, conditions)))
    gate = sa.select(narrow.label("is_narrow")).cte("gate")
    return sa.select(gate.c.is_narrow).scalar_subquery()


def _are_at_most(number: int, conditions: Sequence[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    first = limited(sa.select(_ONE.label("one")).select_from(VISITS).where(*conditions), sa.literal_column(str(number + 1)))
    counted = sa.select(sa.func.count()).select_from(first.subquery("first")).scalar_subquery()
    return counted <= sa.literal_column(str(number))


def _are_frequent(dialect: Dialect, conditions: Sequence[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    sample = limited(sa.select(VISITS.c.notes_folded).where(*conditions), sa.literal_column(str(SAMPLE))).subquery("sample")
    found = sa.select(sa.func.count()).select_from(sample).where(dialect.has_words(sample.c.notes_folded, KEYWORD_WORDS))
    return found.scalar_subquery() > sa.literal_column(str(FREQUENT))
