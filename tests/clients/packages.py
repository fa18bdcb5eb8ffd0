"""Installs what an example client depends on, once: a later run finds it where the test suite keeps its cache."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "NameResolutionError", "NewConnectionError")
NPM = [("npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund")]
PIP = [(sys.executable, "-m", "venv", "."), ("bin/python", "-m", "pip", "install", "--requirement", "requirements.txt")]


def install(client: Path, cache: Path) -> Path:
    """Return the folder that holds what the client's package.json or requirements.txt names."""
    manifest = client / "package.json" if (client / "package.json").exists() else client / "requirements.txt"
    if manifest.suffix == ".json":
        require_node()
    digest = hashlib.sha256(manifest.read_bytes() + sys.version.encode()).hexdigest()
    folder = cache / f"{client.name}-{digest[:12]}"
    with alone(cache):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copy(manifest, folder)
            for command in NPM if manifest.suffix == ".json" else PIP:
                run(*command, folder=folder)
            (folder / "complete").touch()
    return folder


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Let one process at a time install."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_node() -> None:
    """Skip the test where there is no Node.js that the packages run on."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs Node.js and npm")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if [int(number) for number in re.findall(r"\d+", version)] < [20, 19]:
        pytest.skip(f"needs Node.js 20.19 or later; this is {version}")


def run(*command: str, folder: Path) -> None:
    """Run a command that fetches packages, or skip the test where there is no way to a registry."""
    environment = os.environ | {"PIP_RETRIES": "1"}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
    said = ran.stdout + ran.stderr
    offline = [line for line in said.splitlines() if any(sign in line for sign in OFFLINE)]
    if ran.returncode and offline:
        pytest.skip(f"needs a package registry: {offline[0]}")
    assert ran.returncode == 0, said
