"""What any test may have: a server and commands as users start them, on a database of its own."""

import asyncio
import contextlib
import gc
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest

import app
from storage.database import database_of
from storage.demo import fill_with_demo
from storage.instants import clock
from tests import databases, forking

ROOT = Path(__file__).parent.parent
APP = str(ROOT / "app.py")
# What is about one database alone: its room, and tests with its mark.
ROOMS = {kind: ROOT / "tests" / "storage" / kind for kind in ("sqlite", "postgresql")}

Process = subprocess.Popen[str] | forking.Fork


@dataclass(frozen=True)
class Server:
    """`url` is that of GraphQL; `origin` that of everything. `log` is what it writes, `serving` the database as it says."""

    origin: str
    database: Path
    process: Process
    log: Path
    serving: str

    @property
    def url(self) -> str:
        return f"{self.origin}/graphql"

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell the server to stop and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


StartServer = Callable[..., Server]
# Of every command that a test starts, unless the test sets them itself.
SETTINGS: dict[str, str] = {}


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a command that must not see the settings of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOME_VISITS_")}
    own = {"DATABASE_URL": databases.made(folder / "visits.db")} | SETTINGS | settings
    return kept | {f"HOME_VISITS_{name}": value for name, value in own.items()}


def run(words: Sequence[str], folder: Path, variables: dict[str, str], stdout: IO[Any], *, forked: bool) -> Process:
    """Run a command of the program; `forked` as a fork of one that has imported it, where this system can."""
    if forked and forking.IS_POSSIBLE:
        return forking.Fork([*words], folder, variables, stdout)
    command = [sys.executable, APP, *words]
    return subprocess.Popen(command, cwd=folder, env=variables, stdout=stdout, stderr=subprocess.PIPE, text=True)


def is_forked(request: pytest.FixtureRequest) -> bool:
    """Tell whether a test is content with forks: a proof that takes minutes starts what it proves something of as users do."""
    return request.node.get_closest_marker("slow") is None


@contextlib.contextmanager
def serving(folder: Path, *, forked: bool = True) -> Iterator[StartServer]:
    """Start servers in a folder: flags as on the command line, settings as keywords without their prefix.

    With `--demo` there are made-up visits, in development or not.
    """
    with contextlib.ExitStack() as ending:

        def start(*flags: str, **settings: str) -> Server:
            variables = environment(folder, **settings)
            if "--demo" in flags and "--dev" not in flags:  # which is refused
                fill(variables["HOME_VISITS_DATABASE_URL"])
                flags = tuple(flag for flag in flags if flag != "--demo")
            log = ending.enter_context((folder / "server.log").open("a"))
            process = run(["serve", "--port", "0", *flags], folder, variables, log, forked=forked)
            ending.callback(end, process)
            assert process.stderr is not None
            output = ""
            for line in process.stderr:
                output += line
                if found := re.search(r"Serving (.+) at (http://[^/]+)/graphql", line):
                    database = folder / (found[1] if databases.is_sqlite() else "visits.db")
                    return Server(found[2], database, process, folder / "server.log", found[1])
            raise AssertionError(f"the server did not start: {output}")

        yield start


def fill(url: str) -> None:
    """Fill a new database with made-up visits, also while another event loop runs."""
    database = database_of(url)
    database.migrate()

    async def work() -> None:
        await database.open()
        await fill_with_demo(database, clock())
        await database.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work()).result()


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """What a command sets up for its process must not outlive its test."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def start_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartServer]:
    """Start servers that end with the test: flags as on the command line, settings as keywords without their prefix."""
    with serving(tmp_path, forked=is_forked(request)) as start:
        yield start


def end(process: Process) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    assert process.stderr is not None
    process.stderr.close()


@pytest.fixture
def running_server(start_server: StartServer) -> Server:
    """A server in development with made-up visits."""
    return start_server("--dev", "--demo")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


RunCommand = Callable[..., Ended]


@pytest.fixture
def run_command(tmp_path: Path) -> RunCommand:
    """Run a command of the program to its end: words as on the command line, settings as keywords without their prefix."""

    def run(*words: str, **settings: str) -> Ended:
        command, variables = [sys.executable, APP, *words], environment(tmp_path, **settings)
        ended = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False)
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def run_command_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Like `run_command`, in this very process: a second sooner, for what ends before anything is served."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, **settings: str) -> Ended:
        variables = environment(tmp_path, **settings)
        for name in os.environ.keys() - variables.keys():
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", [APP, *words])
        with pytest.raises(SystemExit) as ended:
            app.main()
        out, err = capsys.readouterr()
        # What is no number is a sentence, and what is nothing is success.
        if isinstance(ended.value.code, str):
            return Ended(1, out, f"{err}{ended.value.code}\n")
        return Ended(ended.value.code or 0, out, err)

    return run


def pytest_xdist_auto_num_workers() -> int:
    """Have one process more than processors: tests of servers wait half of their time."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """Spare the collector what lives as long as the tests do: to walk through it again and again is a tenth of their time."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="Take a test that is skipped for one that failed.")
    parser.addoption("--no-plans", action="store_true", help="Let all servers answer by the standard executor alone.")
    parser.addoption("--database", choices=["sqlite", "postgresql"], default="sqlite", help="Which database to test.")
    parser.addoption("--long", action="store_true", help="Let each fault of PostgreSQL strike as often as a release needs.")
    parser.addoption("--postgresql", metavar="URL", help="A PostgreSQL server to test with; without, one is started.")


def pytest_configure(config: pytest.Config) -> None:
    # What tests start would compile all of the program each time. Workers and servers have it from here.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    databases.KIND = config.getoption("--database")
    databases.SERVER = config.getoption("--postgresql") or getattr(config, "workerinput", {}).get("postgresql")
    for kind in ROOMS:
        config.addinivalue_line("markers", f"{kind}: run with --database={kind} alone")
    if config.getoption("--no-plans"):
        SETTINGS["PLANS"] = "off"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Start one cluster for all workers."""
    if not databases.is_sqlite():
        node.workerinput["postgresql"] = databases.server_for_all()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about another database alone than the one that is tested."""
    others = ROOMS.keys() - {config.getoption("--database")}
    left_out = {
        item for item in items if any(item.get_closest_marker(kind) or ROOMS[kind] in item.path.parents for kind in others)
    }
    config.hook.pytest_deselected(items=[*left_out])
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _dropped_databases(request: pytest.FixtureRequest) -> Iterator[None]:
    # Asked for before the test, so that it ends after this.
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames and not databases.is_sqlite() else None
    yield
    if folder:
        databases.drop_below(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, pytest.TestReport]:
    report: pytest.TestReport = yield
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, pytest.CollectReport]:
    report: pytest.CollectReport = yield
    if report.skipped and collector.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report
