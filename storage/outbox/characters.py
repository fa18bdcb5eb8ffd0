"""What can be seen of a name or an address: controls and invisible characters come in with what is pasted."""

import re
import unicodedata

LONGEST_NAME = 100
# Persian and Indic names are not written right without them, and families of emoji are made of several people by them.
JOINERS = "\u200c\u200d"
TAGS = "\U000e0020-\U000e007f"
IS_SPACE = frozenset({"Cc", "Cs", "Zl", "Zp", "Zs"})

# Tags mean something only after an emoji: the flag of Scotland is a black flag with the tags g, b, s, c, t and an end.
_tags = re.compile(f"([\u2600-\u27bf\ufe0f\U0001f000-\U0001faff][{TAGS}]+)|[{TAGS}]")
_joiners_of_nothing = re.compile(f"(?:^|(?<=\\s))[{JOINERS}]+")
_is_kept = re.compile(f"[{JOINERS}{TAGS}]").match


def visible(text: str) -> str:
    """Return what can be seen of a text: controls and ends of lines are spaces, and invisible characters are nothing."""
    if text.isprintable():
        return text
    seen = "".join(map(_seen, text))
    return _joiners_of_nothing.sub("", _tags.sub(lambda found: found[1] or "", seen))


def fitted(text: str) -> str:
    """Return a text without white space that shows nothing, and not endless."""
    words = " ".join(text.split())
    return words if len(words) <= LONGEST_NAME else f"{words[: _end_of_a_character(words)].rstrip()}…"


def without_invisible(text: str) -> str:
    """Return a text without format characters; joiners stay in one that is not ASCII, where they may mean something."""
    seen = [letter for letter in text if letter in JOINERS or unicodedata.category(letter) != "Cf"]
    plain = "".join(letter for letter in seen if letter not in JOINERS)
    return plain if plain.isascii() else "".join(seen)


def _seen(letter: str) -> str:
    category = unicodedata.category(letter)
    if category in IS_SPACE:
        return " "
    return "" if category == "Cf" and not _is_kept(letter) else letter


def _end_of_a_character(words: str) -> int:
    """Say where to cut a text that is too long: not between a letter and its accents, nor within a sequence of emoji."""
    end = LONGEST_NAME - 1
    while end and (_continues(words[end]) or words[end - 1] == "\u200d"):
        end -= 1
    return end or LONGEST_NAME - 1


def _continues(letter: str) -> bool:
    return unicodedata.category(letter) in {"Mn", "Mc", "Me", "Cf"} or "\U0001f3fb" <= letter <= "\U0001f3ff"
