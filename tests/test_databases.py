"""The cluster that tests start ends with them, however they end."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from urllib.parse import urlsplit

from tests import databases
from tests.conftest import ROOT

STARTING = """
import sys, time
from tests import databases
print(databases._start(), flush=True)
time.sleep(60)
"""


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def test_a_cluster_ends_with_a_process_that_is_killed() -> None:
    databases._initdb()
    with subprocess.Popen([sys.executable, "-c", STARTING], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = urlsplit(process.stdout.readline()).port or 0
        before = answers(port)

        os.kill(process.pid, signal.SIGKILL)

    ends = time.monotonic() + 20
    while answers(port) and time.monotonic() < ends:
        time.sleep(0.05)
    assert (before, answers(port)) == (True, False)
