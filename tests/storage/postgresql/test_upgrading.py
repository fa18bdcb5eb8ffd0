"""Without downtime: servers of an older version go on while the tables are brought up to those of a newer one, and afterwards."""

import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import storage.api_keys
import storage.carehq.live.intents
import storage.carehq.live.progress
import storage.outbox.messages
from storage import migrations
from storage.errors import DatabaseUnusable
from storage.models import metadata
from storage.postgresql import migrating
from storage.postgresql.database import PostgreSQLDatabase
from storage.postgresql.keywords import INDEXES
from tests import databases
from tests.app.calling import ask
from tests.app.test_storage_faults import BOOK, ENQUIRIES
from tests.conftest import ROOT, StartServer, environment, fill
from tests.databases import engine_at

NEXT = f"{int(migrations.HEAD) + 1:04}"
STEP = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
{declaration}


def upgrade() -> None:
    op.add_column("home_visits", sa.Column("meeting_point", sa.String(), nullable=True))
    op.add_column("users", sa.Column("nickname", sa.String(), nullable=False, server_default=""))
"""
EXPANDING = f'serves_from = "{migrations.HEAD}"'
NEWER_PROGRAM = """
import sys
from pathlib import Path
from storage import migrations
from storage.database import database_of
migrations.FOLDER, migrations.HEAD = Path(sys.argv[1]), sys.argv[2]
database_of(sys.argv[3]).migrate()
"""
PAGE = "{ homeVisits(last: 3) { totalCount nodes { id notes assignedTo { firstName } careEnquiry { id } } } }"
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('home_visits_by_time')"


def newer_program(url: str, folder: Path, declaration: str = EXPANDING) -> list[str]:
    """Return the command of a version that has a step more, and that brings a database up to it."""
    newer = folder / "newer"
    shutil.copytree(migrations.FOLDER, newer, ignore=shutil.ignore_patterns("__pycache__"))
    step = STEP.format(revision=NEXT, before=migrations.HEAD, declaration=declaration)
    (newer / "versions" / f"{NEXT}_next.py").write_text(step)
    return [sys.executable, "-c", NEWER_PROGRAM, str(newer), NEXT, url]


@contextmanager
def traffic(port: int, enquiry: str) -> Iterator[list[Any]]:
    """Read and book until the block ends; the list grows by each answer."""
    answers: list[Any] = []
    ending = threading.Event()

    def work() -> None:
        while not ending.is_set():
            answers.extend([ask(port, PAGE).json, ask(port, BOOK, {"careEnquiry": enquiry}).json])

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def require_served(answers: list[Any]) -> None:
    assert [answer for answer in answers if answer.get("errors") or None in answer["data"].values()] == []
    booked = [answer["data"]["bookHomeVisit"] for answer in answers if "bookHomeVisit" in answer["data"]]
    assert len(booked) > 0
    assert [answer for answer in booked if not answer.get("homeVisit")] == []


def revision(url: str) -> str:
    with psycopg.connect(url) as connection:
        [[found]] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return str(found)


def enquiry_of(port: int) -> str:
    return str(ask(port, ENQUIRIES).json["data"]["homeVisits"]["nodes"][0]["careEnquiry"]["id"])


def test_a_server_goes_on_while_and_after_a_newer_version_migrates(start_server: StartServer, tmp_path: Path, url: str) -> None:
    server = start_server("--dev", "--demo")
    served = databases.url_of(tmp_path / "visits.db")

    with traffic(server.port, enquiry_of(server.port)) as answers:
        time.sleep(0.5)
        subprocess.run(newer_program(served, tmp_path), cwd=ROOT, check=True, timeout=60)
        during = len(answers)
        time.sleep(0.5)
        again = start_server("--dev")
        after = len(answers)
    require_served([*answers, ask(again.port, PAGE).json])

    assert 0 < during < after
    assert revision(served) == NEXT


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def older_version(folder: Path) -> Path:
    """Unpack the newest commit that served PostgreSQL with fewer steps than there are now."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs the history of this repository: clone it with git")
    for commit in git("log", "--format=%H", "--", "storage/migrations/__init__.py", "storage/postgresql/database.py").split():
        files = git("ls-tree", "--name-only", commit, "storage/migrations/__init__.py", "storage/postgresql/database.py").split()
        if len(files) == 2:
            head = re.search(r'^HEAD = "(\d+)"', git("show", f"{commit}:storage/migrations/__init__.py"), re.MULTILINE)
            if head and head[1] < migrations.HEAD:
                break
    else:
        pytest.skip("needs the whole history of this repository: git fetch --unshallow")
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    folder.mkdir()
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    return folder


@contextmanager
def serving_from(program: Path, folder: Path) -> Iterator[int]:
    """Serve in development by another version of the program; yield the port."""
    command = [sys.executable, str(program / "app.py"), "serve", "--dev", "--demo", "--port", "0"]
    with (folder / "older.log").open("w") as log:
        server = subprocess.Popen(command, cwd=program, env=environment(folder), stdout=log, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        lines: list[str] = []
        for line in server.stderr:
            lines.append(line)
            if found := re.search(r"http://[^/]+:(\d+)/graphql", line):
                yield int(found[1])
                return
        raise AssertionError("".join(lines))
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stderr.close()


def test_an_earlier_version_goes_on_while_and_after_this_one_migrates(start_server: StartServer, tmp_path: Path) -> None:
    program = older_version(tmp_path / "older")
    served = databases.made(tmp_path / "visits.db")

    with serving_from(program, tmp_path) as port:
        before = revision(served)
        with traffic(port, enquiry_of(port)) as answers:
            time.sleep(0.5)
            assert PostgreSQLDatabase(served).migrate()
            during = len(answers)
            time.sleep(0.5)
            new = start_server("--dev")
            both = [ask(new.port, PAGE).json, ask(port, PAGE).json]
            after = len(answers)
        counts = [ask(each, PAGE).json["data"]["homeVisits"]["totalCount"] for each in (port, new.port)]
    require_served([*answers, *both])

    assert before < revision(served) == migrations.HEAD
    assert 0 < during < after
    assert counts[0] == counts[1] > len(answers) // 2


def test_a_step_waits_in_short_attempts_for_a_long_reader_and_keeps_nobody_waiting(tmp_path: Path, url: str) -> None:
    fill(url)
    patience = "-c statement_timeout=5000"
    with psycopg.connect(url) as reader, psycopg.connect(url, autocommit=True, options=patience) as other:
        reader.execute("SELECT count(*) FROM home_visits")
        migrating = subprocess.Popen(newer_program(url, tmp_path), cwd=ROOT)
        waited = []
        while len(waited) < 40:
            started = time.monotonic()
            other.execute("SELECT count(*) FROM home_visits")
            waited.append(time.monotonic() - started)
            time.sleep(0.1)
        before = (revision(url), migrating.poll())
        reader.rollback()

        assert migrating.wait(timeout=60) == 0

    assert before == (migrations.HEAD, None)
    assert revision(url) == NEXT
    # The lock is waited for in steps of 0.3 s; without them this would take as long as the reader does.
    assert max(waited) < 2


def test_a_step_that_finds_no_moment_says_what_to_do(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(url)
    monkeypatch.setattr(migrating, "MAX_ATTEMPTS", 2)
    monkeypatch.setattr(migrating, "PAUSE_SECONDS", 0.01)
    command = newer_program(url, tmp_path)
    monkeypatch.setattr(migrations, "FOLDER", Path(command[3]))
    monkeypatch.setattr(migrations, "HEAD", NEXT)
    with psycopg.connect(url) as reader:
        reader.execute("SELECT count(*) FROM home_visits")
        message = f"^Step {NEXT} could not be made: a transaction has a table in use that does not end. End it, and run `migrate`"
        with pytest.raises(DatabaseUnusable, match=message):
            PostgreSQLDatabase(url).migrate()


def test_a_database_newer_than_the_program_is_refused(tmp_path: Path, url: str) -> None:
    PostgreSQLDatabase(url).migrate()
    subprocess.run(newer_program(url, tmp_path, declaration=""), cwd=ROOT, check=True, timeout=60)

    sentence = rf"was made by a newer version of this program \(step {NEXT}\): install that one or a later one\.$"
    with pytest.raises(DatabaseUnusable, match=re.escape(str(PostgreSQLDatabase(url))) + " " + sentence):
        PostgreSQLDatabase(url).migrate()


def test_an_index_whose_builder_was_killed_is_built_by_the_next(tmp_path: Path, url: str) -> None:
    fill(url)
    command = [sys.executable, str(ROOT / "app.py"), "migrate"]
    variables = environment(tmp_path, DATABASE_URL=url)
    with psycopg.connect(url, autocommit=True) as connection, psycopg.connect(url) as writer:
        connection.execute("DROP INDEX home_visits_by_time")
        # Beside one that writes, it is begun, and cannot come to its end.
        writer.execute("UPDATE home_visits SET host = host")
        builder = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)
        soon(lambda: connection.execute(IS_VALID).fetchall() == [(False,)])
        builder.kill()
        builder.communicate()
        soon(lambda: connection.execute("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%'").fetchall() == [])
        broken = connection.execute(IS_VALID).fetchall()
        writer.rollback()

        ended = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)

        assert broken == [(False,)]
        assert (ended.returncode, "has been brought up to date" in ended.stderr) == (0, True), ended.stderr
        assert connection.execute(IS_VALID).fetchall() == [(True,)]


def soon(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_steps_after_the_first_build_their_indexes_beside_writers(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    build = migrating.indexes.build

    async def look(connection: Any) -> bool:
        connection.add_query_logger(lambda query: sent.append(query.query))
        return await build(connection)

    with monkeypatch.context() as patch:
        patch.setattr(migrating.migrations, "steps_after", lambda _revision: ["0001", "0002", "0003"])
        patch.setattr(migrating.indexes, "build", not_now)
        PostgreSQLDatabase(url).migrate()
    before = names_of_indexes(url)
    monkeypatch.setattr(migrating.indexes, "build", look)

    PostgreSQLDatabase(url).migrate()

    built = set(re.findall(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+)", "\n".join(sent)))
    assert {"care_enquiries_of_user", "care_enquiries_search"} <= built
    assert names_of_indexes(url) - before - constraints(url) <= built


async def not_now(_connection: Any) -> bool:
    return False


def names_of_indexes(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}


def constraints(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("SELECT conname FROM pg_constraint WHERE contype IN ('p', 'u')")}


def test_migrations_equal_the_models(tmp_path: Path) -> None:
    databases.migrate(tmp_path / "migrated.db")
    engine = engine_at(tmp_path / "migrated.db")

    def is_ours(name: str | None, *_: object) -> bool:
        # SQLAlchemy has no word for these, which are compared below.
        return name not in INDEXES

    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_name": is_ours}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    engine.dispose()
    assert storage.outbox.messages
    assert differences == []


def test_migrations_and_models_make_the_same_indexes_and_constraints(tmp_path: Path) -> None:
    databases.migrate(tmp_path / "migrated.db")
    databases.made(tmp_path / "modelled.db")
    with psycopg.connect(databases.url_of(tmp_path / "modelled.db"), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
    engine = engine_at(tmp_path / "modelled.db")
    metadata.create_all(engine)
    engine.dispose()

    migrated, modelled = (definitions(databases.url_of(tmp_path / f"{name}.db")) for name in ("migrated", "modelled"))

    assert {text for text in migrated if "alembic" not in text} == modelled


def definitions(url: str) -> set[str]:
    statements = """
        SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE conrelid <> 0
    """
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute(statements).fetchall()}
