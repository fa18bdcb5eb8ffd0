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
# All that is not exactly one space.
_WHITE_SPACE = re.compile(r" \s+|[^\S ]\s*")
_STRAIGHT = str.maketrans("\u2018\u2019\u201a\u201b\u02bc\u201c\u201d\u201e\u201f", "'" * 5 + '"' * 4)
# Category Cf without those that are seen: the number signs and the like that stand before or around digits.
_FORMAT = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
# They are no combining marks, and decompose to some.
_MARKS_BY_ANOTHER_NAME = "\u0f73\u0f75\u0f81\uff9e\uff9f"
# Vowels and final consonants of Hangul compose with what stands before them, as marks do.
_JAMO_THAT_COMPOSE = range(0x1160, 0x1200)


def folded(text: str) -> str:
    """Return the text as the keyword search compares it: whatever the case, `ﬁ` as `fi`, but accents kept.

    Any run of white space is one space, curly quotes are straight, and format characters are nothing.
    Marks beyond 30 in a row are left out, and so are characters beyond the first 30,000.
    """
    return _folded(text)[:FOLDED_LENGTH]


def folded_before(text: str) -> str:
    """Return the text as it was folded before version 2, and as notes are kept until they were folded anew."""
    if text.isascii():
        return text.casefold()
    return _normalized(_normalized(_without_further_marks(text)).casefold())


def without_format_characters(text: str) -> str:
    """Return the text without invisible format characters, such as soft hyphens, joiners and directions."""
    return text if text.isascii() else _FORMAT.sub("", text)


def is_foldable(text: str) -> bool:
    """Tell whether the folded text is no longer than 30,000 characters."""
    at_most = len(text) if text.isascii() else len(text) * MOST_OF_ONE
    return at_most <= FOLDED_LENGTH or len(_folded(text)) <= FOLDED_LENGTH


def has_further_marks(text: str) -> bool:
    """Tell whether more than 30 marks stand in a row, which take a time to normalize that grows with their square."""
    return not text.isascii() and _FURTHER_MARKS.search(_marks(without_format_characters(text))) is not None


def _folded(text: str) -> str:
    """Return the folded text at least up to the first character that is too much."""
    if text.isascii():
        return _WHITE_SPACE.sub(" ", text.casefold())
    length, pieces, after_space = 0, [], False
    for piece in _pieces(_without_further_marks(without_format_characters(text))):
        part = _WHITE_SPACE.sub(" ", _folded_piece(piece))
        if after_space:
            part = part.removeprefix(" ")
        if part:
            pieces.append(part)
            length += len(part)
            after_space = part.endswith(" ")
        if length > FOLDED_LENGTH:
            break
    return "".join(pieces)


def _folded_piece(text: str) -> str:
    # The letter İ falls to `i` with a dot above, which nobody types.
    return _normalized(_normalized(text).casefold().translate(_STRAIGHT).replace("i\N{COMBINING DOT ABOVE}", "i"))


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
