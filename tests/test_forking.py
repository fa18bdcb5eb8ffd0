"""A fork of the program is to its tests what a process of its own would be."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Process, environment, run
from tests.forking import IS_POSSIBLE

pytestmark = pytest.mark.skipif(not IS_POSSIBLE, reason="this system tells of the end of a process only to its parent")


def outcome(words: list[str], folder: Path, *, forked: bool, **settings: str) -> tuple[int, str, str]:
    with (folder / "out").open("w+") as out:
        process = run(words, folder, environment(folder, **settings), out, forked=forked)
        assert process.stderr is not None
        with process.stderr as errors:
            error = errors.read()
        code = process.wait(timeout=60)
        return code, (folder / "out").read_text(), error.replace(str(folder), "")


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["--version"], {}),
        (["serve"], {}),
        (["migrate"], {"DATABASE_URL": "sqlite:///of-this-folder.db"}),
    ],
    ids=str,
)
def test_a_fork_does_what_a_command_of_its_own_does(words: list[str], settings: dict[str, str], tmp_path: Path) -> None:
    (forks, own) = (tmp_path / "fork", tmp_path / "own")
    forks.mkdir()
    own.mkdir()

    by_fork = outcome(words, forks, forked=True, **settings)

    assert by_fork == outcome(words, own, forked=False, **settings)
    assert {path.name for path in forks.iterdir()} == {path.name for path in own.iterdir()}


@contextmanager
def serving(folder: Path, *, forked: bool = True) -> Iterator[Process]:
    with (folder / "out").open("w") as out:
        process = run(["serve", "--dev", "--port", "0"], folder, environment(folder), out, forked=forked)
    assert process.stderr is not None
    with process.stderr as errors:
        assert any("Serving" in line for line in errors)
        yield process
        process.kill()
        process.wait(timeout=30)


def test_a_fork_ends_by_a_signal_as_a_child_does(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        running = process.poll()
        process.kill()

        assert (running, process.wait(timeout=30), process.poll()) == (None, -signal.SIGKILL, -signal.SIGKILL)
        assert not Path(f"/proc/{process.pid}").exists()


def open_files(process: Process) -> list[str]:
    """Return what a process has open, each as its kind: one file is its log, others have numbers."""
    return sorted(str(path.readlink()).partition(":")[0] for path in Path(f"/proc/{process.pid}/fd").iterdir())


@pytest.mark.sqlite  # to PostgreSQL a server opens connections as it needs them
def test_a_fork_has_no_files_but_its_own(tmp_path: Path) -> None:
    with serving(tmp_path, forked=False) as own:
        files = open_files(own)

    with serving(tmp_path) as first, serving(tmp_path) as second:
        assert [open_files(first), open_files(second)] == [files] * 2
