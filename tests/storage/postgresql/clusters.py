"""A PostgreSQL cluster of a test's own: to be set up as it needs one, stopped, and started again."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests import databases

USER = "postgres" if os.getuid() == 0 else None


class Cluster:
    """`url` is that of its superuser, by the socket in its folder, who needs no password there."""

    def __init__(self, *options: str) -> None:
        # Pytest's folders are for whoever runs it, and these programs refuse to run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="home-visits-postgresql-"))
        self.port = databases._free_port()
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        if USER:
            shutil.chown(self.folder, USER)
        self._make(*options)

    def _make(self, *options: str) -> None:
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", *options)

    def _run(self, program: str, *options: str) -> None:
        """Run a program that makes the folder of data."""
        command = [databases._initdb(program), "-D", str(self._data), *options]
        subprocess.run(command, user=USER, cwd=self.folder, check=True, capture_output=True)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}&port={self.port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def write(self, name: str, text: str) -> Path:
        """Write a file into its folder of data, for its own eyes."""
        path = self._data / name
        path.write_text(text)
        path.chmod(0o600)
        if USER:
            shutil.chown(path, USER)
        return path

    def start(self, **settings: str) -> None:
        own = {"port": str(self.port), "fsync": "off", "listen_addresses": "127.0.0.1"}
        options = [f"--{name}={text}" for name, text in (own | {"unix_socket_directories": str(self.folder)} | settings).items()]
        command = [databases._initdb("postgres"), "-D", self._data, *options]
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(command, user=USER, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=log)
        databases._await(self.url, self._process)

    def stop(self) -> None:
        """End it and all connections at once, in good order."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=30)
            self._process = None

    def kill_backend(self, application: str) -> None:
        """Kill the process of one connection, and return once the server has ended all others and takes new ones."""
        pids = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
        with psycopg.connect(self.url, autocommit=True) as other, contextlib.suppress(psycopg.OperationalError):
            [pid, *_] = other.execute(pids, (application,)).fetchone() or ()
            os.kill(pid, signal.SIGKILL)
            while True:
                other.execute("SELECT pg_sleep(.01)")
        assert self._process
        databases._await(self.url, self._process)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Let it hang: whoever is connected waits, and nobody is told why."""
        pids = self.suspend()
        try:
            yield
        finally:
            for each in filter(_is_alive, pids):
                os.kill(each, signal.SIGCONT)

    def kill(self, *, whole: bool = True) -> None:
        """Kill it, `whole` with all its processes, and return when they are gone: without it they end by themselves."""
        assert self._process
        pids = self.suspend()
        for each in pids:
            os.kill(each, signal.SIGKILL if whole or each == self._process.pid else signal.SIGCONT)
        self._process.wait(timeout=30)
        self._process = None
        deadline = time.monotonic() + 30
        while any(map(_is_alive, pids)):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def suspend(self) -> list[int]:
        """Have its first process, which then starts no more, and all others stand still; return them."""
        assert self._process
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)
        pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        for each in filter(_is_alive, pids):
            os.kill(each, signal.SIGSTOP)
        return pids

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)


def _is_alive(pid: int) -> bool:
    try:
        # The state follows the name, in parentheses: that of a child that nobody has waited for is Z.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def cluster(*options: str, **settings: str) -> Iterator[Cluster]:
    """Make and start one with options of initdb and settings; it ends with the block."""
    running = Cluster(*options)
    try:
        running.start(**settings)
        yield running
    finally:
        running.remove()
