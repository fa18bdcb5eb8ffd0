"""A warning of ours fails the tests; one of a library's does only where all are asked for."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

WARN = """
import warnings

def warn():
    warnings.warn("old", DeprecationWarning)
"""
TESTS = """
import threading
import warnings

import library
import schema_library
import storage.sqlite

def test_library():
    library.warn()

def test_library_named_almost_as_ours():
    schema_library.warn()

def test_ours():
    storage.sqlite.warn()

def test_that_warns():
    warnings.warn("old", DeprecationWarning)

def test_that_leaves_a_file_open():
    open(__file__)

def test_that_never_awaits():
    async def work(): ...
    work()

def test_whose_thread_fails():
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()

def test_that_returns():
    return True
"""
OURS = {"ours", "that_warns", "that_leaves_a_file_open", "that_never_awaits", "whose_thread_fails", "that_returns"}
A_LIBRARYS = {"library", "library_named_almost_as_ours"}


def run_tests(folder: Path, *flags: str) -> str:
    """Run tests that warn, under the settings of this project, and return the report."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file in ("library.py", "schema_library.py", "storage/__init__.py", "storage/sqlite.py"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(WARN)
    (folder / "tests").mkdir()
    (folder / "tests/test_warn.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rfp", "--numprocesses=1", *flags]
    return subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, timeout=300, check=False).stdout


def ended(report: str, outcome: str) -> set[str]:
    lines = (line.partition(" - ")[0] for line in report.splitlines())
    return {line.partition("::test_")[2] for line in lines if line.startswith(f"{outcome} ")}


def test_a_warning_of_ours_fails_the_tests_and_a_librarys_is_shown(tmp_path: Path) -> None:
    report = run_tests(tmp_path)

    assert ended(report, "FAILED") == OURS
    assert ended(report, "PASSED") == A_LIBRARYS
    assert f"{tmp_path}/library.py:5: DeprecationWarning: old" in report


def test_where_all_are_asked_for_a_librarys_fails_too_and_is_told_with_its_place(tmp_path: Path) -> None:
    report = run_tests(tmp_path, "-W", "error")

    assert ended(report, "FAILED") == OURS | A_LIBRARYS
    assert "library.py:5: DeprecationWarning" in report
