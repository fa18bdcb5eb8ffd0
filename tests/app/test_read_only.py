"""Export and backup of a database in a folder where nothing can be written."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import APP, ROOT, Ended, RunCommand, environment
from tests.inspection import connected, inspect

# Permissions are those of a file.
pytestmark = pytest.mark.sqlite

SAMPLES = ROOT / "tests/storage/carehq/samples"
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


def obey_permissions() -> None:
    """Let permissions hold for root, too, in a process that is about to start."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)


@pytest.fixture
def folder(tmp_path: Path, run_command_here: RunCommand) -> Iterator[Path]:
    """A folder with a database; a test closes it."""
    run_command_here("import", str(SAMPLES / "home_visits.json"))
    folder = tmp_path / "closed"
    folder.mkdir()
    (tmp_path / "visits.db").rename(folder / "visits.db")
    yield folder
    folder.chmod(0o700)


def run(folder: Path, *words: str) -> Ended:
    variables = environment(folder)
    ended = subprocess.run(
        [sys.executable, APP, *words],
        cwd=folder.parent,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=obey_permissions,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def close(folder: Path) -> dict[str, bytes]:
    """Take the permission to write away, and return what is there."""
    for file in folder.iterdir():
        file.chmod(0o400)
    folder.chmod(0o500)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def with_log(folder: Path, *suffixes: str) -> None:
    """Leave a visit in the log alone, as a crash does, with these of the files that SQLite keeps beside a database."""
    path, crashed = folder / "visits.db", folder.parent / "crashed.db"
    shutil.copy(path, crashed)
    with connected(crashed) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE home_visits SET host = 'OTHER'")
        for suffix in ("", *suffixes):
            shutil.copy(f"{crashed}{suffix}", f"{path}{suffix}")


@pytest.mark.parametrize(
    "suffixes",
    [
        pytest.param((), id="at rest"),
        pytest.param(("-wal", "-shm"), id="after a crash", marks=pytest.mark.slow),
        pytest.param(("-wal",), id="a copy after a crash", marks=pytest.mark.slow),
    ],
)
def test_a_database_that_cannot_be_written_to_is_exported_and_backed_up(
    folder: Path, tmp_path: Path, suffixes: tuple[str, ...]
) -> None:
    if suffixes:
        with_log(folder, *suffixes)
    before = close(folder)

    exported = run(folder, "export")
    copied = run(folder, "backup", "copy.db")

    assert (exported.code, exported.err) == (0, "home_visits: 5 exported\n")
    hosts = {visit["host"] for visit in json.loads(exported.out)}
    assert hosts == ({"other"} if suffixes else {"manager"})
    assert copied == (0, "", f"{folder}/visits.db was copied to copy.db.\n")
    assert len(inspect(tmp_path / "copy.db").records("home_visits")) == 5
    assert contents(folder) == before
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob("home-visits-*/visits.db"))  # noqa: S108


def test_what_is_not_there_is_told_as_elsewhere(folder: Path) -> None:
    (folder / "visits.db").unlink()
    close(folder)

    exported, copied = run(folder, "export"), run(folder, "backup", "copy.db")

    sentence = f"There are no home visits in {folder}/visits.db yet: import some, or set HOME_VISITS_DATABASE_URL."
    assert exported == (1, "", f"home-visits: {sentence}\n")
    assert copied == (1, "", f"home-visits: {folder}/visits.db holds no home visits yet: there is nothing to back up.\n")


def test_what_writes_is_refused(folder: Path) -> None:
    before = close(folder)

    ended = run(folder, "import", str(SAMPLES / "home_visits.json"))

    sentence = f"{folder} is no folder that can be written to: make it, or set HOME_VISITS_DATABASE_URL."
    assert ended == (1, "", f"home-visits: {sentence}\n")
    assert contents(folder) == before
