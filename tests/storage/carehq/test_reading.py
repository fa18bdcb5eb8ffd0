import bz2
import gzip
import io
import json
import lzma
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from storage.carehq.reading import LONGEST_DOCUMENT, Documents, RawDocument

IN_LISTS = "a page has its documents in `items` or `data`"


def found_in(text: str | bytes) -> list[RawDocument]:
    return list(Documents(io.BytesIO(text.encode() if isinstance(text, str) else text)))


def values_in(text: str | bytes) -> list[Any]:
    found = found_in(text)
    assert [one.problem for one in found] == [None] * len(found)
    return [one.value for one in found]


@pytest.mark.parametrize(
    "text",
    [
        '[{"_id": 1}, {"_id": 2}]',
        '[{"_id":1},{"_id":2}]\n',
        '[\n{"_id": 1},\n{"_id": 2}\n]\n',
        json.dumps([{"_id": 1}, {"_id": 2}], indent=4),
        '{"item_count": 2, "items": [{"_id": 1}, {"_id": 2}], "page": 1, "page_count": 1}',
        '{"items": [{"_id": 1}, {"_id": 2}]}',
        '{"items": [{"_id": 1}], "page": 1}\n{"items": [{"_id": 2}], "page": 2}\n',
        '[{"items": [{"_id": 1}]}, {"items": [{"_id": 2}]}]',
        json.dumps({"next": None, "self": "http://carehq.example/", "items": [{"_id": 1}, {"_id": 2}], "links": [{}]}, indent=1),
        '{"meta": {"took": [1, NaN], "_id": 5}, "items": [{"_id": 1}, {"_id": 2}], "links": {"self": null, "next": NaN}}',
        '{"data": [{"_id": 1}, {"_id": 2}]}',
        '{"data": [{"_id": 1}], "items": [{"_id": 2}]}',
        '{"data": null, "items": [{"_id": 1}, {"_id": 2}], "items": []}',
        '{"data": [{"_id": 1}], "meta": {}}{"data": [{"_id": 2}], "meta": {}}',
        '{"a \\"b": "items", "items" :\n[{"_id": 1}, {"_id": 2}]}',
        '{"_id": 1}\n{"_id": 2}\n',
        '{"_id": 1},\n{"_id": 2},\n',
        '{"_id": 1}\n,{"_id": 2}',
        '[{"_id": 1},{"_id": 2},]',
        '[{"_id": 1}]\n[{"_id": 2}]',
        '[{"_id": 1}],\n[{"_id": 2}],\n',
        '\ufeff{"_id": 1}\n\ufeff{"_id": 2}\n',
        '\ufeff[{"_id": 1}]\ufeff[{"_id": 2}]',
        '{"_id": 1}\u2028{"_id": 2}\u2029',
        '{"_id": 1}\r{"_id": 2}\r',
        '\x1e{"_id": 1}\n\x1e{"_id": 2}\n',
        '[{"_id": 1},\x85\xa0\x0b\x0c{"_id": 2}]',
        '{"_id": 1}\r\n\r\n{"_id": 2}',
        '{"_id": 1}{"_id": 2}',
        '\ufeff[{"_id": 1}, {"_id": 2}]',
    ],
)
def test_every_form_of_a_file_holds_the_same_documents(text: str) -> None:
    assert values_in(text) == [{"_id": 1}, {"_id": 2}]


def test_one_document_is_a_file_too() -> None:
    assert values_in('{\n "_id": 1,\n "notes": "é"\n}\n') == [{"_id": 1, "notes": "é"}]


@pytest.mark.parametrize("text", ["", " \n", "[]", "[\n]\n", '{"items": []}'])
def test_a_file_may_hold_no_document(text: str) -> None:
    assert values_in(text) == []


def test_a_document_with_items_of_its_own_is_no_envelope() -> None:
    assert values_in('{"_id": 1, "items": [{"_id": 2}]}') == [{"_id": 1, "items": [{"_id": 2}]}]


def test_a_document_is_found_on_the_line_where_it_begins() -> None:
    text = '{\n "item_count": 2,\n "items": [\n  {\n   "_id": 1\n  },\n  {"_id": 2}\n ]\n}\n{"_id": 3}'

    assert found_in(text) == [RawDocument(4, {"_id": 1}), RawDocument(7, {"_id": 2}), RawDocument(10, {"_id": 3})]


def test_what_is_cut_by_the_end_of_a_chunk_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [{"_id": n, "notes": 'Ünïcödé 😀 \\ " \n' * n, "number": -12.5e3, "nothing": None} for n in range(12)]
    text = json.dumps({"item_count": 12, "items": documents, "page": 1}, ensure_ascii=False)

    for size in (1, 2, 3, 5, 7, 64):
        monkeypatch.setattr("storage.carehq.reading.CHUNK", size)
        assert values_in(text) == documents


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "is no JSON: Expecting value on line 1; nothing after it was read"),
        ("]", "is no JSON: Expecting value on line 1; nothing after it was read"),
        ('{"a": [1, 2]', "ends in the middle: is the file complete?"),
        ('{"a": "b', "ends in the middle: is the file complete?"),
        ('{"a"\n:\noops}', "is no JSON: Expecting value after `a` on line 3"),
        ('{"a": 1, oops}', "is no JSON: Expecting property name enclosed in double quotes after `a` on line 1"),
        ('{"a": NaN}', "`a` is NaN, which is no number: write null"),
        ('{"a": [1, [-Infinity]]}', "`a` is -Infinity, which is no number: write null"),
        ('{"a": {"b": -' + "9" * 5000 + "}}", "`b` is a number of 5,000 digits, which is too long: write null"),
        ('{"a": 1, "b": 2, "a": 1, "a": 3}', "`a` stands 3 times: leave one"),
        ('{"a": {"b": 1, "b": 2}, "c": NaN}', "`b` stands twice: leave one; `c` is NaN, which is no number: write null"),
        ('{"not a name": NaN}', "a field is NaN, which is no number: write null"),
        ("NaN", "must be a JSON object, and is NaN, which is no number"),
        ('{"items": [] "page": 1}', "is no JSON: `}` is missing on line 1; nothing after it was read"),
        ('{"items": [], "page" 1}', "is no JSON: `:` is missing on line 1; nothing after it was read"),
        ('{"b": 1,\n"a": "two\nlines"}', "`a` holds a control character on line 2: write it as \\n, or end the text"),
        ('{"a": "\t"}', "`a` holds a control character on line 1: write it as \\u0009"),
        ('["\0"]', "a text holds a control character on line 1: write it as \\u0000"),
        ('{"a": "' + LONGEST_DOCUMENT * "b" + '"}', f"is longer than 1,048,576 characters: {IN_LISTS}"),
        ('{"visits": [{"_id": 1}]}', f"has no `_id`, but a list of objects: {IN_LISTS}"),
    ],
)
def test_what_is_no_json_is_told(text: str, problem: str) -> None:
    assert found_in(text) == [RawDocument(1, None, problem)]


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, '{"items":[' * 200_000])
def test_a_hostile_file_is_told_like_any_other(text: str) -> None:
    (one,) = found_in(text)

    assert (one.problem or "").startswith("is no JSON that can be read: ")


def test_an_array_that_is_cut_off_gives_what_it_has() -> None:
    text = '[{"_id": 1},\n{"_id": 2}\n'

    assert found_in(text) == [
        RawDocument(1, {"_id": 1}),
        RawDocument(2, {"_id": 2}),
        RawDocument(3, None, "the file ends within a list: is it complete?"),
    ]


def test_a_page_that_is_cut_off_is_told_once() -> None:
    text = '{"items": [{"_id": 1}, {"_id'

    assert found_in(text) == [RawDocument(1, {"_id": 1}), RawDocument(1, None, "ends in the middle: is the file complete?")]


@pytest.mark.parametrize(
    "text",
    [
        '{"_id": 1}\n{"_id": oops}\n{"_id": 3}\n',
        '[{"_id": 1},\n{"_id": 2, "notes": "cut\n{"_id": 3}]',
        '{"items": [{"_id": 1},\n{"_id"; 2},\n{"_id": 3}\n], "page": 1}',
    ],
)
def test_reading_goes_on_at_the_next_line_that_begins_with_a_document(text: str) -> None:
    first, broken, last = found_in(text)

    assert (first, last) == (RawDocument(1, {"_id": 1}), RawDocument(3, {"_id": 3}))
    assert (broken.line, broken.value, bool(broken.problem)) == (2, None, True)


@pytest.mark.parametrize(
    "broken",
    [
        '{"_id": 2, "score": NaN}',
        '{"_id": 2, "scores": [{"a": -Infinity}]}',
        '{"_id": 2, "number": ' + 5000 * "9" + "}",
        '{"_id": 2, "_id": 2}',
        '{"_id": 2, "notes": "Line\nbreak {"}',
        '{"_id": 2, "notes": "She said "hello, [you]" to us"}',
        '{"_id": 2, "notes": "C:\\homes"}',
        '{"_id": 2, "nested": {"a": [1, 2, {]}}}',
        "{_id: 2, notes: 'A'}",
        '{"_id": ObjectId("6724fbca4f73a2cebf63857b")}',
        '{"_id": 2, "deep": ' + 100_000 * "[" + 100_000 * "]" + "}",
        '{"_id": 2, "notes": "' + (LONGEST_DOCUMENT + 5) * "}" + '"}',
        "NaN",
        "undefined",
    ],
    ids=lambda broken: str(broken)[:40],
)
@pytest.mark.parametrize(
    ("form", "between"),
    [("[%s]", ", "), ("[\n  %s\n]", ",\n  "), ('{"items": [%s], "page": 1}', ","), ('[{"data": [%s]}]', ",\n")],
    ids=["a line", "lines", "a page", "a page in a list"],
)
def test_one_bad_value_costs_one_document(form: str, between: str, broken: str) -> None:
    text = form % between.join(['{"_id": 1}', broken, '{"_id": 3}', '{"_id": 4}', '{"_id": 5}'])

    found = found_in(text)

    assert [one.value for one in found] == [{"_id": 1}, None, {"_id": 3}, {"_id": 4}, {"_id": 5}]
    assert [bool(one.problem) for one in found] == [False, True, False, False, False]
    assert "nothing after it" not in str(found[1].problem)


def test_a_brace_too_many_costs_no_document() -> None:
    found = found_in('[{"_id": 1}}, {"_id": 2}]')

    assert [one.value for one in found] == [{"_id": 1}, None, {"_id": 2}]


def test_a_broken_document_that_never_ends_costs_no_page_after_it() -> None:
    text = '{"items": [\n  {"_id": 1},\n  {"_id": 2, "notes": "cut},\n  {"_id": 3}\n], "page": 1}\n{"items": [{"_id": 4}]}\n'

    found = found_in(text)

    assert [one.value for one in found] == [{"_id": 1}, None, {"_id": 3}, {"_id": 4}]


def test_a_page_whose_end_was_skipped_is_followed_by_the_next() -> None:
    text = '{"items": [{"_id": 1}, {"_id": 2, "notes": "cut}], "page": 1}\n{"items": [{"_id": 3}], "page": 2}\n'

    found = found_in(text)

    assert [one.value for one in found] == [{"_id": 1}, None, {"_id": 3}]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_a_broken_document_ends_where_it_does_wherever_chunks_end(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.carehq.reading.CHUNK", size)
    text = '[\n  {"_id": 1, "a": "\\"]}", "b": oops},\n  {"_id": 2, oops "' + 200 * "x"
    text += '},\n  {"_id": 3, "a": NaN},\n  {"_id": 4}\n]'

    found = found_in(text)

    assert [(one.line, one.value) for one in found] == [(2, None), (3, None), (4, None), (5, {"_id": 4})]


def test_objects_inside_a_broken_document_are_no_documents() -> None:
    text = '[\n  {\n    "_id": 1,\n    "groups": [\n      {"_id": 9}\n    ],\n    "name: "a"\n  },\n  {\n    "_id": 2\n  }\n]'

    found = found_in(text)

    assert [one.value for one in found] == [None, {"_id": 2}]


@pytest.mark.parametrize(
    "text", ['{"a": 1e400}', '{"a": -0}', '{"a": ' + 4000 * "9" + "}", '{"a": "\\ud800"}', '{"a": "\\u0000"}']
)
def test_what_json_may_hold_is_read(text: str) -> None:
    assert values_in(text) == [json.loads(text)]


BEGINNINGS = {
    "UTF-16": (
        json.dumps([{"_id": 1}]).encode("utf-16"),
        "UTF-16, not UTF-8: convert it first, as with `iconv -f UTF-16 -t UTF-8`",
    ),
    "UTF-16, big end first": (b"\xfe\xff" + "[]".encode("utf-16-be"), "UTF-16, not UTF-8: "),
    "UTF-16LE without a mark": ('[{"_id": 1}]'.encode("utf-16-le"), "UTF-16LE, not UTF-8: "),
    "UTF-16BE without a mark": ("\n[{}]".encode("utf-16-be"), "UTF-16BE, not UTF-8: "),
    "UTF-32": ("[]".encode("utf-32"), "UTF-32, not UTF-8: "),
    "UTF-32 without a mark": ("[]".encode("utf-32-be"), "UTF-32, not UTF-8: "),
    "gzip": (gzip.compress(b"[]"), "compressed (gzip): unpack it first"),
    "bzip2": (bz2.compress(b"[]"), "compressed (bzip2): unpack it first"),
    "xz": (lzma.compress(b"[]"), "compressed (xz): unpack it first"),
    "a spreadsheet": (b"PK\x03\x04\x14\0\x06\0", "an archive or a spreadsheet: unpack it first, or save it as JSON"),
    "a database": (b"SQLite format 3\0\x10\0", "a database: put a backup back with the command restore"),
    "a page of the web": (b"\n<!doctype html>", "XML or HTML: save it as JSON"),
    "a table": (b'\xef\xbb\xbf"_id","notes"\r\n"6724","A\r\nB"\r\n', "a table (CSV): save it as JSON"),
    "a table with semicolons": (b"_id;notes\n6724;A\n", "a table (CSV): save it as JSON"),
}


@pytest.mark.parametrize(("content", "problem"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_file_of_another_kind_is_named_once_with_what_to_do(content: bytes, problem: str) -> None:
    (one,) = found_in(content)

    assert (one.line, one.value, (one.problem or "").startswith(f"the file is {problem}")) == (1, None, True)


def test_what_is_not_utf8_stays_to_be_seen_and_the_rest_is_read() -> None:
    assert values_in(b'[{"notes": "caf\xe9"}, {"notes": "caf\xc3\xa9"}]') == [{"notes": "caf\udce9"}, {"notes": "café"}]


def test_bytes_are_counted_as_they_are_read() -> None:
    documents = Documents(io.BytesIO(b'[{"_id": "\xc3\xa9"}]'))

    read_before, _ = documents.bytes_read, list(documents)

    assert (read_before, documents.bytes_read) == (0, 15)


class Endless(io.RawIOBase):
    """A page of documents that goes on for `count` of them, made as it is read."""

    def __init__(self, count: int) -> None:
        self._parts = self._content(count)
        self._rest = b""

    def _content(self, count: int) -> Iterator[bytes]:
        yield b'{"item_count": 1, "items": ['
        for number in range(count):
            yield b'%s{"_id": %d, "notes": "%s"}' % (b"," if number else b"", number, b"n" * 450)
        yield b"]}"

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (part := next(self._parts, b"")):
            self._rest += part
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def peak_of_reading(count: int) -> tuple[int, int]:
    tracemalloc.start()
    read = sum(1 for _ in Documents(Endless(count)))  # type: ignore[arg-type]  # it reads
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return read, peak


def test_memory_does_not_grow_with_the_number_of_documents() -> None:
    peak_of_reading(2_000)

    few, peak_of_few = peak_of_reading(2_000)
    many, peak_of_many = peak_of_reading(20_000)

    assert (few, many) == (2_000, 20_000)
    assert peak_of_many - peak_of_few < 100_000
