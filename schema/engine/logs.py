"""What goes to standard output: a line for each thing worth telling, and nothing that an exception says."""

import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

import orjson

# Each logs what it does when all is well, or goes through what an exception says.
CHATTY = ("aiosqlite", "alembic", "asyncio")

Form = Callable[[str, str, Mapping[str, Any]], str]


def as_json(level: str, event: str, details: Mapping[str, Any]) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return orjson.dumps({"timestamp": now, "level": level, "event": event, **details}).decode()


def for_console(level: str, event: str, details: Mapping[str, Any]) -> str:
    told = "  ".join(f"{name}={value}" for name, value in details.items() if value is not None)
    return f"{datetime.now():%H:%M:%S}  {level}  {event}  {told}"  # noqa: DTZ005 - whoever looks on has this clock on the wall


FORMS: dict[str, Form] = {"json": as_json, "console": for_console}


class Log:
    """Writes lines in a form of `FORMS`. Much faster than the standard library's logging, which goes the same way."""

    def __init__(self, form: str) -> None:
        self._form = FORMS[form]

    def write(self, level: str, event: str, details: Mapping[str, Any]) -> None:
        sys.stdout.write(self._form(level, event, details) + "\n")
        sys.stdout.flush()

    def take_in_all(self) -> Self:
        """Write what the libraries and our own modules log as well."""
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(_Formatter(self._form))
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)
        return self


class _Formatter(logging.Formatter):
    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        details: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1]:
            details["failure"] = where(record.exc_info[1])
        # What follows a first line is the state of things, exceptions and all.
        return self._form(record.levelname.lower(), record.getMessage().partition("\n")[0], details)


def where(failure: BaseException) -> list[str]:
    """Tell what kind of exception it was and where it came from, and nothing that it says: it may say anything."""
    kinds: list[str] = []
    cause: BaseException | None = failure
    while cause is not None and len(kinds) < 50:
        frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(cause.__traceback__)[-8:]]
        kinds += [f"{type(cause).__module__}.{type(cause).__qualname__}", *frames]
        cause = cause.__cause__
    return kinds
