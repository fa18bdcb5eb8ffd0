"""Log lines on standard output, as JSON or for a console, without the words of any exception."""

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

# They log what they do when all is well, or repeat what an exception says.
CHATTY = ("alembic", "asyncio")
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
        # Half of a surrogate pair, say: one bad value must not cost the other lines.
        return json.dumps(line, default=repr)


class Line(NamedTuple):
    """Fields by name, `event` among them; level and time are added when it is written."""

    level: str
    fields: dict[str, Any]


class Log:
    """Writes lines in a form, `json` or `console`."""

    def __init__(self, form: str) -> None:
        self._renderer = _renderer(form)

    def write(self, lines: Iterable[Line]) -> None:
        """Write lines, all with the present time."""
        stamp, render = cache(_stamp), self._renderer
        texts = [render(None, level, fields | stamp(level)) for level, fields in lines]
        # Requests go on where the disk is full.
        with contextlib.suppress(OSError):
            sys.stdout.write("\n".join([*texts, ""]))
            sys.stdout.flush()

    def capture_logging(self) -> Self:
        """Write what goes through `logging` as well: ours and the libraries'."""
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[*STAMPS, structlog.stdlib.add_logger_name, _without_message],
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, self._renderer],
            )
        )
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)
        return self


def _stamp(level: str) -> dict[str, Any]:
    fields: Any = {}
    for processor in STAMPS:
        fields = processor(None, level, fields)
    return cast("dict[str, Any]", fields)


def _without_message(_logger: Any, _level: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    failure = line["_record"].exc_info
    line["_record"].exc_info = None
    line.pop("exc_info", None)
    if failure and failure[1]:
        line["failure"] = where(failure[1])
    # asyncio's further lines are the state of things, exceptions and all.
    line["event"] = str(line["event"]).partition("\n")[0]
    return line


def where(failure: BaseException) -> list[str]:
    """Return the types of an exception and its causes, with their innermost frames: never the message, which may say anything."""
    lines: list[str] = []
    cause: BaseException | None = failure
    while cause is not None and len(lines) < 50:
        frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(cause.__traceback__)[-8:]]
        lines += [f"{type(cause).__module__}.{type(cause).__qualname__}", *frames]
        cause = cause.__cause__
    return lines
