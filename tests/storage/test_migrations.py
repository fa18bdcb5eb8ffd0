import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import storage.api_keys
import storage.carehq.live.intents
import storage.carehq.live.progress
import storage.outbox.messages
import storage.sqlite.keywords
import storage.sqlite.numbering
import storage.sqlite.people
import storage.sqlite.sightings
from storage.errors import DatabaseUnusable
from storage.migrations import HEAD
from storage.models import metadata
from storage.sqlite.migrating import migrate, revision
from tests.inspection import inspect
from tests.storage.homes import everything_in, migrate_to, prepare, visit_id

# Of files, and of the steps as SQLite's SQL has them: those of PostgreSQL have tests in its own room.
pytestmark = pytest.mark.sqlite


def test_migrations_equal_the_models(tmp_path: Path) -> None:
    migrate(tmp_path / "visits.db")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'visits.db'}")

    def is_ours(name: str | None, *_: object) -> bool:
        # What SQLite itself makes for the indexes of trigrams is compared below.
        return name is None or not any(part in name for part in ("_notes", "_search", "_numbers"))

    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_name": is_ours}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    engine.dispose()
    assert differences == []


def definitions_in(tmp_path: Path, name: str) -> dict[str, str]:
    definitions = inspect(tmp_path / name).definitions()
    return {name: " ".join(sql.replace('"', "").split()) for name, sql in definitions.items() if name != "alembic_version"}


def test_migrations_and_models_make_the_same_conditions_on_rows_indexes_and_triggers(tmp_path: Path) -> None:
    migrate(tmp_path / "migrated.db")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'modelled.db'}")
    metadata.create_all(engine)
    engine.dispose()
    migrated, modelled = definitions_in(tmp_path, "migrated.db"), definitions_in(tmp_path, "modelled.db")

    others = {name: sql for name, sql in modelled.items() if not sql.startswith("CREATE TABLE")}

    assert migrated.keys() == modelled.keys()
    assert {name: migrated[name] for name in others} == others
    assert "CONSTRAINT not_both CHECK (cancelled IS NULL OR completed IS NULL)" in migrated["home_visits"]


def test_head_is_the_last_step() -> None:
    steps = ScriptDirectory(str(Path(storage.migrations.__file__).parent))

    assert steps.get_heads() == [HEAD]


def test_a_database_is_migrated_once(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"

    assert (revision(path), migrate(path), revision(path), migrate(path)) == (None, True, HEAD, False)


def test_every_step_can_be_gone_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    steps = [step.revision for step in ScriptDirectory(str(Path(storage.migrations.__file__).parent)).walk_revisions()][::-1]

    gone = []
    for step in steps:
        migrate_to(step, path)
        gone.append(revision(path))

    assert gone == steps


def test_an_empty_file_is_a_database_to_be(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    path.touch()

    assert migrate(path)


def test_a_path_may_have_any_characters(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c %41'é.db"

    migrate(path)

    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert revision(path) == HEAD


def test_migrating_again_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    prepare(path)
    before = everything_in(path)

    migrate(path)

    assert everything_in(path) == before


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('9999')",
            "was made by a newer version of this program .step 9999.: install that one or a later one",
        ),
        ("CREATE TABLE recipes (name)", "holds other tables: name a file of its own for the home visits"),
    ],
)
def test_a_database_of_others_or_of_the_future_is_left_alone(tmp_path: Path, statements: str, message: str) -> None:
    path = tmp_path / "visits.db"
    inspect(path).execute(statements)
    before = path.read_bytes()

    with pytest.raises(DatabaseUnusable, match=message):
        migrate(path)

    assert path.read_bytes() == before


def test_what_is_no_database_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ada, " * 100)

    with pytest.raises(DatabaseUnusable, match=r"cannot be opened as a database: file is not a database"):
        migrate(tmp_path / "letter.txt")
    with pytest.raises(DatabaseUnusable, match="cannot be opened as a database"):
        migrate(tmp_path)
    with pytest.raises(DatabaseUnusable, match="The database cannot be used: unable to open database file"):
        migrate(tmp_path / "no folder" / "visits.db")


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    inspect(path).execute("CREATE TABLE alembic_version (version_num); CREATE TABLE outbox_messages (id)")

    with pytest.raises(sa.exc.OperationalError, match="table outbox_messages already exists"):
        migrate(path)

    assert everything_in(path) == {"alembic_version": [], "outbox_messages": []}


def test_of_servers_that_start_at_once_one_migrates(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    code = f"from pathlib import Path; from storage.sqlite.migrating import migrate; migrate(Path({str(path)!r}))"

    processes = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60)[1] for process in processes]

    assert ([process.returncode for process in processes], answers) == ([0] * 2, [""] * 2)
    assert (revision(path), len(everything_in(path)["alembic_version"])) == (HEAD, 1)


def test_notes_that_were_there_before_their_index_are_in_it(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    migrate_to("0002", path)
    columns = inspect(path).columns("home_visits")
    for number, notes in enumerate(["", "ask dora", "wheelchair"]):
        values = {"number": number, "id": visit_id(number), "notes": notes, "notes_folded": notes, "version": 1}
        others = dict.fromkeys(columns, "2024-11-03T11:00:00") | {"cancelled": None, "completed": None}
        inspect(path).insert("home_visits", others | values)

    migrate(path)

    assert inspect(path).query("SELECT rowid FROM home_visits_notes WHERE home_visits_notes MATCH 'hee'") == [(2,)]


def test_times_are_cut_to_whole_seconds_those_of_mail_too(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    migrate_to("0003", path)
    times = ["2024-11-03T11:00:00.999", "2024-11-03T11:00:00.123456", "2024-11-03T11:00:00"]
    for number, time in enumerate(times):
        others = dict.fromkeys(inspect(path).columns("home_visits"), "2024-11-01T09:30:00.500") | {"cancelled": None}
        inspect(path).insert("home_visits", others | {"number": number, "id": visit_id(number), "date_time": time, "version": 1})
        message = dict.fromkeys(inspect(path).columns("outbox_messages"), "2024-11-01T09:30:00.500")
        names = {"id": visit_id(number), "home_visit": visit_id(number), "sequence": number}
        inspect(path).insert("outbox_messages", message | names | {"date_time": time, "previous": [*times, None][number + 1]})

    migrate(path)

    cut, first = "2024-11-03T11:00:00", "2024-11-01T09:30:00.500"
    assert inspect(path).query("SELECT date_time, modified FROM home_visits") == [(cut, first)] * 3
    messages = inspect(path).query("SELECT date_time, previous, created, method FROM outbox_messages ORDER BY sequence")
    assert messages == [(cut, previous, first, "REQUEST") for previous in (cut, cut, None)]


def test_indexes_that_a_killed_import_did_without_are_built(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    migrate(path)
    before = definitions_in(tmp_path, "visits.db")
    inspect(path).execute("DROP INDEX home_visits_pending_of_location; DROP INDEX home_visit_events_of_visit")

    assert (migrate(path), migrate(path)) == (True, False)

    assert definitions_in(tmp_path, "visits.db") == before


def test_an_import_that_is_running_is_left_to_build_its_indexes_itself(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    migrate(path)
    inspect(path).execute("DROP INDEX home_visits_by_time")

    with inspect(path).locked():
        done = migrate(path)

    assert done is False
    assert "home_visits_by_time" not in definitions_in(tmp_path, "visits.db")


def test_users_and_visits_of_before_are_seen_as_if_they_had_been_kept_now(tmp_path: Path) -> None:
    path = tmp_path / "visits.db"
    migrate_to("0003", path)
    user, elsewhere, here = (f"{number:024}" for number in (1, 2, 3))
    inspect(path).insert("users", {"id": user, "first_name": "Ada"})
    inspect(path).insert("care_enquiries", {"id": here, "location": here})
    others = dict.fromkeys(inspect(path).columns("home_visits"), "2024-11-03T11:00:00") | {"cancelled": None, "completed": None}
    for number, location in enumerate([here, elsewhere]):
        values = {"id": visit_id(number), "care_enquiry": here, "location": location, "notes_folded": "", "version": 1}
        named = {"assigned_to": None, "service_user_contact": None}
        inspect(path).insert("home_visits", others | values | named | {"number": number})

    migrate(path)

    kept = everything_in(path)
    assert kept["users"] == [(user, "Ada", None, None, None, None, 0, "1", None)]
    assert kept["sightings"] == [(here, elsewhere, visit_id(1))]
