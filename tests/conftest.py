"""What any test may have: a server as users start it, on a database of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Server:
    """`url` is that of GraphQL; `origin` that of everything."""

    origin: str
    database: Path
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"{self.origin}/graphql"


StartServer = Callable[..., Server]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a command that must not see the settings of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOME_VISITS_")}
    database = {"HOME_VISITS_DATABASE_URL": f"sqlite:///{folder / 'visits.db'}"}
    return kept | database | {f"HOME_VISITS_{name}": value for name, value in settings.items()}


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers: flags as on the command line, settings as keywords without their prefix."""
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str, **settings: str) -> Server:
        command = [sys.executable, str(ROOT / "app.py"), "serve", "--port", "0", *flags]
        log = (tmp_path / "server.log").open("a")
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(tmp_path, **settings), stdout=log, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stderr is not None
        told = ""
        for line in process.stderr:
            told += line
            if found := re.search(r"Serving (.+) at (http://[^/]+)/graphql", line):
                return Server(found[2], Path(found[1]), process)
        raise AssertionError(f"the server did not start: {told}")

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture
def running_server(start_server: StartServer) -> Server:
    """A server in development with made-up visits."""
    return start_server("--dev", "--demo")
