"""The keyword of a filter: folded as the notes are, and looked up in the index of keywords where that can find it."""

import sqlalchemy as sa

from storage.errors import InvalidPage
from storage.folding import folded
from storage.models import HomeVisit, is_storable, table_of
from storage.queries.dialect import Dialect

KEYWORD_LENGTH = 100

# Of a condition on the notes: the keyword itself, and what the index of keywords is searched for.
KEYWORD, INDEXED_KEYWORD = "keyword", "indexed_keyword"

_VISITS = table_of(HomeVisit)


def keyword_values(text: str, dialect: Dialect) -> dict[str, str]:
    """Return the values of the conditions on the notes, by name: none for a blank keyword; raise InvalidPage for one too long."""
    stripped = text.strip()
    if len(stripped) > KEYWORD_LENGTH:
        raise InvalidPage(f"`keyword` may have at most {KEYWORD_LENGTH} characters: this one has {len(stripped)}.")
    if not is_storable(stripped):
        raise InvalidPage("`keyword` holds NUL or half a character (a lone surrogate), which no notes do. Remove it.")
    if not stripped:
        return {}
    keyword = folded(stripped)
    indexed = dialect.indexed_keyword(keyword)
    return {KEYWORD: keyword} if indexed is None else {KEYWORD: keyword, INDEXED_KEYWORD: indexed}


def keyword_clause(name: str, dialect: Dialect) -> sa.ColumnElement[bool]:
    """Return the SQL of a condition on the notes, whose name is that of its parameter."""
    return dialect.contains(_VISITS.c.notes_folded, name) if name == KEYWORD else dialect.is_indexed(_VISITS, name)
