"""JSON documents out of a file of any size: no more of it is in memory than one document needs."""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, NoReturn

CHUNK = 1 << 18
LONGEST_DOCUMENT = 1 << 20
LONGEST_HEAD = 1 << 10
LONGEST_WORD = 16

_space = re.compile(r"[ \t\r\n]*")
# A page envelope is recognized by its head: members that are no documents, up to the list of those that are.
_head = re.compile(r'\{\s*(?:"(?!_id")\w+"\s*:\s*(?:"[^"\\]*"|[\w.+-]+)\s*,\s*)*"items"\s*:\s*(?=\[)')
_incomplete = object()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode


class RawDocument(NamedTuple):
    """A document and the line on which it begins, or what is wrong there."""

    line: int
    value: Any
    problem: str | None = None


class _Malformed(Exception):
    """What stands here is no JSON; the message says why."""


class Documents:
    """The documents of an array, of page envelopes, or that follow one another, as in JSON lines.

    What is no JSON is yielded as a problem, and skipped as far as the next line that begins with a document.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.bytes_read = 0
        self._stream = stream
        # What is not UTF-8 is found again where it matters: in a text that would be kept.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._text = ""
        self._at = 0
        self._line = 1
        self._counted = 0
        self._ended = False
        self._is_aborted = False

    def __iter__(self) -> Iterator[RawDocument]:
        while first := self._next():
            yield from self._list(self._page_or_document) if first == "[" else self._page_or_document()

    def _list(self, member: Callable[[], Iterator[RawDocument]]) -> Iterator[RawDocument]:
        self._at += 1
        while (first := self._next()) and first != "]":
            if first == ",":
                self._at += 1
            else:
                yield from member()
        if not first and not self._is_aborted:
            self._is_aborted = True
            yield RawDocument(self._lines(), None, "the file ends within a list: is it complete?")
        self._at += 1

    def _page_or_document(self) -> Iterator[RawDocument]:
        while len(self._text) - self._at < LONGEST_HEAD and self._more():
            pass
        if head := _head.match(self._text, self._at, self._at + LONGEST_HEAD):
            self._at = head.end()
            yield from self._list(self._document)
            yield from self._rest_of_page()
        else:
            yield from self._document()

    def _document(self) -> Iterator[RawDocument]:
        line = self._lines()
        try:
            found = RawDocument(line, self._value())
        except _Malformed as error:
            found = RawDocument(line, None, f"{error}{self._skip()}")
        yield found

    def _rest_of_page(self) -> Iterator[RawDocument]:
        line = self._lines()
        try:
            while not self._is_aborted and self._next() == ",":
                for mark in ",:":
                    self._take(mark)
                    self._value()
            if not self._is_aborted:
                self._take("}")
        except _Malformed as error:
            yield RawDocument(line, None, f"{error}{self._skip()}")

    def _skip(self) -> str:
        """Go on at the next line that begins with a document; where there is none, give up and say so."""
        if self._is_aborted:
            return ""
        while (before := self._text.find("\n{", self._at)) < 0:
            self._at = max(self._at, len(self._text) - 1)
            if not self._more():
                self._at = len(self._text)
                self._is_aborted = True
                return "; nothing after it was read"
        self._at = before + 1
        return ""

    def _take(self, mark: str) -> None:
        if self._next() != mark:
            raise _Malformed(f"is no JSON: `{mark}` is missing on line {self._lines()}")
        self._at += 1

    def _next(self) -> str:
        """Return the next character that is no space, or nothing at the end."""
        while True:
            self._at = _space.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches no spaces as well
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _value(self) -> Any:
        self._next()
        while (value := self._decoded()) is _incomplete:
            if self._ended:
                self._at = len(self._text)
                self._is_aborted = True
                raise _Malformed("ends in the middle: is the file complete?")
            if len(self._text) - self._at > LONGEST_DOCUMENT:
                raise _Malformed(f"is longer than {LONGEST_DOCUMENT:,} characters")
            self._more()
        return value

    def _decoded(self) -> Any:
        """Take the value that stands here, if the text that was read shows its end."""
        try:
            value, end = _decode(self._text, self._at)
        except json.JSONDecodeError as error:
            margin = 0 if self._ended else LONGEST_WORD
            if error.msg.startswith("Unterminated string") or error.pos >= len(self._text.rstrip()) - margin:
                return _incomplete
            line = self._lines() + self._text.count("\n", self._at, error.pos)
            raise _Malformed(f"is no JSON: {error.msg} on line {line}") from None
        except (ValueError, RecursionError) as error:
            raise _Malformed(f"is no JSON that can be read: {error}") from None
        if end == len(self._text) and not self._ended:
            return _incomplete
        self._at = end
        return value

    def _more(self) -> bool:
        """Read on, and let go of what has been taken."""
        if self._ended:
            return False
        chunk = self._stream.read(CHUNK)
        self.bytes_read += len(chunk)
        self._ended = not chunk
        self._lines()
        self._text = self._text[self._at :] + self._decoder.decode(chunk, self._ended)
        self._at = self._counted = 0
        return not self._ended

    def _lines(self) -> int:
        """Return the number of the line that is reached."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line
