"""Runs the program in forks of one process that has imported it, because to import it takes most of a start.

What runs is `app.main()` with the arguments, environment, folder and streams of a command of its own; only the interpreter is not
started again. A fork ends with an exit code that its parent reads and passes on, as `subprocess.Popen` has it.
"""

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from select import select
from typing import IO, Any

ROOT = Path(__file__).parent.parent
APP = str(ROOT / "app.py")
LONGEST_REQUEST = 1 << 20
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
# Elsewhere nothing tells of the end of a process without a thread.
IS_POSSIBLE = hasattr(os, "pidfd_open")
# Tests may start servers in threads.
_one_request = threading.Lock()


class Fork:
    """A fork that runs a command of the program: what tests use of `subprocess.Popen`."""

    def __init__(self, words: list[str], folder: Path, variables: dict[str, str], stdout: IO[Any]) -> None:
        self.args = [sys.executable, APP, *words]
        self.returncode: int | None = None
        request = {"argv": [APP, *words], "folder": str(folder), "variables": variables, **_inherited()}
        stderr, their_stderr = os.pipe()
        self._ending, their_ending = os.pipe()
        self.stderr: IO[str] = os.fdopen(stderr)
        with _one_request:
            template = _template()
            socket.send_fds(template, [json.dumps(request).encode()], [stdout.fileno(), their_stderr, their_ending])
            self.pid = int(template.recv(100))
        os.close(their_stderr)
        os.close(their_ending)

    def poll(self) -> int | None:
        if self.returncode is None and select([self._ending], [], [], 0)[0]:
            self._read_code()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select([self._ending], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        if self.returncode is None:
            self._read_code()
        assert self.returncode is not None
        return self.returncode

    def _read_code(self) -> None:
        self.returncode = int(os.read(self._ending, 100))
        os.close(self._ending)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _inherited() -> dict[str, Any]:
    """Return what else of this process a child that is executed has."""
    umask = os.umask(0)
    os.umask(umask)
    return {"umask": umask, "ignored": [number for number in ENDING if signal.getsignal(number) is signal.SIG_IGN]}


@cache
def _template() -> socket.socket:
    """Start the process that is forked; return the socket to ask it by. It ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], cwd="/", pass_fds=[theirs.fileno()])

    def end() -> None:
        ours.close()
        process.wait(timeout=30)

    atexit.register(end)
    return ours


class Template:
    """Forks for each request that comes over `control`, and passes on how each fork ends."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._endings: dict[int, tuple[int, int]] = {}

    def run(self) -> dict[str, Any]:
        """Return, in a fork, its request; exit when nobody can ask any more."""
        while True:
            for key, _ in self._selector.select():
                if key.fd in self._endings:
                    self._pass_on(key.fd)
                elif request := self._fork():
                    return request

    def _pass_on(self, handle: int) -> None:
        pid, ending = self._endings.pop(handle)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(BrokenPipeError):
            os.write(ending, str(code).encode())
        self._selector.unregister(handle)
        os.close(handle)
        os.close(ending)

    def _fork(self) -> dict[str, Any] | None:
        message, descriptors, _, _ = socket.recv_fds(self._control, LONGEST_REQUEST, 3)
        if not message:
            sys.exit()
        stdout, stderr, ending = descriptors
        pid = os.fork()
        if pid == 0:
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            self._close(descriptors)
            return dict(json.loads(message))
        os.close(stdout)
        os.close(stderr)
        handle = os.pidfd_open(pid)
        self._endings[handle] = pid, ending
        self._selector.register(handle, selectors.EVENT_READ)
        self._control.send(str(pid).encode())
        return None

    def _close(self, descriptors: list[int]) -> None:
        """Close, in a fork, what is not its own."""
        self._selector.close()
        self._control.close()
        for handle, (_, ending) in self._endings.items():
            descriptors += [handle, ending]
        for descriptor in descriptors:
            os.close(descriptor)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    import app

    request = Template(socket.socket(fileno=int(sys.argv[1]))).run()
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    os.umask(request["umask"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["variables"])
    time.tzset()
    sys.argv = request["argv"]
    sys.orig_argv = [sys.executable, *sys.argv]
    app.main()
