"""Where all must be checked, no skip passes."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

SKIPPING = """
import pytest

def test_that_passes():
    pass

def test_that_skips():
    pytest.skip("there is no browser here")

@pytest.mark.skip(reason="there is no browser here")
def test_that_is_skipped():
    pass
"""


def run_tests(folder: Path, *flags: str) -> tuple[int, str]:
    shutil.copy(ROOT / "tests/conftest.py", folder)
    (folder / "test_browser.py").write_text(SKIPPING)
    (folder / "test_nothing.py").write_text("import pytest\n\npytest.importorskip('no_such_library')\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
    ]
    ended = subprocess.run(
        [*command, *flags, "."],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return ended.returncode, ended.stdout.splitlines()[-1].partition(" in ")[0]


def test_a_skip_passes_unless_nothing_may_be_skipped(tmp_path: Path) -> None:
    usually = run_tests(tmp_path)
    strictly = run_tests(tmp_path, "--no-skips", "--continue-on-collection-errors")

    assert usually == (0, "1 passed, 3 skipped")
    assert strictly == (1, "1 failed, 1 passed, 2 errors")
