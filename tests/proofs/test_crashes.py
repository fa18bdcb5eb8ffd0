"""Promise 1: an acknowledged write survives a crash."""

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.databases import is_sqlite, url_of
from tests.proofs.wholeness import faults, history, wait_until_nobody_writes

ROOT = Path(__file__).parents[2]
# By the number of processes.
KILLS = {1: 50, 2: 20, 3: 50}
COMMITS = 20


def start(path: Path, acknowledged: Path, name: str, writers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.proofs.writers", url_of(path), str(acknowledged), name, str(writers)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def wait_until_it_writes(acknowledged: Path, process: subprocess.Popen[bytes], since: int) -> None:
    deadline = time.monotonic() + 30
    while size(acknowledged) <= since:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (-signal.SIGKILL, b"")


def lost(types: dict[str, list[str]], acknowledged: Path) -> list[str]:
    writes = (line.split() for line in acknowledged.read_text().splitlines())
    return [f"{id} {version}" for id, version in writes if len(types.get(id, [])) < int(version)]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2] if is_sqlite() else [3])
def test_nothing_acknowledged_is_lost_and_nothing_is_half_written(
    path: Path, tmp_path: Path, processes: int, tell: Callable[..., None]
) -> None:
    chance = random.Random(processes)  # noqa: S311 - so that it can be repeated
    files = [tmp_path / f"acknowledged {number}" for number in range(processes)]
    kills, found = 0, []

    while kills < KILLS[processes]:
        before = [size(file) for file in files]
        running = [start(path, file, f"process {number}", 20) for number, file in enumerate(files)]
        for file, process, since in zip(files, running, before, strict=True):
            wait_until_it_writes(file, process, since)
        # The others go on writing for a while after each that is killed.
        for process in chance.sample(running, processes):
            time.sleep(chance.random() * 0.5)
            kill(process)
            kills += 1
        wait_until_nobody_writes(path)
        types = history(path)
        found += [*faults(path), *(loss for file in files for loss in lost(types, file))]

    acknowledged = sum(len(file.read_text().splitlines()) for file in files)
    tell(f"killed while 20 wrote in each of {processes}", kills=kills, acknowledged=acknowledged, lost_or_half_written=len(found))
    assert found == []


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which shows what reaches the disk, is not installed")
def test_every_commit_reaches_the_disk_before_it_is_answered(path: Path, tmp_path: Path, tell: Callable[..., None]) -> None:
    """Kills prove nothing of power loss: for that, a commit must be synchronised with the disk between call and answer."""
    trace = tmp_path / "trace"
    calls = ["strace", "-f", "-e", "trace=fsync,fdatasync,write", "-e", "signal=none", "-o", str(trace)]
    command = [sys.executable, "-m", "tests.proofs.steps", url_of(path), str(COMMITS)]

    subprocess.run([*calls, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    between = re.findall(r'write\(1, "called\\n"(.*?)write\(1, "answered\\n"', trace.read_text(), re.DOTALL)
    synced = [len(re.findall(r"f(?:data)?sync\(", calls)) for calls in between]
    tell("strace of one write after the other", commits=len(synced), synchronised=sum(synced))
    assert synced == [1] * COMMITS
