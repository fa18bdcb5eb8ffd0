"""A PostgreSQL cluster of a test's own: to be set up as it needs one, stopped, and started again."""

import os
import shutil
import signal
import subprocess
import tempfile
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
        initdb = [databases._initdb(), "-D", str(self._data), "--auth=trust", "--username=postgres", "--encoding=UTF8"]
        subprocess.run([*initdb, "--no-sync", *options], user=USER, cwd=self.folder, check=True, capture_output=True)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}&port={self.port}"

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

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)


@contextmanager
def cluster(*options: str, **settings: str) -> Iterator[Cluster]:
    """Make and start one with options of initdb and settings; it ends with the block."""
    running = Cluster(*options)
    try:
        running.start(**settings)
        yield running
    finally:
        running.remove()
