"""PgBouncer in transaction mode before the cluster of the tests."""

import shutil
import subprocess
import tempfile
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
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, settings], user=USER, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    through = urlunsplit(server._replace(netloc=f"{server.username}@127.0.0.1:{port}"))
    try:
        _wait(through, process, folder / "log")
        yield through
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(folder)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    ends = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.05)
        else:
            return
