"""Writes lines to a file descriptor by a thread: a reader that stalls, or goes, stops nobody, and what it loses is counted."""

import atexit
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable

# What waits for a reader that stalls: seconds of a loaded server, hours of a quiet one.
MAX_BYTES = 4 * 1024 * 1024
# POSIX's smallest PIPE_BUF is 512; Linux's is a page. Up to it a write is never mixed with another process's.
ATOMIC_BYTES = 4096
EXIT_SECONDS = 2.0
_POLL_SECONDS = 0.05


class Output:
    """Writes lines in order, `put` from any thread. `report` makes the line that says how many lines were lost.

    The thread, not a descriptor that does not block: that would be so for all who share it, a terminal's shell among them.
    """

    def __init__(self, descriptor: int, report: Callable[[int], bytes], *, max_bytes: int = MAX_BYTES) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._report = report
        self._max_bytes = max_bytes
        self._most_at_once = ATOMIC_BYTES if _is_pipe(descriptor) else max_bytes
        self._changed = threading.Condition(threading.Lock())
        self._blocks: deque[bytes] = deque()
        self._bytes = 0
        self._writing = False
        self._torn = False
        self._reported = 0
        self._thread: threading.Thread | None = None

    def put(self, block: bytes) -> None:
        """Have whole lines written soon; count them as dropped where too much waits already."""
        with self._changed:
            if self._bytes + len(block) > self._max_bytes:
                self.dropped += block.count(b"\n")
                return
            self._blocks.append(block)
            self._bytes += len(block)
            if not self._writing:
                self._writing = True
                self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
                atexit.register(self.flush)

    def flush(self, seconds: float = EXIT_SECONDS) -> bool:
        """Wait until all is written, or for so long; tell whether it was."""
        ends = time.monotonic() + seconds
        with self._changed:
            while self._writing and (left := ends - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._writing

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._blocks:
                    self._writing = False
                    self._changed.notify_all()
                    self._changed.wait()
                block = b"".join(self._blocks)
                self._blocks.clear()
            lost = self._write(block)
            with self._changed:
                self._bytes -= len(block)
                self.dropped += lost
                unreported = self.dropped - self._reported
            if unreported and not lost and self._write(self._report(unreported)) == 0:
                self._reported += unreported

    def _write(self, block: bytes) -> int:
        """Write lines, as many at a time as are never mixed with others'; return how many could not be written."""
        start = 0
        while start < len(block):
            end = block.rfind(b"\n", start, start + self._most_at_once) + 1 or block.index(b"\n", start) + 1
            # The rest of a line that was cut off must not become part of the next one.
            if self._torn and self._write_all(b"\n"):
                return block.count(b"\n", start)
            unwritten = self._write_all(block[start:end])
            self._torn = 0 < len(unwritten) < end - start and not block.endswith(b"\n", start, end - len(unwritten))
            if unwritten:
                return unwritten.count(b"\n") + block.count(b"\n", end)
            start = end
        return 0

    def _write_all(self, lines: bytes) -> bytes:
        """Return what could not be written."""
        while lines:
            try:
                lines = lines[os.write(self._descriptor, lines) :]
            except BlockingIOError:
                # Others made the descriptor so that it does not block.
                time.sleep(_POLL_SECONDS)
            except OSError:
                break
        return lines


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False
