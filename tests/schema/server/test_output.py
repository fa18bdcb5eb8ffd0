"""Lines by a thread: in order, whole, counted where they are lost, and nobody waits for a reader."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from schema.server.output import ATOMIC_BYTES, Output


def report(lines: int) -> bytes:
    return b"lost %d\n" % lines


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with suppress(OSError):
            os.close(descriptor)


def until(output: Output, dropped: int) -> None:
    ends = time.monotonic() + 20
    while output.dropped < dropped and time.monotonic() < ends:
        time.sleep(0.001)


def test_lines_of_several_threads_come_whole_and_each_threads_in_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        output = Output(file.fileno(), report)

        def put(name: int) -> None:
            for number in range(200):
                output.put(b"%d %d\n" % (name, number))

        threads = [threading.Thread(target=put, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        flushed = output.flush(20)

    lines = [tuple(map(int, line.split())) for line in (tmp_path / "log").read_text().splitlines()]
    assert flushed
    assert [[number for by, number in lines if by == name] for name in range(4)] == [list(range(200))] * 4


def test_a_reader_that_stalls_costs_nobody_time_and_is_told_once_how_much_it_missed(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = Output(writer, report, max_bytes=200_000)
    line = b"x" * 99 + b"\n"

    began = time.monotonic()
    for _ in range(10_000):
        output.put(line)
    seconds = time.monotonic() - began
    flushed = output.flush(0.05)
    dropped = output.dropped
    text = b""
    while not text.endswith(report(dropped)):
        text += os.read(reader, 65536)
    output.put(b"and on\n")
    output.flush(20)
    text += os.read(reader, 65536)

    assert seconds < 5
    assert not flushed
    assert 0 < dropped < 10_000
    assert text == line * (10_000 - dropped) + report(dropped) + b"and on\n"


def test_what_a_reader_that_is_gone_does_not_get_is_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = Output(writer, report)
    os.close(reader)

    output.put(b"one\ntwo\n")
    until(output, 2)
    output.put(b"three\n")
    flushed = output.flush(20)

    assert (flushed, output.dropped) == (True, 3)


def test_a_descriptor_that_is_closed_loses_lines_and_nothing_else() -> None:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    output = Output(descriptor, report)

    output.put(b"one\n")
    flushed = output.flush(20)
    os.close(descriptor)

    assert (flushed, output.dropped) == (True, 1)


def test_a_line_that_a_full_disk_cut_off_is_no_part_of_the_next_one(tmp_path: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "log").open("wb", buffering=0) as file:
        output = Output(file.fileno(), report)
        resource.setrlimit(resource.RLIMIT_FSIZE, (7, limits[1]))
        try:
            output.put(b"one\ntwo and a half\nthree\n")
            until(output, 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        output.put(b"four\n")
        output.flush(20)

    assert (tmp_path / "log").read_text() == "one\ntwo\nfour\nlost 2\n"


def test_lines_of_two_writers_to_one_pipe_are_never_mixed(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    outputs = {letter: Output(writer, report) for letter in (b"a", b"b")}
    lines = {letter: letter * 700 + b"\n" for letter in outputs}

    for _ in range(40):
        for letter, output in outputs.items():
            output.put(lines[letter] * 20)
    text = b""
    while len(text) < 2 * 40 * 20 * 701:
        text += os.read(reader, 3 * ATOMIC_BYTES)

    assert set(text.splitlines(keepends=True)) == set(lines.values())


def test_others_may_have_made_a_descriptor_that_does_not_block(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    output = Output(writer, report)
    line = b"x" * 999 + b"\n"

    output.put(line * 200)
    text = b""
    with closing(os.fdopen(os.dup(reader), "rb")) as file:
        while len(text) < 200_000:
            text += file.read1()
    flushed = output.flush(20)

    assert (flushed, output.dropped, text) == (True, 0, line * 200)
