"""One JSON value out of a text: strictly, or as far as its end with what is wrong inside it."""

import json
import re
from collections import Counter
from typing import Any, NoReturn

Decoded = tuple[Any, int]

_spaces = re.compile(r"\s*\Z").match
_names = re.compile(r'"(\w{1,64})"\s*:')


class NotJSON(ValueError):
    """No JSON begins here; the message says why, `advice` what to do. `position` is that of the fault, where it is known."""

    def __init__(
        self, problem: str, advice: str = "", *, text: str = "", position: int | None = None, is_unterminated: bool = False
    ) -> None:
        super().__init__(problem)
        self.advice = advice
        self.position = position
        self.is_unterminated = is_unterminated
        self._text = text

    def is_cut(self, margin: int) -> bool:
        """Tell whether it may be that the text just ends too early: no more than so many characters follow, and spaces."""
        if self.position is None or self.is_unterminated:
            return self.is_unterminated
        return _spaces(self._text, self.position + margin) is not None


class _Unusable(str):
    """What a value is that no document may hold."""


def decode(text: str, at: int) -> Decoded:
    """Return the value at a position, and where it ends; raise NotJSON. A name that comes twice is an error, as in requests."""
    return _raw_decode(_strict, text, at)


def find_faults(text: str, at: int) -> Decoded:
    """Return what is wrong inside the value at a position, and where it ends; raise NotJSON where that cannot be told."""
    faults: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        faults.extend(f"{_quoted(name)} stands {_times(count)}: leave one" for name, count in _repeated(pairs))
        faults.extend(f"{_quoted(name)} is {_unusable(value)}: write null" for name, value in pairs if _unusable(value))
        return {}

    decoder = json.JSONDecoder(
        strict=False, parse_constant=_describe_constant, parse_int=_integer, parse_float=float, object_pairs_hook=members
    )
    value, end = _raw_decode(decoder, text, at)
    if reason := _unusable(value):
        faults.append(f"must be a JSON object, and is {reason}")
    return faults, end


def pass_over(text: str, at: int) -> Decoded:
    """Return the value at a position, and where it ends, whatever numbers or names are in it; raise NotJSON."""
    return _raw_decode(_lenient, text, at)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name comes twice")
    return members


_strict = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique)
_lenient = json.JSONDecoder(strict=False, parse_constant=str, parse_int=str)


def _raw_decode(decoder: json.JSONDecoder, text: str, at: int) -> Decoded:
    try:
        return decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise NotJSON(
            *_problem_and_advice(error, at),
            text=text,
            position=error.pos,
            is_unterminated=error.msg.startswith("Unterminated string"),
        ) from None
    except (ValueError, RecursionError) as error:
        raise NotJSON(f"is no JSON that can be read: {error}") from None


def _problem_and_advice(error: json.JSONDecodeError, at: int) -> tuple[str, str]:
    names = _names.findall(error.doc, at, error.pos)
    if not error.msg.startswith("Invalid control character"):
        return f"is no JSON: {error.msg}" + (f" after `{names[-1]}`" if names else ""), ""
    character = error.doc[error.pos]
    advice = "write it as \\n, or end the text" if character == "\n" else f"write it as \\u{ord(character):04x}"
    return f"{f'`{names[-1]}`' if names else 'a text'} holds a control character", f": {advice}"


def _describe_constant(name: str) -> _Unusable:
    return _Unusable(f"{name}, which is no number")


def _integer(digits: str) -> Any:
    try:
        return int(digits)
    except ValueError:
        return _Unusable(f"a number of {len(digits.lstrip('-')):,} digits, which is too long")


def _unusable(value: Any) -> str | None:
    if isinstance(value, list):
        return next(filter(None, map(_unusable, value)), None)
    return value if isinstance(value, _Unusable) else None


def _repeated(pairs: list[tuple[str, Any]]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in Counter(name for name, _ in pairs).items() if count > 1]


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


def _quoted(name: str) -> str:
    # Whatever stands as a name may be anything, and no longer than a name is.
    return f"`{name}`" if re.fullmatch(r"\w{1,64}", name) else "a field"
