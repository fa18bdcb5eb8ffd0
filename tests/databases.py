"""The databases of tests, each known by a path: a SQLite file there, or one that a PostgreSQL cluster keeps under its name."""

import atexit
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from weakref import WeakKeyDictionary

import psycopg
import pytest
import sqlalchemy as sa

from storage.database import Database, database_of

# Set by `--database` and `--postgresql`.
KIND = "sqlite"
SERVER: str | None = None

# Nothing that a test does must outlive this machine. Statistics are those that a test has taken.
FAST = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": 0, "autovacuum": "off"}
# Ends the cluster and removes its folder when whoever holds the other end of its standard input ends, however that was.
GUARD = 'folder=$1; shift; "$@" </dev/null & cat >/dev/null; kill -QUIT $!; wait $!; rm -rf "$folder"'


def is_sqlite() -> bool:
    return KIND == "sqlite"


@contextmanager
def using(kind: str) -> Iterator[None]:
    """Have paths name databases of this kind, whichever the tests are run with."""
    global KIND  # noqa: PLW0603 - the options of pytest set it too
    before, KIND = KIND, kind
    try:
        yield
    finally:
        KIND = before


def url_of(path: Path) -> str:
    """Return the URL of the database that is known by a path, whether there is one or not."""
    return f"sqlite:///{path}" if is_sqlite() else _at(_server(), _name(path))


def database_at(path: Path) -> Database:
    database = database_of(url_of(path))
    _paths_of[database] = path
    return database


def path_of(database: Database) -> Path:
    """Return the path by which the database of a test is known here."""
    return _paths_of.get(database) or Path(getattr(database, "path"))  # noqa: B009 - one that the test has opened as SQLite's


def engine_at(path: Path) -> sa.Engine:
    """Return an engine for what a test writes beside the product."""
    url = sa.make_url(url_of(path))
    return sa.create_engine(url if is_sqlite() else url.set(drivername="postgresql+psycopg"), poolclass=sa.pool.NullPool)


def migrate(path: Path) -> bool:
    """Make the database of a path where there is none, and bring it up to date."""
    if is_sqlite() or _name(path) in _created:
        return database_at(path).migrate()
    copied(_migrated(), path)
    return True


def copied(template: Path, path: Path) -> Path:
    """Make the database of `path` as a copy of another one that nobody is connected to; return `path`."""
    if is_sqlite():
        return Path(shutil.copy(template, path))
    _create(_name(path), _name(template))
    return path


def made(path: Path) -> str:
    """Return the URL of the database of a path, which is there from now on, if empty."""
    if not is_sqlite():
        _create(_name(path))
    return url_of(path)


def drop_below(folder: Path) -> None:
    """Drop the databases of paths in this folder: a file goes with its folder."""
    for name in [name for name, path in _created.items() if path.is_relative_to(folder)]:
        _psql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        del _created[name]


_paths_of: WeakKeyDictionary[Database, Path] = WeakKeyDictionary()
_created: dict[str, Path] = {}
_paths: dict[str, Path] = {}


def _name(path: Path) -> str:
    """Return what a database is called there: a path would be too long."""
    name = f"test_{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:24]}"
    _paths[name] = path.absolute()
    return name


def _create(name: str, template: str = "template0") -> None:
    if name not in _created:
        # Whose files are copied needs no log of each page.
        strategy = "STRATEGY FILE_COPY" if _connection().info.server_version >= 150000 else ""
        _psql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {strategy}')
        _created[name] = _paths[name]


@cache
def _migrated() -> Path:
    """Return the path of a database that is up to date and empty: to migrate one takes longer than to copy it."""
    path = Path(tempfile.gettempdir(), f"migrated-{os.getpid()}")
    made(path)
    database_at(path).migrate()
    return path


def _psql(statement: str) -> None:
    _connection().execute(statement.encode())


@cache
def _connection() -> "psycopg.Connection[Any]":
    connection = psycopg.connect(_at(_server(), "postgres"), autocommit=True)
    atexit.register(connection.close)
    return connection


def _at(server: str, name: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


@cache
def _server() -> str:
    """Return the URL of the server that was named, or of a cluster that ends with this process."""
    return SERVER or _start()


def server_for_all() -> str | None:
    """Return the URL of one server for all processes of this run; None where there is none to be had."""
    try:
        return _server()
    except pytest.skip.Exception:
        return None


def _start() -> str:
    initdb, postgres = _initdb(), _initdb("postgres")
    memory = Path("/dev/shm")  # noqa: S108 - a database is copied for each test: ten times faster there
    is_roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30
    folder = Path(tempfile.mkdtemp(prefix="home-visits-postgresql-", dir=memory if is_roomy else None))
    # These programs refuse to run as root.
    user = "postgres" if os.getuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run([initdb, *options, folder / "data"], user=user, cwd=folder, check=True, capture_output=True)
    port = _free_port()
    own = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "max_connections": 200}
    settings = [f"--{name}={value}" for name, value in (FAST | own).items()]
    command = ["sh", "-c", GUARD, "sh", folder, postgres, "-D", folder / "data", *settings]
    with (folder / "log").open("w") as log:
        # In a group of its own it outlives what is typed at the tests.
        guard = subprocess.Popen(
            command, user=user, cwd="/", stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    atexit.register(_stop, guard)
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    _await(url, guard)
    return url


def _initdb(name: str = "initdb") -> str:
    """Return a program of the server, which Debian keeps out of the path."""
    found = shutil.which(name) or next(iter(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None)
    if config := shutil.which("pg_config"):
        beside = Path(subprocess.check_output([config, "--bindir"], text=True).strip()) / name
        found = beside if beside.exists() else found
    if found is None:
        pytest.skip(f"needs PostgreSQL's {name}, or --postgresql with the URL of a server")
    return str(found)


def _await(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert server.poll() is None, "PostgreSQL did not start"
            time.sleep(0.05)
        else:
            return
    raise AssertionError("PostgreSQL did not start in thirty seconds")


def _stop(guard: "subprocess.Popen[bytes]") -> None:
    assert guard.stdin is not None
    guard.stdin.close()
    guard.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
