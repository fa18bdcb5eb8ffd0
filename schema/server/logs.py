"""Log lines on standard output, as JSON or for a console, without the words of any exception."""

import json
import logging
import os
import re
import traceback
from collections.abc import Callable, Iterable, MutableMapping
from functools import cache
from typing import Any, NamedTuple, Self, cast

import orjson
import structlog

from schema.server.output import Output

# They log what they do when all is well, or repeat what an exception says.
CHATTY = ("aiosqlite", "alembic", "asyncio")
STAMPS = (structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True))
STANDARD_OUTPUT = 1

_unusual = re.compile(r"[^ -~]")
_Fields = MutableMapping[str, Any]
_Render = Callable[[list[dict[str, Any]]], bytes]


class Line(NamedTuple):
    """Fields by name, `event` among them; level and time are added when it is written."""

    level: str
    fields: dict[str, Any]


class Log:
    """Writes lines in a form, `json` or `console`, in their order, without waiting for who reads them."""

    def __init__(self, form: str, descriptor: int = STANDARD_OUTPUT) -> None:
        self._render: _Render = _json if form == "json" else _console(colors=os.isatty(descriptor))
        self._output = Output(
            descriptor, lambda lines: self._rendered([Line("warning", {"event": "lines lost", "lines": lines})])
        )

    @property
    def dropped(self) -> int:
        """How many lines could not be written so far."""
        return self._output.dropped

    def write(self, lines: Iterable[Line]) -> None:
        """Write lines, all with the present time."""
        self._output.put(self._rendered(lines))

    def flush(self) -> None:
        """Wait until what was written is read, for two seconds at most."""
        self._output.flush()

    def capture_logging(self) -> Self:
        """Write what goes through `logging` as well: ours and the libraries'."""
        handler = _Handler(self._output)
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[*STAMPS, structlog.stdlib.add_logger_name, _without_message],
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, self._text],
            )
        )
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)
        return self

    def _rendered(self, lines: Iterable[Line]) -> bytes:
        stamp = cache(_stamp)
        return self._render([fields | stamp(level) for level, fields in lines])

    def _text(self, _logger: Any, _level: str, fields: _Fields) -> str:
        return self._render([dict(fields)]).decode()


class _Handler(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._output.put(self.format(record).encode())
        except Exception:  # noqa: BLE001 - logging's own way: a line that cannot be made must not fail what it is about
            self.handleError(record)


def _json(lines: list[dict[str, Any]]) -> bytes:
    try:
        block = b"\n".join([*map(orjson.dumps, lines), b""])
    except TypeError:
        # Half of a surrogate pair, say: one bad value must not cost the other lines.
        return "".join(f"{json.dumps(fields, default=repr)}\n" for fields in lines).encode()
    if block.isascii() and b"\x7f" not in block:
        return block
    # What JSON itself escapes is not all that a terminal obeys.
    return b"".join(printable(line).encode() + b"\n" for line in block[:-1].decode().split("\n"))


def _console(*, colors: bool) -> _Render:
    console = structlog.dev.ConsoleRenderer(colors=colors)

    def render(lines: list[dict[str, Any]]) -> bytes:
        printable_lines = ({name: _printable(value) for name, value in fields.items()} for fields in lines)
        return "".join(f"{console(None, '', fields)}\n" for fields in printable_lines).encode()

    return render


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    return [_printable(item) for item in value] if isinstance(value, list) else value


def printable(text: str) -> str:
    """Escape, as JSON does, what does not stand for itself: controls, of direction and line too, and lone surrogates."""
    return text if text.isprintable() else _unusual.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1]


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
