"""Whatever becomes of a served database's file is told by /readyz and in the log, and nothing is acknowledged that is lost."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from storage.sqlite.backup import backup
from storage.sqlite.files import GONE, LOG_CUT, LOG_GONE, LOG_REPLACED, OVERWRITTEN, READ_ONLY, REPLACED, Fault
from tests.app.calling import COUNT, Answer, ask, get
from tests.conftest import Server, StartServer
from tests.inspection import connected, inspect

# What becomes of a file.
pytestmark = pytest.mark.sqlite

SECONDS = 5.0
BOOK = """mutation ($careEnquiry: ID!) {
  bookHomeVisit(input: { careEnquiry: $careEnquiry, dateTime: "2030-11-03T11:00:00Z", host: MANAGER, visitType: IN_PERSON }) {
    ... on BookHomeVisitSuccess { homeVisit { id } }
  }
}"""
ENQUIRIES = "{ homeVisits(first: 1, filter: { status: [PENDING] }) { nodes { careEnquiry { id } } } }"
UNAVAILABLE = "The visits cannot be reached for now. It has been noted: try again later, or report the request ID."


class Scene(NamedTuple):
    """A server; what its file was when it started, and a backup of it, both older than what is served."""

    server: Server
    earlier: Path
    backup: Path
    enquiry: str

    @property
    def path(self) -> Path:
        return self.server.database

    def log(self, suffix: str) -> Path:
        return Path(f"{self.path}{suffix}")

    def book(self) -> Answer:
        return ask(self.server.port, BOOK, {"careEnquiry": self.enquiry})


@pytest.fixture
def scene(start_server: StartServer, tmp_path: Path) -> Iterator[Scene]:
    server = start_server("--dev", "--demo", LOG_FORMAT="json")
    enquiry = ask(server.port, ENQUIRIES).json["data"]["homeVisits"]["nodes"][0]["careEnquiry"]["id"]
    earlier, copy = tmp_path / "earlier.db", tmp_path / "copy.db"
    shutil.copy(server.database, earlier)
    backup(server.database, copy)
    scene = Scene(server, earlier, copy, enquiry)
    for _ in range(40):
        assert booked(scene.book())
    with connected(server.database) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    assert booked(scene.book())
    assert get(server.port, "/readyz").status == 200
    yield scene
    subprocess.run(["chattr", "-i", server.database], check=False, capture_output=True)


def booked(answer: Answer) -> str | None:
    result = (answer.json["data"] or {}).get("bookHomeVisit")
    return result and str(result["homeVisit"]["id"])


def codes(answer: Answer) -> list[tuple[str, str]]:
    return [(error["extensions"]["code"], error["message"]) for error in answer.json.get("errors", ())]


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def soon(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + SECONDS
    while not (answer := holds()) and time.monotonic() < until:
        time.sleep(0.05)
    return answer


def overwrite_by(content: Path, path: Path) -> None:
    """Write over the same inode, as `cp` does."""
    shutil.copyfile(content, path)


def overwrite_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(64 * 1024))


FAULTS: dict[str, tuple[Callable[[Scene], object], Fault]] = {
    "deleted": (lambda scene: scene.path.unlink(), GONE),
    "moved away": (lambda scene: scene.path.rename(scene.path.with_name("away.db")), GONE),
    "replaced by a backup": (lambda scene: scene.backup.rename(scene.path), REPLACED),
    "a backup copied over it": (lambda scene: overwrite_by(scene.backup, scene.path), OVERWRITTEN),
    "an earlier copy copied over it": (lambda scene: overwrite_by(scene.earlier, scene.path), OVERWRITTEN),
    "truncated to nothing": (lambda scene: os.truncate(scene.path, 0), OVERWRITTEN),
    "cut in half": (lambda scene: os.truncate(scene.path, scene.path.stat().st_size // 2), OVERWRITTEN),
    "overwritten with garbage": (lambda scene: scene.path.write_bytes(os.urandom(scene.path.stat().st_size)), OVERWRITTEN),
    "overwritten in the middle": (lambda scene: overwrite_middle(scene.path), OVERWRITTEN),
    "log deleted": (lambda scene: scene.log("-wal").unlink(), LOG_GONE),
    "log replaced": (lambda scene: shutil.copy(scene.earlier, scene.path.with_name("x")).rename(scene.log("-wal")), LOG_REPLACED),
    "log truncated": (lambda scene: os.truncate(scene.log("-wal"), 0), LOG_CUT),
    "index of the log deleted": (lambda scene: scene.log("-shm").unlink(), LOG_GONE),
}
USUAL = ("deleted", "a backup copied over it", "log deleted")


# One of each kind always, the others in the slow run.
@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in USUAL else pytest.mark.slow) for name in FAULTS])
def test_what_happens_to_the_file_is_told_and_nothing_is_acknowledged_that_is_lost(scene: Scene, name: str) -> None:
    strike, fault = FAULTS[name]

    strike(scene)
    acknowledged = [id for id in (booked(scene.book()) for _ in range(3)) if id]
    is_reported = soon(lambda: get(scene.server.port, "/readyz").status == 503)
    is_logged = soon(lambda: any(fault.reason in line["event"] and line["level"] == "error" for line in lines(scene.server)))
    write, read, ready = scene.book(), ask(scene.server.port, COUNT), get(scene.server.port, "/readyz")
    scene.server.stop()

    assert (acknowledged, is_reported, is_logged) == ([], True, True)
    assert ready.body.decode() == f"{fault.reason}\n"
    assert codes(write) == [("STORAGE_UNAVAILABLE", UNAVAILABLE)]
    assert codes(read) == ([] if fault.allows_reads else [("STORAGE_UNAVAILABLE", UNAVAILABLE)])
    [line] = [line for line in lines(scene.server) if line.get("request_id") == write.headers["X-Request-Id"]]
    assert (line["level"], line["outcome"], line["failure"][0]) == (
        "error",
        "STORAGE_UNAVAILABLE",
        "storage.errors.DatabaseUnusable",
    )


@contextlib.contextmanager
def away(path: Path) -> Iterator[None]:
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    yield
    elsewhere.rename(path)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[None]:
    with away(path):
        shutil.copy(path.with_name("copy.db"), path)
        yield
        path.unlink()


@contextlib.contextmanager
def immutable(path: Path) -> Iterator[None]:
    # Permission bits do not bind root.
    if subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode:
        pytest.skip("nobody may make files immutable here")
    yield
    subprocess.run(["chattr", "-i", path], check=True)


@pytest.mark.parametrize(
    ("happening", "fault"),
    [
        pytest.param(away, GONE, id="away"),
        pytest.param(replaced, REPLACED, id="replaced", marks=pytest.mark.slow),
        pytest.param(immutable, READ_ONLY, id="read-only", marks=pytest.mark.slow),
    ],
)
def test_it_heals_without_a_restart_once_the_file_is_back(
    scene: Scene, happening: Callable[[Path], contextlib.AbstractContextManager[None]], fault: Fault
) -> None:
    with happening(scene.path):
        is_reported = soon(lambda: get(scene.server.port, "/readyz").body.decode() == f"{fault.reason}\n")
        refused = codes(scene.book())
    is_ready = soon(lambda: get(scene.server.port, "/readyz").status == 200)
    kept = booked(scene.book())
    scene.server.stop()

    assert (is_reported, refused, is_ready) == (True, [("STORAGE_UNAVAILABLE", UNAVAILABLE)], True)
    assert inspect(scene.path).query(f"SELECT count(*) FROM home_visits WHERE id = '{kept}'") == [(1,)]  # noqa: S608 - ours
    assert inspect(scene.path).faults() == []
    assert [line["event"] for line in lines(scene.server) if "be used again" in line["event"]] == [
        "The database can be used again"
    ]


@pytest.mark.parametrize("name", ["backup", "earlier"])
@pytest.mark.slow
def test_a_restart_serves_what_was_copied_over_the_file_and_not_a_mixture(
    scene: Scene, start_server: StartServer, name: str
) -> None:
    content: Path = getattr(scene, name)
    overwrite_by(content, scene.path)
    soon(lambda: get(scene.server.port, "/readyz").status == 503)
    scene.server.stop()

    again = start_server("--dev")
    count = ask(again.port, COUNT).json["data"]["homeVisits"]["totalCount"]
    again.stop()

    assert [(count,)] == inspect(content).query("SELECT count(*) FROM home_visits")
    assert inspect(scene.path).faults() == []


def test_a_file_that_was_only_touched_is_examined_and_served_on(scene: Scene) -> None:
    os.utime(scene.path)

    assert soon(lambda: any("can be used again" in line["event"] for line in lines(scene.server)))
    assert get(scene.server.port, "/readyz").status == 200
    assert booked(scene.book())


def test_a_backup_in_the_place_of_a_crashed_database_does_without_its_log(scene: Scene, start_server: StartServer) -> None:
    scene.server.process.kill()
    scene.server.process.wait()
    log = scene.log("-wal").read_bytes()
    overwrite_by(scene.backup, scene.path)

    again = start_server("--dev")
    count = ask(again.port, COUNT).json["data"]["homeVisits"]["totalCount"]
    again.stop()

    assert [(count,)] == inspect(scene.backup).query("SELECT count(*) FROM home_visits")
    assert Path(f"{scene.path}.orphaned-wal").read_bytes() == log
    assert inspect(scene.path).faults() == []
