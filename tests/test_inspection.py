"""One place opens the database beside the product, and what it tells of the database is so."""

import ast
from pathlib import Path

import pytest

from tests.inspection import DRIVER_ERRORS, connected, inspect
from tests.storage.homes import ALICE, NOBODY, prepare

TESTS = Path(__file__).parent
# What is about a database itself, what breaks it, what measures against it, and what the one place is.
BREAKS = ("proofs/faults.py", "proofs/standby.py", "proofs/test_connections.py")
DRIVES = ("storage/sqlite/", "storage/postgresql/", "benchmarks/", *BREAKS, "databases.py", "inspection.py")


def imported_by(file: Path) -> set[str]:
    """Return the top-level names of the modules that a file imports."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import():
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            case ast.ImportFrom(module=str(module)):
                modules.add(module.partition(".")[0])
    return modules


def test_no_other_test_drives_the_database_itself() -> None:
    drivers = {"sqlite3", "aiosqlite", "asyncpg", "psycopg"}

    files = {str(file.relative_to(TESTS)) for file in TESTS.rglob("*.py") if imported_by(file) & drivers}

    assert {file for file in files if not file.startswith(DRIVES)} == set()
    assert "inspection.py" in files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    prepare(tmp_path / "visits.db")
    return tmp_path / "visits.db"


def test_what_a_script_changes_is_seen(path: Path) -> None:
    before = inspect(path).everything()

    inspect(path).execute("UPDATE users SET first_name = 'Al'; DELETE FROM service_user_contacts")
    inspect(path).insert("users", {"id": NOBODY})

    after = inspect(path).everything()
    assert [row[1] for row in after.pop("users")] == ["Al", "Al", None]
    assert (len(before.pop("service_user_contacts")), after.pop("service_user_contacts")) == (3, [])
    assert after == {table: rows for table, rows in before.items() if table != "users"}
    assert [record["id"] for record in inspect(path).records("users")][::2] == [ALICE, NOBODY]


def test_a_script_that_fails_changes_nothing(path: Path) -> None:
    before = inspect(path).everything()

    with pytest.raises(DRIVER_ERRORS, match="nowhere"):
        inspect(path).execute("DELETE FROM service_user_contacts; DELETE FROM nowhere")

    assert inspect(path).everything() == before


@pytest.mark.sqlite  # PostgreSQL lets nobody write its schema
def test_what_is_damaged_is_found(path: Path) -> None:
    whole = inspect(path).faults()
    inspect(path).execute(f"UPDATE care_enquiries SET location = '{NOBODY}' WHERE assigned_to = '{ALICE}'")  # noqa: S608 - ours
    dangling = inspect(path).faults()
    with connected(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'home_visits_by_time'")

    damaged = inspect(path).faults()

    assert (whole, dangling) == ([], ["care_enquiries 1 refers to nothing in locations"])
    assert damaged == ["database disk image is malformed"]


def test_a_lock_is_held_until_its_block_ends(path: Path) -> None:
    with inspect(path).locked():
        within = inspect(path).is_locked()

    assert (within, inspect(path).is_locked()) == (True, False)
