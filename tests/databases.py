"""The databases of tests, each known by a path: a SQLite file there, or one that a PostgreSQL cluster keeps under its name."""

import atexit
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from weakref import WeakKeyDictionary

import pytest
import sqlalchemy as sa

from storage.database import Database, database_of

# Set by `--database` and `--postgresql`.
KIND = "sqlite"
SERVER: str | None = None


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
    made(path)
    return database_at(path).migrate()


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
        _psql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        _created[name] = _paths[name]


def _psql(statement: str) -> None:
    command = [_program("psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", _at(_server(), "postgres"), "--command"]
    ended = subprocess.run([*command, statement], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def _at(server: str, name: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


@cache
def _server() -> str:
    """Return the URL of the server that was named, or of a cluster that ends with this process."""
    return SERVER or _start()


def _program(name: str) -> str:
    found = shutil.which(name) or next(iter(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None)
    if found is None and (config := shutil.which("pg_config")):
        found = Path(subprocess.check_output([config, "--bindir"], text=True).strip()) / name
    if found is None or not Path(found).exists():
        pytest.skip(f"needs PostgreSQL's {name}, or --postgresql with the URL of a server")
    return str(found)


def _start() -> str:
    folder = Path(tempfile.mkdtemp(prefix="home-visits-postgresql-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # These programs refuse to run as root.
    user = "postgres" if os.getuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run([_initdb(), *options, folder / "data"], user=user, cwd=folder, check=True, capture_output=True)
    port = _free_port()
    settings = {
        "port": port,
        "fsync": "off",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "max_connections": 200,
    }
    command = [_initdb("postgres"), "-D", folder / "data", *(f"--{name}={value}" for name, value in settings.items())]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=log)
    atexit.register(_stop, server)
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    subprocess.run([_program("pg_isready"), "--quiet", f"--dbname={url}"], check=False)
    _await(url, server)
    return url


def _initdb(name: str = "initdb") -> str:
    """Return a program of the server, which Debian keeps out of the path."""
    if config := shutil.which("pg_config"):
        return str(Path(subprocess.check_output([config, "--bindir"], text=True).strip()) / name)
    return _program(name)


def _await(url: str, server: "subprocess.Popen[bytes]") -> None:
    import time

    for _ in range(200):
        if subprocess.run([_program("pg_isready"), "--quiet", f"--dbname={url}"], check=False).returncode == 0:
            return
        assert server.poll() is None, "PostgreSQL did not start"
        time.sleep(0.05)
    raise AssertionError("PostgreSQL did not start in ten seconds")


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    server.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
