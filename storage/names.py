"""How people and locations are found and ordered by name: folded texts that are stored beside what they were folded from."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from storage.folding import folded

# What a folded name begins with, so that records without any name come behind all others.
NAMED, NAMELESS = "0", "1"
# As long as a name is compared: an entry of an index has room for little more.
NAME_LENGTH = 100
# A text is searched as whole or as the beginning of words: each word stands behind two spaces, so that the shortest beginning has
# the three characters that an index of trigrams needs.
BEFORE_WORD = "  "
# Shorter ones find nearly everybody as part of a word.
SHORTEST_PART = 3

# What stands between a last name and a first one: no folded text has it, and it sorts before all that one has.
_BETWEEN_NAMES = "\t"
# What ends a value, so that nothing is found across two.
_BETWEEN_VALUES = "\n"
# Letters that have no decomposition.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"}
)
# White space and control characters, the comma of `Okafor, Ngozi`, and what stands between the values of a cursor.
_SEPARATORS = re.compile(r"[,|\s\0-\x1f\x7f]+")

# What nobody hears of a name: O'Neill is sought as `oneill`, Smith-Jones as `smith jones`, St. Mary's as `st marys`.
_APOSTROPHES_AND_FULL_STOPS = re.compile(r"'|\.(?!\S)")
_HYPHENS = re.compile(r"[-\u2010-\u2015]")

# Digits of telephone numbers are kept as their full-width forms, which folding leaves nowhere else: in no name or address.
_PHONE_DIGITS = str.maketrans("0123456789", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19")
_PHONE = re.compile(r"[( ]*\+?[\d\s().\-/\u2010-\u2015]+", re.ASCII)
_NO_DIGIT = re.compile(r"\D+", re.ASCII)
# Country codes of one and two digits: all others have three.
_COUNTRY_CODE = re.compile(r"[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3}")


class SearchTexts(NamedTuple):
    """What a folded column is searched for: a text, or the digits of a telephone number where it may be one."""

    text: str
    phone: str | None


def plain(text: str) -> str:
    """Return the text folded and without marks, in words with one space between them: `Zoë ` as `zoe`."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFD", folded(text).translate(_PLAIN))
        text = unicodedata.normalize("NFC", "".join(filter(_is_no_mark, decomposed)))
    return _SEPARATORS.sub(" ", text.casefold()).strip()


def _is_no_mark(character: str) -> bool:
    return not unicodedata.combining(character) and unicodedata.category(character) != "Mn"


def spoken(text: str) -> str:
    """Return a folded text as names are sought: without apostrophes and full stops at the end of a word, hyphens as spaces."""
    return " ".join(_HYPHENS.sub(" ", _APOSTROPHES_AND_FULL_STOPS.sub("", text)).split())


def folded_columns(row: Mapping[str, Any]) -> dict[str, str]:
    """Return, for a row of users, locations, care enquiries or contacts, the columns that it is ordered and found by.

    Contacts have a name to be found by alone. Nobody who was anonymized is found.
    """
    if "name" in row:
        name = plain(row["name"] or "")
        values, key = [spoken(name)], name[:NAME_LENGTH]
    else:
        first, last = plain(row["first_name"] or ""), plain(row["last_name"] or "")
        # Either order of the two is a part of it.
        values = [spoken(f"{first} {last} {first}" if last else first)]
        key = f"{last[:NAME_LENGTH]}{_BETWEEN_NAMES}{first[:NAME_LENGTH]}" if first or last else ""
    values.append(spoken(plain(row["email"] or "")))
    texts = [BEFORE_WORD + in_words(value) for value in values if value]
    if number := international(row.get("phone") or ""):
        texts.append(BEFORE_WORD + number.translate(_PHONE_DIGITS))
    searched = {"search_folded": _BETWEEN_VALUES.join(texts) if row.get("anonymized") is None else ""}
    return searched if "care_enquiry" in row else {"name_folded": NAMED + key if key else NAMELESS, **searched}


def is_folded_name(text: str) -> bool:
    """Tell whether a column of folded names may hold this text, as a cursor does."""
    return len(text) <= len(NAMED) + 2 * NAME_LENGTH + len(_BETWEEN_NAMES) and "\0" not in text


def in_words(text: str) -> str:
    return text.replace(" ", BEFORE_WORD)


def search_texts(search: str) -> SearchTexts | None:
    """Return what to look for in folded columns; None where the text has nothing that could be found."""
    written = plain(search)
    if not written:
        return None
    # A hyphen alone finds nobody, not everybody.
    text = spoken(written) or written
    if len(text) < SHORTEST_PART:
        return SearchTexts(BEFORE_WORD + text, None)
    digits = national(written) if _PHONE.fullmatch(written) else ""
    return SearchTexts(in_words(text), digits.translate(_PHONE_DIGITS) if len(digits) >= SHORTEST_PART else None)


def international(phone: str) -> str:
    """Return the digits of a telephone number, with its country code where it has one, without a leading 0 of its own."""
    code, rest = _split(plain(phone))
    return code + rest


def national(phone: str) -> str:
    """Return the digits of a folded telephone number, or of its beginning, without country code and leading 0."""
    code, rest = _split(phone)
    return rest or code


def _split(phone: str) -> tuple[str, str]:
    digits = _NO_DIGIT.sub("", phone)
    is_abroad = phone.lstrip("( ").startswith("+")
    if digits.startswith("00"):
        digits, is_abroad = digits[2:], True
    code = _COUNTRY_CODE.match(digits) if is_abroad else None
    return (code[0], digits[code.end() :].lstrip("0")) if code else ("", digits.lstrip("0"))
