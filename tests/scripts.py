"""The scripts of `.github`, for tests."""

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.conftest import ROOT

CHANGES = ROOT / ".github/changes.py"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def last_release() -> Any:
    """Return the last release. A tree without its history, which has none to compare with, stands for it itself."""
    script = load(CHANGES)
    try:
        return script.release_of(script.last_release())
    except (OSError, subprocess.CalledProcessError):
        return script.working_tree()
