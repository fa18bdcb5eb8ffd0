"""What goes to standard output: a line for each thing worth telling, and nothing that an exception says."""

import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Iterable, MutableMapping
from functools import cache
from typing import Any, NamedTuple, Self, cast

import orjson
import structlog

# Each logs what it does when all is well, or goes through what an exception says.
CHATTY = ("aiosqlite", "alembic", "asyncio")
STAMPS = (structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True))


def _renderer(form: str) -> Any:
    if form == "json":
        return _json
    console = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    return lambda logger, level, line: console(logger, level, line).encode(errors="backslashreplace").decode()


def _json(_logger: Any, _level: str, line: MutableMapping[str, Any]) -> str:
    try:
        return orjson.dumps(line).decode()
    except TypeError:
        # Half of a surrogate pair, say: what was let in by mistake must not cost the other lines.
        return json.dumps(line, default=repr)


class Line(NamedTuple):
    """What is told by name, `event` among it; the level and the time are added when it is written."""

    level: str
    told: dict[str, Any]


class Log:
    """Writes lines in a form, `json` or `console`."""

    def __init__(self, form: str) -> None:
        self._renderer = _renderer(form)

    def write(self, lines: Iterable[Line]) -> None:
        """Write lines of one moment: they have the same time."""
        stamp, render = cache(_stamped), self._renderer
        written = [render(None, level, told | stamp(level)) for level, told in lines]
        # On a full disk there is nobody to tell, and requests go on.
        with contextlib.suppress(OSError):
            sys.stdout.write("\n".join([*written, ""]))
            sys.stdout.flush()

    def take_in_all(self) -> Self:
        """Write what the libraries and our own modules log as well."""
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[*STAMPS, structlog.stdlib.add_logger_name, _without_words],
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, self._renderer],
            )
        )
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)
        return self


def _stamped(level: str) -> dict[str, Any]:
    stamped: Any = {}
    for stamp in STAMPS:
        stamped = stamp(None, level, stamped)
    return cast("dict[str, Any]", stamped)


def _without_words(_logger: Any, _level: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    failure = line["_record"].exc_info
    line["_record"].exc_info = None
    line.pop("exc_info", None)
    if failure and failure[1]:
        line["failure"] = where(failure[1])
    # What follows a first line is the state of things, exceptions and all.
    line["event"] = str(line["event"]).partition("\n")[0]
    return line


def where(failure: BaseException) -> list[str]:
    """Tell what kind of exception it was and where it came from, and nothing that it says: it may say anything."""
    kinds: list[str] = []
    cause: BaseException | None = failure
    while cause is not None and len(kinds) < 50:
        frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(cause.__traceback__)[-8:]]
        kinds += [f"{type(cause).__module__}.{type(cause).__qualname__}", *frames]
        cause = cause.__cause__
    return kinds
