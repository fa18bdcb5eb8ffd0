import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from storage.carehq.reading import LONGEST_DOCUMENT, Documents, RawDocument


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
        '{"_id": 1}\n{"_id": 2}\n',
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
        ('{"a"\n:\noops}', "is no JSON: Expecting value on line 3; nothing after it was read"),
        ('{"a": NaN}', "is no JSON that can be read: NaN is no number; nothing after it was read"),
        ('{"items": [] "page": 1}', "is no JSON: `}` is missing on line 1; nothing after it was read"),
        ('{"items": [], "page" 1}', "is no JSON: `:` is missing on line 1; nothing after it was read"),
        ('{"a": "two\nlines"}', "is no JSON: Invalid control character at on line 1; nothing after it was read"),
        ('{"a": "' + LONGEST_DOCUMENT * "b" + '"}', "is longer than 1,048,576 characters; nothing after it was read"),
    ],
)
def test_what_is_no_json_is_told(text: str, problem: str) -> None:
    assert found_in(text) == [RawDocument(1, None, problem)]


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, '{"items":[' * 200_000, '{"a": ' + "9" * 5000 + "}"])
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
    assert (broken.line, broken.value, (broken.problem or "")[:10]) == (2, None, "is no JSON")


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
