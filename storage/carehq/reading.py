"""JSON documents out of a file of any size: no more of it is in memory than one document needs."""

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from storage.carehq.decoding import Decoded, NotJSON, decode, find_faults, pass_over
from storage.carehq.file_formats import LENGTH, foreign

CHUNK = 1 << 18
LONGEST_DOCUMENT = 1 << 20
LONGEST_HEAD = 1 << 16
LONGEST_WORD = 64
LONGEST_INDENTATION = 1_000
# What pages call the list of their documents.
LISTS = ("items", "data")

# Between documents a byte order mark is what joined files have left, and any other space does no harm.
_space = re.compile(r"[\s\ufeff]*")
_is_document = re.compile(r'(?!\{)|\{\s*"_id"').match
_name = re.compile(r'\s*+(?:,\s*+)?+"((?:[^"\\]|\\.)*)"\s*:\s*').match
_stray = re.compile(r"(?:[\w.+-]++|\})(?=\s*[,\]])").match
_tail = re.compile(r'\s*(?:\}|,\s*")').match
_marks = re.compile(r'["{}\[\]\n]|\\[\s\S]?').finditer
_DEPTHS = {"{": 1, "[": 1, "}": -1, "]": -1}

_IN_LISTS = f"a page has its documents in {' or '.join(f'`{name}`' for name in LISTS)}"
_UNKNOWN_PAGE = f"has no `_id`, but a list of objects: {_IN_LISTS}"


class RawDocument(NamedTuple):
    """A document and the line on which it begins, or what is wrong there."""

    line: int
    value: Any
    problem: str | None = None


class Documents:
    """The documents of an array, of page envelopes, or that follow one another, as in JSON lines.

    What is no JSON is yielded as a problem. Reading goes on after it; where its end cannot be told, at the next line that
    begins with a document as its own does.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.bytes_read = 0
        self._stream = stream
        # What is not UTF-8 is found again where it matters: in a text that would be kept.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = 0
        self._line = 1
        self._counted = 0
        self._indentation = ""
        self._ended = False
        self._is_aborted = False
        # Of each list that is open, whether it is that of a page.
        self._lists: list[bool] = []
        # Whether lists may have ended in what was skipped.
        self._is_lost = False

    def __iter__(self) -> Iterator[RawDocument]:
        if problem := foreign(self._read(LENGTH)):
            yield RawDocument(1, None, problem)
            return
        while first := self._next():
            if first == ",":
                self._at += 1
            elif first == "[" and not self._lists:
                self._at += 1
                self._lists.append(False)
            elif first == "]" and (self._lists or self._is_lost):
                yield from self._end_of_list()
            elif True not in self._lists and self._take_head():
                self._lists.append(True)
            else:
                yield self._document()
        if self._lists and not self._is_aborted:
            yield RawDocument(self._lines(), None, "the file ends within a list: is it complete?")

    def _end_of_list(self) -> Iterator[RawDocument]:
        self._at += 1
        if self._lists.pop() if self._lists else self._ends_page():
            line = self._lines()
            try:
                self._take_tail()
            except NotJSON as error:
                self._indentation = ""
                yield RawDocument(line, None, self._skip(str(error)))

    def _ends_page(self) -> bool:
        self._look_ahead(LONGEST_WORD)
        return _tail(self._text, self._at) is not None

    def _take_head(self) -> bool:
        """Go into the list of the page that begins here; stay where a document does."""
        self._look_ahead(LONGEST_WORD)
        if _is_document(self._text, self._at):
            return False
        self._look_ahead(LONGEST_HEAD)
        at = self._at + 1
        while (name := _name(self._text, at)) and name[1] != "_id":
            if name[1] in LISTS and self._text.startswith("[", name.end()):
                self._at = name.end() + 1
                return True
            try:
                _, at = pass_over(self._text, name.end())
            except NotJSON:
                return False
        return False

    def _take_tail(self) -> None:
        """Pass over the members of a page that follow its list; go into another list. Raises NotJSON."""
        while self._next() == ",":
            self._take(",")
            self._next()
            name = self._value(pass_over)
            self._take(":")
            if self._next() == "[" and name in LISTS:
                self._at += 1
                self._lists.append(True)
                return
            self._value(pass_over)
        self._take("}")

    def _take(self, mark: str) -> None:
        if self._next() != mark:
            raise NotJSON(f"is no JSON: `{mark}` is missing on line {self._lines()}")
        self._at += 1

    def _document(self) -> RawDocument:
        line = self._lines()
        try:
            value = self._value(decode)
            return RawDocument(line, None, _UNKNOWN_PAGE) if _is_page(value) else RawDocument(line, value)
        except NotJSON as error:
            problem, is_cut = str(error), error.is_unterminated
        try:
            return RawDocument(line, None, "; ".join(self._value(find_faults)) or problem)
        except NotJSON:
            return RawDocument(line, None, self._skip(problem, is_cut=is_cut))

    def _value(self, decode: Callable[[str, int], Decoded]) -> Any:
        """Take the value that stands here, once what was read shows its end; raise NotJSON."""
        while True:
            # A word or a number may go on in what was not read yet.
            margin = 0 if self._ended else LONGEST_WORD
            try:
                value, end = decode(self._text, self._at)
            except NotJSON as error:
                if not error.is_cut(margin):
                    raise NotJSON(f"{error}{self._line_of(error)}{error.advice}") from None
            else:
                if end <= len(self._text) - margin:
                    self._at = end
                    return value
            if self._ended:
                raise NotJSON("ends in the middle: is the file complete?", is_unterminated=True)
            if len(self._text) - self._at > LONGEST_DOCUMENT:
                raise NotJSON(f"is longer than {LONGEST_DOCUMENT:,} characters: {_IN_LISTS}")
            self._more()

    def _line_of(self, error: NotJSON) -> str:
        return "" if error.position is None else f" on line {self._lines() + self._text.count(chr(10), self._at, error.position)}"

    def _skip(self, problem: str, *, is_cut: bool = False) -> str:
        """Go on after the value that stands here; where its end cannot be told, at the next line that begins as its own does."""
        if self._lists and (stray := _stray(self._text, self._at)):
            self._at = stray.end()
            return problem
        depth = 0 if self._text.startswith(("{", "["), self._at) else None
        if self._find_end(depth):
            return problem
        self._is_aborted = True
        self._at = len(self._text)
        return problem if is_cut else f"{problem}; nothing after it was read"

    def _find_end(self, depth: int | None) -> bool:
        """Go to where brackets are closed, unless `depth` is None, or to the next line that begins as this one does."""
        next_document = f"\n{self._indentation}{{"
        is_text = False
        while True:
            for mark in _marks(self._text, self._at):
                if not self._ended and mark.start() + len(next_document) > len(self._text):
                    break
                self._at = mark.end()
                if mark[0] == "\n" and self._text.startswith(next_document, mark.start()):
                    self._lists.clear()
                    self._is_lost = True
                    return True
                if mark[0] == '"':
                    is_text = not is_text
                elif depth is not None and not is_text:
                    depth += _DEPTHS.get(mark[0], 0)
                    if depth == 0 and mark[0] in "}]":
                        return True
            else:
                self._at = len(self._text)
            if self._ended:
                return False
            self._more()

    def _next(self) -> str:
        """Return the next character that is no space, or nothing at the end."""
        indentation = ""
        while True:
            end = _space.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches no spaces as well
            newline = self._text.rfind("\n", self._at, end)
            if newline >= 0:
                indentation = self._text[newline:end]
            elif indentation:
                indentation = (indentation + self._text[self._at : end])[:LONGEST_INDENTATION]
            self._at = end
            if end < len(self._text):
                self._indentation = indentation[1:]
                return self._text[end]
            if not self._more():
                return ""

    def _look_ahead(self, length: int) -> None:
        while len(self._text) - self._at < length and self._more():
            pass

    def _more(self) -> bool:
        """Read on, and let go of what has been taken."""
        if not self._ended:
            self._read(CHUNK)
        return not self._ended

    def _read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self.bytes_read += len(chunk)
        self._ended = not chunk
        self._lines()
        self._text = self._text[self._at :] + self._decoder.decode(chunk, self._ended)
        self._at = self._counted = 0
        return chunk

    def _lines(self) -> int:
        """Return the number of the line that is reached."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line


def _is_page(value: Any) -> bool:
    """Tell whether a value is none of a document, but holds some."""
    if not isinstance(value, dict) or "_id" in value:
        return False
    return any(isinstance(member, list) and member and isinstance(member[0], dict) for member in value.values())
