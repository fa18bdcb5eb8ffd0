"""Arguments of the CareHQ-compatible API: texts of forms as values, and all that is wrong with them at once."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, Final

from schema.transport.errors import RequestError
from storage.carehq.documents import members, parse_instant
from storage.models import is_storable
from storage.queries.conditions import LIST_LENGTH
from storage.queries.search import KEYWORD_LENGTH, keyword_of

MOST_ERRORS: Final = 10
LONGEST_NAME: Final = 100
INVALID: Final = "One or more arguments are not valid."

_FLAGS: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "unset": None, "": None}
_is_number = re.compile(r"[0-9]{1,9}").fullmatch
_is_day = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch

Parse = Callable[[str], Any]


class Arguments:
    """The values of a call. What cannot be used is None, and an error under its name; so is what nobody has taken."""

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self._values = values
        self._taken: set[str] = set()
        self._errors: dict[str, list[str]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def one(self, name: str, parse: Parse, *, required: bool = False) -> Any:
        """Return the one value of an argument; None where there is none, or an empty one, unless that is what `parse` takes."""
        self._taken.add(name)
        values = self._values.get(name, [])
        if len(values) > 1:
            self.refuse(name, "Give one value: there are several.")
        elif required and not any(value.strip() for value in values):
            self.refuse(name, "This argument is required.")
        elif values:
            return self._parsed(name, values[0], parse)
        return None

    def several(self, name: str, parse: Parse, most: int = LIST_LENGTH) -> list[Any] | None:
        """Return the values of an argument that may be repeated so often; None where there are none."""
        self._taken.add(name)
        values = self._values.get(name)
        if values is not None and len(values) > most:
            self.refuse(name, f"Give {most} values at most: there are {len(values)}.")
            return None
        return None if values is None else [self._parsed(name, value, parse) for value in values]

    def beginning_with(self, beginning: str) -> list[str]:
        """Return the names that begin so."""
        return [name for name in self._values if name.startswith(beginning)]

    def refuse(self, name: str, message: str) -> None:
        errors = self._errors.setdefault(name[:LONGEST_NAME], [])
        if message not in errors:
            errors.append(message)

    def require_valid(self, refused: Mapping[str, str] | None = None, otherwise: str = "There is no such argument.") -> None:
        """Raise RequestError for all that is wrong. Names that nobody has taken are wrong: `refused` says why of some."""
        for name in self._values:
            if name not in self._taken and name[:LONGEST_NAME] not in self._errors:
                self.refuse(name, (refused or {}).get(name, otherwise))
        if self._errors:
            raise refused_arguments(self._errors)

    def _parsed(self, name: str, text: str, parse: Parse) -> Any:
        try:
            return parse(text)
        except ValueError as reason:
            self.refuse(name, str(reason))
            return None


def refused_arguments(errors: Mapping[str, list[str]]) -> RequestError:
    """Return the refusal of arguments, each with its reasons."""
    error = RequestError("BAD_USER_INPUT", INVALID)
    error.extensions = {"code": "BAD_USER_INPUT", "argErrors": dict(list(errors.items())[:MOST_ERRORS])}
    return error


def text(value: str) -> str:
    return value


def searched(value: str) -> str:
    """Read a text that is searched for, as long as a search takes it."""
    if (length := len(keyword_of(value))) > KEYWORD_LENGTH:
        raise ValueError(f"Too long: use {KEYWORD_LENGTH} characters at most. It has {length}.")
    if not is_storable(value):
        raise ValueError("Not a valid text: it holds NUL or half a character.")
    return value


def reference(value: str) -> str | None:
    """Read an ID or a key, without the white space around it; an empty one is none."""
    return value.strip() or None


def instant(value: str) -> datetime | None:
    """Read what languages write for a date and a time; without an offset it is UTC, an empty one is none."""
    try:
        return parse_instant(value) if value.strip() else None
    except ValueError:
        raise ValueError("Not a valid date/time: use YYYY-MM-DD HH:MM:SS.") from None


def day(value: str) -> date | None:
    """Read a day, also where a language writes midnight behind it; an empty one is none."""
    value = value.strip()
    try:
        if not value or _is_day(value):
            return date.fromisoformat(value) if value else None
        if (found := parse_instant(value)).time() == time():
            return found.date()
    except ValueError:
        pass
    raise ValueError("Not a valid date: use YYYY-MM-DD.")


def flag(value: str) -> bool | None:
    """Read a truth as any language writes it, or `unset`."""
    try:
        return _FLAGS[value.strip().lower()]
    except KeyError:
        raise ValueError("Not a valid choice: use yes, no or unset.") from None


def member_of(kind: type[StrEnum]) -> Parse:
    """Return what reads a choice as the source writes it."""
    return choice(members(kind))


def or_none(parse: Parse) -> Parse:
    """Return what reads nothing but white space as None, and anything else by `parse`."""
    return lambda value: parse(value) if value.strip() else None


def choice(choices: Mapping[str, Any]) -> Parse:
    def parse(value: str) -> Any:
        try:
            return choices[value.strip()]
        except KeyError:
            raise ValueError(f"Not a valid choice: use {_listed(choices)}.") from None

    return parse


def whole_number(largest: int) -> Parse:
    """Return what reads a number from 1 on."""

    def parse(value: str) -> int:
        if _is_number(value.strip()) and 1 <= int(value) <= largest:
            return int(value)
        raise ValueError(f"Not a valid number: use one from 1 to {largest:,}.")

    return parse


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
