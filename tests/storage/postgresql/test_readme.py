"""What the README says of PostgreSQL, as an administrator and an operator would try it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from storage.errors import DatabaseUnusable
from storage.postgresql.database import PostgreSQLDatabase
from storage.sqlite.database import SQLiteDatabase
from tests.conftest import environment
from tests.storage.postgresql.clusters import USER, Cluster, cluster
from tests.test_readme import ROOT, of

PASSWORD = "password"  # noqa: S105 - the README's


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with cluster() as running:
        # Whoever comes by TCP needs a password.
        running.write("pg_hba.conf", "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        running.run("SELECT pg_reload_conf()")
        yield running


def as_administrator(own: Cluster, script: str) -> None:
    variables = os.environ | {"PGHOST": str(own.folder), "PGPORT": str(own.port), "PGUSER": "postgres"}
    # It asks for the password twice, of whoever sits there.
    script = script.replace(
        "createuser --pwprompt visits", f"psql -qc \"CREATE ROLE visits LOGIN PASSWORD '{PASSWORD}'\" postgres"
    )
    subprocess.run(["bash", "-e", "-c", script], env=variables, check=True, capture_output=True)


def as_operator(own: Cluster, script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = ["bash", "-e", "-c", script.replace("localhost", f"127.0.0.1:{own.port}")]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)


def test_the_commands_make_a_database_that_is_served(own: Cluster, tmp_path: Path) -> None:
    making, installing, moving = (example.text for example in of("sh", "PostgreSQL"))
    [times] = (example.text for example in of("sql", "PostgreSQL"))
    (tmp_path / "app.py").symlink_to(ROOT / "app.py")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    script = "\n".join(line for line in installing.splitlines() if "pip install" not in line)

    as_administrator(own, making)
    migrated = as_operator(own, script, tmp_path)
    SQLiteDatabase(tmp_path / "home_visits.db").migrate()
    moved = as_operator(own, moving, tmp_path)
    own.run(*times.strip().splitlines())
    with psycopg.connect(own.url.replace("postgres@/postgres", "visits@/visits")) as connection:
        of_role = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in re.findall(r"SET (\w+)", times)]

    assert ".[postgresql]" in installing
    assert (migrated.returncode, migrated.stdout) == (0, "")
    assert migrated.stderr == f"postgresql://visits@127.0.0.1:{own.port}/visits has been brought up to date.\n"
    assert moved.returncode == 0, moved.stderr
    assert of_role == [("3s",), ("2s",), ("5s",), ("off",), ("32MB",)]


def test_the_settings_for_ten_million_visits_are_postgresqls_own(own: Cluster) -> None:
    [settings] = (example.text for example in of("ini", "Sizes"))
    lines = [line.split(" = ") for line in settings.strip().splitlines()]

    own.run(*(f"ALTER SYSTEM SET {name} = '{value}'" for name, value in lines))

    [[written]] = rows(own, "SELECT pg_read_file('postgresql.auto.conf')")
    own.run("ALTER SYSTEM RESET ALL")
    assert [line for line in written.splitlines() if not line.startswith("#")] == [f"{name} = '{value}'" for name, value in lines]


def test_the_lines_of_backup_and_restore_copy_a_database_and_put_it_back(own: Cluster, tmp_path: Path) -> None:
    own.run("CREATE ROLE keeper LOGIN", "CREATE DATABASE kept OWNER keeper", "CREATE DATABASE other OWNER keeper")
    urls = [f"postgresql://keeper@/{name}?host={own.folder}&port={own.port}" for name in ("kept", "other")]
    for url in urls:
        PostgreSQLDatabase(url).migrate()
    with psycopg.connect(urls[0]) as connection:
        connection.execute("INSERT INTO locations (id, name) VALUES ('10000000000000000000000a', 'Willow Court')")
    file, (kept, other) = tmp_path / "a copy", map(PostgreSQLDatabase, urls)
    lines = [line_of(kept.backup, file), line_of(other.restore, file)]

    for line in lines:
        subprocess.run(["bash", "-e", "-c", line], check=True, capture_output=True)

    with psycopg.connect(urls[1]) as connection:
        assert connection.execute("SELECT name FROM locations").fetchall() == [("Willow Court",)]
    assert not PostgreSQLDatabase(urls[1]).migrate()


def line_of(command: Callable[[Path], object], file: Path) -> str:
    with pytest.raises(DatabaseUnusable) as refused:
        command(file)
    return str(refused.value).partition(": ")[2]


def test_a_database_is_put_back_as_it_was_at_a_moment() -> None:
    archiving, restoring = (example.text for example in of("ini", "Keep PostgreSQL"))
    [copying] = (example.text for example in of("sh", "Keep PostgreSQL"))
    with cluster() as own:
        data, backups = own.folder / "data", own.folder / "backups"
        as_owner(own, f"mkdir -p {backups}/wal && cp {data}/postgresql.auto.conf {backups}/without")
        own.stop()
        own.write("postgresql.auto.conf", archiving.replace("/backups", str(backups)))
        own.start()
        own.run("CREATE TABLE bookings (id int)", "INSERT INTO bookings VALUES (1)")
        as_owner(own, copying.replace("/backups", str(backups)))
        own.run("INSERT INTO bookings VALUES (2)")
        [[moment]] = rows(own, "SELECT clock_timestamp()")
        own.run("INSERT INTO bookings VALUES (3)", "SELECT pg_switch_wal()")
        while list(data.glob("pg_wal/archive_status/*.ready")):
            time.sleep(0.05)

        own.stop()
        as_owner(own, f"rm -r {data} && cp -a {backups}/base {data}")
        own.write("recovery.signal", "")
        recovery = restoring.replace("/backups", str(backups)).replace("2030-11-04 08:59:00+00", moment.isoformat(" "))
        own.write("postgresql.auto.conf", recovery)
        own.start()
        while rows(own, "SELECT pg_is_in_recovery()") == [(True,)]:
            time.sleep(0.05)
        own.run("INSERT INTO bookings VALUES (4)")

        assert rows(own, "SELECT id FROM bookings ORDER BY id") == [(1,), (2,), (4,)]


def as_owner(own: Cluster, script: str) -> None:
    variables = os.environ | {"PGHOST": str(own.folder), "PGPORT": str(own.port), "PGUSER": "postgres"}
    command = ["bash", "-e", "-c", f"umask 077; {script}"]
    subprocess.run(command, user=USER, cwd=own.folder, env=variables, check=True, capture_output=True)


def rows(own: Cluster, query: str) -> list[Any]:
    with psycopg.connect(own.url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()
