"""Writes lines to a file descriptor, and never waits for its reader: what it does not take at once, a thread writes."""

import atexit
import os
import socket
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

# What waits for a reader that stalls: seconds of a loaded server, hours of a quiet one.
MAX_BYTES = 4 * 1024 * 1024
# POSIX's smallest PIPE_BUF is 512; Linux's is a page. Up to it a write is never mixed with another process's.
ATOMIC_BYTES = 4096
EXIT_SECONDS = 2.0
_POLL_SECONDS = 0.05

Write = Callable[[bytes], int]


class Output:
    """Writes lines in order, `put` from any thread. `report` makes the line that says how many lines were lost.

    Where it can be written to without blocking, no thread is woken: that costs more than to write.
    """

    def __init__(self, descriptor: int, report: Callable[[int], bytes], *, max_bytes: int = MAX_BYTES) -> None:
        self.dropped = 0
        self._write_waiting: Write = partial(os.write, descriptor)
        self._write_at_once = _not_blocking(descriptor)
        self._most_at_once = ATOMIC_BYTES if _kind(descriptor) == stat.S_IFIFO else max_bytes
        self._report = report
        self._max_bytes = max_bytes
        self._changed = threading.Condition(threading.Lock())
        self._blocks: deque[bytes] = deque()
        self._bytes = 0
        self._waiting = False
        self._torn = False
        self._reported = 0
        self._thread: threading.Thread | None = None

    def put(self, block: bytes) -> None:
        """Have whole lines written now or soon; count them as dropped where too much waits already."""
        with self._changed:
            if self._write_at_once and not self._waiting:
                block, lost = self._write(block, self._write_at_once)
                block = self._count(lost, block, self._write_at_once)
                if not block:
                    return
            if self._bytes + len(block) > self._max_bytes:
                self.dropped += block.count(b"\n")
                return
            self._blocks.append(block)
            self._bytes += len(block)
            self._wake()

    def flush(self, seconds: float = EXIT_SECONDS) -> bool:
        """Wait until all is written, or for so long; tell whether it was."""
        ends = time.monotonic() + seconds
        with self._changed:
            while self._waiting and (left := ends - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._waiting

    def _wake(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()
            atexit.register(self.flush)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._blocks:
                    self._waiting = False
                    self._changed.notify_all()
                    self._changed.wait()
                block = b"".join(self._blocks)
                self._blocks.clear()
            size, lost = len(block), 0
            while block:
                block, more = self._write(block, self._write_waiting)
                lost += more
                if block:
                    # Others made the descriptor so that it does not block.
                    time.sleep(_POLL_SECONDS)
            with self._changed:
                self._bytes -= size
                # Lines that wait are older than those that were lost.
                if self._blocks:
                    self.dropped += lost
                    report = b""
                else:
                    report = self._count(lost, b"", None)
            if report:
                self._write(report, self._write_waiting)

    def _count(self, lost: int, rest: bytes, write: Write | None) -> bytes:
        """Count lines that were lost. Where all before is written, report those that nobody was told of; return what is left."""
        self.dropped += lost
        unreported = self.dropped - self._reported
        if lost or rest or not unreported:
            return rest
        self._reported += unreported
        report = self._report(unreported)
        return self._write(report, write)[0] if write else report

    def _write(self, block: bytes, write: Write) -> tuple[bytes, int]:
        """Write lines, as many at a time as are never mixed with others'; return those that must wait, or how many are lost."""
        start = 0
        try:
            while start < len(block):
                # The rest of a line that was cut off must not become part of the next one.
                if self._torn and write(b"\n"):
                    self._torn = False
                end = block.rfind(b"\n", start, start + self._most_at_once) + 1 or block.index(b"\n", start) + 1
                start += write(block[start:end])
        except BlockingIOError:
            return block[start:], 0
        except OSError:
            self._torn = self._torn or not block.endswith(b"\n", 0, start) if start else self._torn
            return b"", block.count(b"\n", start)
        return b"", 0


def _not_blocking(descriptor: int) -> Write | None:
    """Return what writes to a descriptor, or raises BlockingIOError; None where that cannot be done for us alone.

    The flag is that of all who share an open file, a terminal's shell among them: so a pipe is opened once more.
    """
    match _kind(descriptor):
        case stat.S_IFREG:
            return partial(os.write, descriptor)
        case stat.S_IFCHR if not os.isatty(descriptor):
            # /dev/null, say.
            return partial(os.write, descriptor)
        case stat.S_IFIFO | stat.S_IFCHR:
            try:
                again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            except OSError:
                return None
            return partial(os.write, again)
        case stat.S_IFSOCK:
            connection = socket.socket(fileno=os.dup(descriptor))
            return lambda block: connection.send(block, socket.MSG_DONTWAIT)
    return None


def _kind(descriptor: int) -> int:
    try:
        return stat.S_IFMT(os.fstat(descriptor).st_mode)
    except OSError:
        return 0
