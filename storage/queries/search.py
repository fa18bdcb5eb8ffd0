"""The keyword of a filter: folded as the notes are, and looked up in the index of keywords where that can find it."""

from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.errors import InvalidPage
from storage.folding import folded, folded_before, without_format_characters
from storage.models import HomeVisit, is_storable, table_of
from storage.queries.dialect import Dialect

KEYWORD_LENGTH = 100

# Of a condition on the notes: the keyword itself, as notes that an older version folded may hold it, and what the index of
# keywords is searched for.
KEYWORD, KEYWORD_BEFORE, INDEXED_KEYWORD = "keyword", "keyword_before", "indexed_keyword"
EITHER = "either"
# Of one of several words: these, each by itself.
PHRASE, KEYWORD_WORDS = "phrase", "keyword_words"

_VISITS = table_of(HomeVisit)


class KeywordConditions(NamedTuple):
    """`forms` are the conditions on the notes by name and form, `values` their parameters."""

    forms: list[tuple[str, str]]
    values: dict[str, Any]


def keyword_of(text: str) -> str:
    """Return what is searched for, whose characters count."""
    return without_format_characters(text).strip()


def keyword_conditions(text: str, dialect: Dialect) -> KeywordConditions:
    """Return the conditions on the notes: none for a blank keyword; raise InvalidPage for one too long."""
    stripped = keyword_of(text)
    if len(stripped) > KEYWORD_LENGTH:
        raise InvalidPage(f"`keyword` may have at most {KEYWORD_LENGTH} characters: this one has {len(stripped)}.")
    if not is_storable(stripped):
        raise InvalidPage("`keyword` holds NUL or half a character (a lone surrogate), which no notes do. Remove it.")
    if not stripped:
        return KeywordConditions([], {})
    keyword, before = folded(stripped), folded_before(text.strip())
    # Both versions fold nearly all keywords alike.
    form, values = ("", {KEYWORD: keyword}) if keyword == before else (EITHER, {KEYWORD: keyword, KEYWORD_BEFORE: before})
    indexed = dialect.indexed_keyword(*values.values())
    if indexed is None:
        return KeywordConditions([(KEYWORD, form)], values)
    values[INDEXED_KEYWORD] = indexed
    words = dialect.words(keyword) if form != EITHER else None
    if words is None:
        return KeywordConditions([(KEYWORD, form), (INDEXED_KEYWORD, "")], values)
    return KeywordConditions([(KEYWORD, form), (INDEXED_KEYWORD, PHRASE)], values | {KEYWORD_WORDS: words})


def keyword_clause(name: str, form: str, dialect: Dialect) -> sa.ColumnElement[bool]:
    """Return the SQL of a condition on the notes, whose name is that of its parameter."""
    if name == INDEXED_KEYWORD:
        return dialect.is_indexed(_VISITS.c.notes_folded, name)
    found = dialect.contains(_VISITS.c.notes_folded, KEYWORD)
    return sa.or_(found, dialect.contains(_VISITS.c.notes_folded, KEYWORD_BEFORE)) if form == EITHER else found
