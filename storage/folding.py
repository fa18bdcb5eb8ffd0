"""How the keyword search compares texts: folded, in a time and to a length that the text cannot drive up."""

import re
import unicodedata
from collections.abc import Iterator

FOLDED_LENGTH = 30_000
MARKS_IN_A_ROW = 30

# Folding holds the interpreter for some hundred microseconds a piece.
PIECE = 500
# No character folds to more than U+FDFA does.
MOST_OF_ONE = 18

_FURTHER_MARKS = re.compile(b"(?<=\1{%d})\1+" % MARKS_IN_A_ROW)
# They are no combining marks, and decompose to some.
_MARKS_BY_ANOTHER_NAME = "\u0f73\u0f75\u0f81\uff9e\uff9f"
# Vowels and final consonants of Hangul compose with what stands before them, as marks do.
_JAMO_THAT_COMPOSE = range(0x1160, 0x1200)


def folded(text: str) -> str:
    """Return the text as the keyword search compares it: whatever the case, `ﬁ` as `fi`, but accents kept.

    Marks beyond 30 in a row are left out, and so are characters beyond the first 30,000.
    """
    return _folded(text)[:FOLDED_LENGTH]


def is_foldable(text: str) -> bool:
    """Tell whether the folded text is no longer than 30,000 characters."""
    if text.isascii() or len(text) * MOST_OF_ONE <= FOLDED_LENGTH:
        return len(text) <= FOLDED_LENGTH
    return len(_folded(text)) <= FOLDED_LENGTH


def has_further_marks(text: str) -> bool:
    """Tell whether more than 30 marks stand in a row, which take a time to normalize that grows with their square."""
    return not text.isascii() and _FURTHER_MARKS.search(_marks(text)) is not None


def _folded(text: str) -> str:
    """Return the folded text at least up to the first character that is too much."""
    if text.isascii():
        return text.casefold()
    length, pieces = 0, []
    for piece in _pieces(_without_further_marks(text)):
        pieces.append(_normalized(_normalized(piece).casefold()))
        length += len(pieces[-1])
        if length > FOLDED_LENGTH:
            break
    return "".join(pieces)


def _normalized(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _marks(text: str) -> bytes:
    """Return a byte for each character: 1 for a combining mark, 0 for any other."""
    for name in _MARKS_BY_ANOTHER_NAME:
        text = text.replace(name, "\N{COMBINING ACUTE ACCENT}")
    return bytes(map(bool, map(unicodedata.combining, text)))


def _without_further_marks(text: str) -> str:
    kept, start = [], 0
    for further in _FURTHER_MARKS.finditer(_marks(text)):
        kept.append(text[start : further.start()])
        start = further.end()
    return "".join([*kept, text[start:]])


def _pieces(text: str) -> Iterator[str]:
    """Cut the text into pieces that are folded alone as they are folded together."""
    start = 0
    while start < len(text):
        end = start + PIECE
        while end < len(text) and not _begins_anew(text[end]):
            end += 1
        yield text[start:end]
        start = end


def _begins_anew(character: str) -> bool:
    """Tell whether a character composes with nothing that stands before it."""
    first = unicodedata.normalize("NFKD", character)[0]
    return not unicodedata.category(first).startswith("M") and ord(first) not in _JAMO_THAT_COMPOSE
