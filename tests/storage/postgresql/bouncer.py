"""PgBouncer in transaction mode before the cluster of the tests."""

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests import databases
from tests.storage.postgresql.clusters import USER

# Fewer connections than the gateways have: each statement may meet what another process left behind.
CONNECTIONS = 6
# Where many requests to cancel come at the end of a hang, it may end with "bad client state", 1.18 of Debian 12 and later ones.
RESTART_SECONDS = 0.1


@contextmanager
def bouncing(url: str) -> Iterator[str]:
    """Start it, and give the URL of the same database through it."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("needs PgBouncer, which Debian's package pgbouncer has")
    server, port = urlsplit(url), databases._free_port()
    folder = Path(tempfile.mkdtemp(prefix="home-visits-pgbouncer-"))
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={server.hostname} port={server.port} user={server.username}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {CONNECTIONS}\nmax_client_conn = 200\n"
        # It would refuse for 15 seconds what it could not connect to once.
        "server_login_retry = 1\n"
        # It does not notice that who waits is gone: while PostgreSQL hangs they add up to all that it takes.
        "query_wait_timeout = 5\n"
    )
    if USER:
        for path in (folder, settings):
            shutil.chown(path, USER)
    through = urlunsplit(server._replace(netloc=f"{server.username}@127.0.0.1:{port}"))
    try:
        with _kept_running([program, str(settings)], folder / "log"):
            _wait(through, folder / "log")
            yield through
    finally:
        shutil.rmtree(folder)


@contextmanager
def _kept_running(command: list[str], log: Path) -> Iterator[None]:
    """Run a program, and start it again where it ends, as systemd does with `Restart=always`."""
    is_over, processes = threading.Event(), list[subprocess.Popen[bytes]]()

    def start() -> None:
        with log.open("a") as output:
            processes.append(subprocess.Popen(command, user=USER, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT))

    def keep_running() -> None:
        while not is_over.wait(RESTART_SECONDS):
            if processes[-1].poll() is not None:
                start()

    start()
    keeper = threading.Thread(target=keep_running)
    keeper.start()
    try:
        yield
    finally:
        is_over.set()
        keeper.join()
        processes[-1].terminate()
        processes[-1].wait(timeout=30)


def _wait(url: str, log: Path) -> None:
    ends = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.05)
        else:
            return
