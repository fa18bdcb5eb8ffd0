"""A search among people and locations: folded as their names are, and looked up in the index of trigrams where there is one."""

from typing import Any

import sqlalchemy as sa

from storage.errors import InvalidPage
from storage.models import CareEnquiry, ServiceUserContact, is_storable, table_of
from storage.names import search_texts
from storage.queries.dialect import Dialect
from storage.queries.search import KEYWORD_LENGTH, KeywordConditions, keyword_of

# Of a condition on folded names: its text alone, or also the digits of a telephone number, each in its parameter; and what the
# index of trigrams is searched for.
SEARCH, SEARCH_PHONE, INDEXED_SEARCH = "search", "search_phone", "indexed_search"
OR_PHONE = "or_phone"

# There are so few users and locations that all of them are looked at sooner.
INDEXED = frozenset((table_of(CareEnquiry), table_of(ServiceUserContact)))


def search_conditions(text: str, dialect: Dialect, argument: str = "search") -> KeywordConditions:
    """Return the conditions on folded names: none for a blank text; raise InvalidPage for one too long."""
    stripped = keyword_of(text)
    if len(stripped) > KEYWORD_LENGTH:
        raise InvalidPage(f"`{argument}` may have at most {KEYWORD_LENGTH} characters: this one has {len(stripped)}.")
    if not is_storable(stripped):
        raise InvalidPage(f"`{argument}` holds NUL or half a character (a lone surrogate), which no name does. Remove it.")
    texts = search_texts(stripped)
    if texts is None:
        return KeywordConditions([], {})
    values: dict[str, Any] = {SEARCH: texts.text}
    if texts.phone:
        values[SEARCH_PHONE] = texts.phone
    forms = [(SEARCH, OR_PHONE if texts.phone else "")]
    indexed = dialect.indexed_keyword(*values.values())
    if indexed is None:
        return KeywordConditions(forms, values)
    return KeywordConditions([*forms, (INDEXED_SEARCH, "")], values | {INDEXED_SEARCH: indexed})


def search_clause(table: sa.Table, name: str, form: str, dialect: Dialect) -> sa.ColumnElement[bool]:
    """Return the SQL of a condition on the folded names of a table; that on an index only for a table that is `INDEXED`."""
    folded: sa.Column[Any] = table.c.search_folded
    if name == INDEXED_SEARCH:
        return dialect.is_indexed(folded, INDEXED_SEARCH)
    found = dialect.contains(folded, SEARCH)
    return sa.or_(found, dialect.contains(folded, SEARCH_PHONE)) if form == OR_PHONE else found
