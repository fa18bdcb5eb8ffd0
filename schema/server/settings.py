"""What operators may set, taken or refused with the reason."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from dotenv import dotenv_values
from pydantic import ValidationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

_is_origin = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?").fullmatch


class Unstartable(Exception):
    """It cannot start as it is set up; the message says what to set."""


def parse_origins(listed: str) -> frozenset[str]:
    """Read origins with spaces or commas between them, in the form in which browsers send them; raise ValueError."""
    origins = frozenset(re.split(r"[\s,]+", listed.strip()))
    for origin in origins:
        if not _is_origin(origin):
            raise ValueError(f"{origin} is no origin: write them like https://visits.example, with spaces between")
    return origins


def require_positive(limits: T) -> T:
    """Return limits, each more than 0 and not endless; raise ValueError."""
    for name, value in asdict(limits).items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be more than 0, and not endless")
    return limits


def grouped(value: Any) -> Any:
    """Return what was gathered from the variables of a group's members; raise ValueError where the group itself was set."""
    if isinstance(value, str):
        raise ValueError("this is a group: set its members one by one, as the README lists them")
    return value


def variables(prefix: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the default of each setting by the name of its variable: of a group's member `GROUP__MEMBER`."""
    found: dict[str, Any] = {}
    for name, default in defaults.items():
        members = asdict(default) if is_dataclass(default) and not isinstance(default, type) else {}
        found |= {f"{name}__{member}": value for member, value in members.items()} or {name: default}
    return {f"{prefix}{name}".upper(): default for name, default in found.items()}


def unknown_variables(prefix: str, known: Collection[str], environment: Iterable[str]) -> list[str]:
    """Return the variables of ours, in the environment or in a file `.env`, that are no settings."""
    names = {name.upper() for name in (*environment, *dotenv_values(".env"))}
    return sorted(name for name in names if name.startswith(prefix) and name not in known)


@contextmanager
def naming_the_setting(*names: str) -> Iterator[None]:
    """Say of a value that cannot be used which setting it is."""
    try:
        yield
    except ValueError as reason:
        raise Unstartable(f"{' and '.join(names)}: {reason}") from None


@contextmanager
def understood(prefix: str) -> Iterator[None]:
    """Say which variables cannot be read or used, and why: never what they hold."""
    try:
        yield
    except ValidationError as error:
        wrong = (f"{prefix}{'__'.join(map(str, one['loc']))}".upper() + f": {_reason(one['msg'])}" for one in error.errors())
        raise Unstartable(f"Settings that cannot be used: {'; '.join(wrong)}.") from None
    except (ValueError, OSError) as error:
        raise Unstartable(f"Settings that cannot be read, from variables or .env: {error}.") from None


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".")
