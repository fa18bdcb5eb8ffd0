"""Processes of a proof that are asked by lines, and answer with lines."""

import subprocess
import sys
from pathlib import Path

from tests.databases import url_of

ROOT = Path(__file__).parents[2]


def start(program: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a program of this folder on the database of a path."""
    command = [sys.executable, "-m", f"tests.proofs.{program}", url_of(path), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()
