"""Files that cannot be written are refused at the start; those of the program are for its own user alone; a full disk is told."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.calling import COUNT, ask, get
from tests.app.test_storage_faults import BOOK, ENQUIRIES, booked, codes, lines, soon
from tests.conftest import APP, StartServer, environment
from tests.databases import migrate

# PostgreSQL keeps its files itself.
pytestmark = pytest.mark.sqlite

FULL = "There is no room left to save this. Nothing was changed: try again once space has been freed."


def serve_bound_by_permissions(folder: Path) -> tuple[int, str]:
    """Start a server that permission bits bind, unlike root's processes otherwise."""
    command = [sys.executable, APP, "serve", "--dev", "--port", "0"]
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("permission bits do not bind root, and setpriv is missing")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    ended = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_file_without_write_permission_is_refused_at_the_start(tmp_path: Path, suffix: str) -> None:
    migrate(tmp_path / "visits.db")
    file = tmp_path / f"visits.db{suffix}"
    file.touch()
    file.chmod(0o444)

    code, message = serve_bound_by_permissions(tmp_path)

    sentence = f"{file} cannot be written to: give this user permission to, or set HOME_VISITS_DATABASE_URL."
    assert (code, message) == (1, f"home-visits: {sentence}")


def test_a_folder_without_write_permission_is_refused_at_the_start(tmp_path: Path) -> None:
    migrate(tmp_path / "visits.db")
    tmp_path.chmod(0o555)

    code, message = serve_bound_by_permissions(tmp_path)

    sentence = f"{tmp_path} is no folder that can be written to: make it, or set HOME_VISITS_DATABASE_URL."
    assert (code, message) == (1, f"home-visits: {sentence}")


def modes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): oct(path.stat().st_mode & 0o777) for path in sorted(folder.rglob("*"))}


def test_all_that_holds_personal_data_is_for_the_user_of_the_program_alone(
    start_server: StartServer, tmp_path: Path, run_command: Callable[..., object]
) -> None:
    before = os.umask(0o022)
    try:
        server = start_server("--dev", "--demo")
        enquiry = ask(server.port, ENQUIRIES).json["data"]["homeVisits"]["nodes"][0]["careEnquiry"]["id"]
        assert booked(ask(server.port, BOOK, {"careEnquiry": enquiry}))
        run_command("backup", "copy.db")
        assert soon(lambda: any((tmp_path / "mail").glob("*.eml")))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        crashed = modes(tmp_path)
        run_command("restore", "copy.db")
    finally:
        os.umask(before)

    found = crashed | modes(tmp_path)
    assert {name for name, mode in found.items() if mode not in ("0o600", "0o700")} == {"server.log"}
    assert {"visits.db", "visits.db-wal", "visits.db-shm", "copy.db", "mail", "visits.db.before-restore"} <= found.keys()
    assert found["mail"] == "0o700"


def test_a_database_that_others_could_read_is_closed_to_them(start_server: StartServer, tmp_path: Path) -> None:
    migrate(tmp_path / "visits.db")
    (tmp_path / "visits.db").chmod(0o664)

    start_server("--dev")

    assert {name: mode for name, mode in modes(tmp_path).items() if "visits" in name} == {
        "visits.db": "0o660",
        "visits.db-shm": "0o660",
        "visits.db-wal": "0o660",
    }


def test_a_full_disk_refuses_writes_says_why_serves_reads_and_recovers(start_server: StartServer, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=False, capture_output=True).returncode:
        pytest.skip("nobody may mount a small disk here")
    try:
        server = start_server("--dev", "--demo", LOG_FORMAT="json", DATABASE_URL=f"sqlite:///{disk / 'visits.db'}")
        enquiry = ask(server.port, ENQUIRIES).json["data"]["homeVisits"]["nodes"][0]["careEnquiry"]["id"]
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(b"\0" * 4096)
                file.flush()

        answers = [ask(server.port, BOOK, {"careEnquiry": enquiry}) for _ in range(3)]
        read, ready = ask(server.port, COUNT), get(server.port, "/readyz")
        ballast.unlink()
        again = booked(ask(server.port, BOOK, {"careEnquiry": enquiry}))
        server.stop()
    finally:
        subprocess.run(["umount", disk], check=True)

    refused = [codes(answer) for answer in answers if not booked(answer)]
    assert [error for [error] in refused] == [("STORAGE_UNAVAILABLE", FULL)] * len(refused)
    assert refused
    assert (codes(read), ready.status, again is not None) == ([], 200, True)
    assert [line["level"] for line in lines(server) if FULL in line["event"]][:1] == ["error"]
    outcomes = [(line["level"], line["failure"][0]) for line in lines(server) if line.get("outcome") == "STORAGE_UNAVAILABLE"]
    assert outcomes == [("error", "storage.errors.DatabaseFull")] * len(refused)
