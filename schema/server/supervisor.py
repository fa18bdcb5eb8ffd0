"""A supervisor: runs this very command in several workers that inherit its socket, replaces those that end, and stops them."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from schema.server.closing import refuse_new_connections
from schema.server.settings import Unstartable, worker_environment
from schema.server.sharing import SharedFolder, make_shared_folder
from schema.transport.http.connections import HTTPLimits

POLL_SECONDS = 0.2
# Before a worker is replaced: doubled with each time that it ended early, so that one that cannot start costs next to nothing.
RESTART_SECONDS = 0.5
LONGEST_RESTART_SECONDS = 30.0
EARLY_SECONDS = 10.0
# How often each may fail, where none has ever served, before the supervisor gives up.
ATTEMPTS = 3
SERVES = b"1"

Worker = subprocess.Popen[bytes]

log = logging.getLogger(__name__)


def stop_signals() -> list[signal.Signals]:
    """Return the signals that end a server: also a terminal that closes, unless the server was started by `nohup`."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if ignored else [signal.SIGHUP])]


def stop_seconds(limits: HTTPLimits) -> float:
    """Return how long workers may take to stop before they are killed.

    What was accepted has `shutdown_seconds`, and all around it 5 s more; 24 s in any case, so that the server ends within 25 s.
    """
    return max(24.0, limits.shutdown_seconds + 5.0)


def supervise(workers: int, listener: socket.socket, limits: HTTPLimits, ready: Callable[[], None]) -> None:
    """Keep so many workers running until a signal to stop; call `ready` once the first serves. Raise Unstartable if none can."""
    signals = list[int]()
    for number in stop_signals():
        signal.signal(number, lambda number, _frame: signals.append(number))
    shared = make_shared_folder(workers)
    supervisor = Supervisor([_Slot(number) for number in range(workers)], listener, shared)
    try:
        while not signals:
            if supervisor.look_after_workers():
                ready()
            time.sleep(POLL_SECONDS)
        refuse_new_connections(listener)
        listener.close()
    finally:
        stop_all(supervisor.running, stop_seconds(limits))
        if shared:
            shared.remove()


@dataclass
class _Slot:
    """Where one worker runs after the other. Over its `channel` it says that it serves, and finds out that we are gone."""

    number: int
    worker: Worker | None = None
    channel: socket.socket | None = None
    started: float = 0.0
    serves: bool = False
    failures: int = 0
    due: float = field(default_factory=time.monotonic)


class Supervisor:
    """Starts the workers of the slots and replaces them."""

    def __init__(self, slots: list[_Slot], listener: socket.socket, shared: SharedFolder | None) -> None:
        self._slots = slots
        self._listener = listener
        self._shared = shared
        self._has_served = False

    @property
    def running(self) -> list[Worker]:
        return [slot.worker for slot in self._slots if slot.worker is not None]

    def look_after_workers(self) -> bool:
        """Start what is due; return whether a worker serves now, and none did before. Raise Unstartable."""
        for slot in self._slots:
            if slot.worker is not None and slot.worker.poll() is not None:
                self._note_end(slot, slot.worker)
            if slot.worker is None and time.monotonic() >= slot.due:
                self._start(slot)
            slot.serves = slot.serves or _says_that_it_serves(slot)
        if self._has_served:
            return False
        self._has_served = any(slot.serves for slot in self._slots)
        if all(slot.failures >= ATTEMPTS for slot in self._slots) and not self._has_served:
            raise Unstartable(f"No worker could start, {ATTEMPTS} times each; what stands above or in the log says why.")
        return self._has_served

    def _start(self, slot: _Slot) -> None:
        slot.started, slot.serves = time.monotonic(), False
        try:
            slot.channel, theirs = socket.socketpair()
            slot.channel.setblocking(False)
            with theirs:
                slot.worker = self._run(slot.number, theirs)
        except OSError as error:
            log.error("A worker cannot be started, and is again in %g s: %s", self._pause(slot), error.strerror)

    def _run(self, number: int, channel: socket.socket) -> Worker:
        return subprocess.Popen(  # noqa: S603 - ourselves again
            [*sys.orig_argv, "--inherited", str(self._listener.fileno())],
            env=worker_environment(self._shared.path if self._shared else None, number),
            pass_fds=[self._listener.fileno(), *([self._shared.lock] if self._shared else [])],
            stdin=channel.fileno(),
            # A Ctrl-C at the terminal is for the supervisor, which passes it on.
            process_group=0,
        )

    def _note_end(self, slot: _Slot, worker: Worker) -> None:
        pause = self._pause(slot)
        log.error("Worker %s ended with the code %s and is replaced in %g s", worker.pid, worker.returncode, pause)
        if self._shared:
            self._shared.forget_gauges(slot.number)

    def _pause(self, slot: _Slot) -> float:
        """Have the slot started again later, the later the more often it failed; return in how many seconds."""
        if slot.channel:
            slot.channel.close()
        now = time.monotonic()
        slot.failures = slot.failures + 1 if now - slot.started < EARLY_SECONDS or not slot.serves else 1
        pause = min(RESTART_SECONDS * 2.0 ** (slot.failures - 1), LONGEST_RESTART_SECONDS)
        slot.worker, slot.channel, slot.due = None, None, now + pause
        return pause


def tell_supervisor() -> None:
    """Tell the supervisor that this worker serves."""
    try:
        os.write(sys.stdin.fileno(), SERVES)
    except OSError:
        log.warning("The supervisor is gone")


def _says_that_it_serves(slot: _Slot) -> bool:
    try:
        return slot.channel is not None and slot.channel.recv(1) == SERVES
    except OSError:
        return False


def stop_all(workers: list[Worker], seconds: float) -> None:
    """Ask workers to stop, and kill those that have not within so many seconds."""
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + seconds
    for worker in workers:
        try:
            worker.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
