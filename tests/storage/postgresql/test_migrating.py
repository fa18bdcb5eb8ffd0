"""Migrations on PostgreSQL: one process at a time, indexes mended, and what cannot serve refused."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from storage import migrations
from storage.errors import DatabaseUnusable
from storage.models import metadata
from storage.postgresql import keywords
from storage.postgresql.database import PostgreSQLDatabase
from tests import databases
from tests.conftest import APP, environment

INVALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'home_visits_by_time'::regclass"
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'home_visits_by_time'::regclass"


def test_of_eight_processes_at_once_all_succeed_and_one_migrates(tmp_path: Path) -> None:
    variables = environment(tmp_path)
    command = [sys.executable, APP, "migrate"]
    started = [subprocess.Popen(command, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    ended = [(process.communicate(timeout=100)[1], process.returncode) for process in started]

    assert [code for _, code in ended] == [0] * 8, ended
    assert sum("has been brought up to date" in output for output, _ in ended) == 1


def test_an_index_that_was_broken_off_is_built_anew(url: str) -> None:
    PostgreSQLDatabase(url).migrate()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(INVALID)

        assert PostgreSQLDatabase(url).migrate()
        assert connection.execute(IS_VALID).fetchall() == [(True,)]
    assert not PostgreSQLDatabase(url).migrate()


def test_a_database_of_others_is_left_alone(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE theirs ()")

    with pytest.raises(DatabaseUnusable, match="holds other tables: name one of its own"):
        PostgreSQLDatabase(url).migrate()


def test_a_database_whose_trigrams_lose_letters_is_refused(tmp_path: Path) -> None:
    databases._psql("CREATE DATABASE losing TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    url = databases._at(databases._server(), "losing")
    try:
        with pytest.raises(DatabaseUnusable, match="LC_CTYPE loses letters beyond ASCII: make one with CREATE DATABASE"):
            PostgreSQLDatabase(url).migrate()
    finally:
        databases._psql("DROP DATABASE losing WITH (FORCE)")


def test_behind_pgbouncer_a_database_must_be_up_to_date(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match="run `migrate` with the URL of PostgreSQL itself"):
        PostgreSQLDatabase(url, pooled=True).migrate()
    PostgreSQLDatabase(url).migrate()

    assert not PostgreSQLDatabase(url, pooled=True).migrate()
    assert migrations.HEAD


def test_backup_and_restore_name_the_tools_of_postgresql(url: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="pg_dump --format=custom"):
        PostgreSQLDatabase(url).backup(tmp_path / "copy")
    with pytest.raises(DatabaseUnusable, match="pg_restore --clean --if-exists"):
        PostgreSQLDatabase(url).restore(tmp_path / "copy")


def test_migrations_equal_the_models(url: str) -> None:
    PostgreSQLDatabase(url).migrate()
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))

    with engine.connect() as connection:
        options = {
            "compare_type": True,
            "compare_server_default": False,
            "include_name": lambda name, *_: name not in keywords.INDEXES,
        }
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    engine.dispose()
    assert differences == []
