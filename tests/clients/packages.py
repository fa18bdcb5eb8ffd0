"""Installs what an example client depends on, once: a later run finds it where the test suite keeps its cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "NameResolutionError", "NewConnectionError")
NPM = ("npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund")


def install(client: Path, cache: Path) -> Path:
    """Return the folder that holds what the client's package.json or requirements.txt names."""
    wanted = client / "package.json" if (client / "package.json").exists() else client / "requirements.txt"
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    folder = cache / f"{client.name}-{digest[:12]}"
    with alone(cache):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copy(wanted, folder)
            install_node_packages(folder) if wanted.suffix == ".json" else install_python_packages(folder)
            (folder / "complete").touch()
    return folder


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Let one process at a time install."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_node_packages(folder: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("needs Node.js and npm")
    run(*NPM, folder=folder)


def install_python_packages(folder: Path) -> None:
    run(sys.executable, "-m", "venv", ".", folder=folder)
    run("bin/python", "-m", "pip", "install", "--requirement", "requirements.txt", folder=folder)


def run(*command: str, folder: Path) -> None:
    """Run a command that fetches packages; where there is no way to a registry, skip the test."""
    environment = os.environ | {"PIP_RETRIES": "1"}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
    said = ran.stdout + ran.stderr
    if ran.returncode and any(sign in said for sign in OFFLINE):
        pytest.skip(f"needs a package registry: {said.strip().splitlines()[-1]}")
    assert ran.returncode == 0, said
