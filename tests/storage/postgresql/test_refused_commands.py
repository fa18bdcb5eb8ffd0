"""Every command that needs a database says in one line why it has none, what to do, and no password."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.app.calling import SECRET
from tests.conftest import APP, Ended, RunCommand, environment

CANARY = "canary-5f0c"
MAIL = {"SMTP_URL": "smtp://127.0.0.1:1?tls=off", "MAIL_FROM": "visits@homes.example"}
COMMANDS = {
    "serve": ("serve", "--port", "0"),
    "serve workers": ("serve", "--port", "0", "--workers", "2"),
    "demo": ("serve", "--dev", "--demo", "--port", "0"),
    "migrate": ("migrate",),
    "import": ("import", "users.json"),
    "export": ("export",),
    "deliver": ("deliver", "--once"),
    "outbox": ("outbox",),
    "move from": ("move", "--to", "sqlite:///new.db"),
}
AT_ALL = ["no URL", "no port", "no server", "no such user", "no such database", "no certificate"]


def changed(url: str, fault: str) -> tuple[str, str]:
    """Return the URL with a fault and a password, and what is said of it."""
    parts = urlsplit(url)
    server = f"{parts.hostname}:{parts.port}"
    credentials = f"postgres:{CANARY}"
    match fault:
        case "no URL":
            return f"postgresql:{credentials}@{server}/visits", "The database URL cannot be read: write it like postgresql://"
        case "no port":
            return f"postgresql://{credentials}@{server}x/visits", "The database URL cannot be read: write it like postgresql://"
        case "no server":
            return f"postgresql://{credentials}@127.0.0.1:1/visits", "Check that it runs, and what its URL says."
        case "no such user":
            refused = 'role "nobody" does not exist. Check the user and the password in its URL'
            return urlunsplit(parts._replace(netloc=f"nobody:{CANARY}@{server}")), refused
        case "no such database":
            refused = (
                'database "nowhere" does not exist. Have an administrator run CREATE DATABASE, or check the name in its URL.'
            )
            return urlunsplit(parts._replace(netloc=f"{credentials}@{server}", path="/nowhere")), refused
    options = f"sslmode=verify-full&sslrootcert=/nowhere.crt&sslpassword={CANARY}"
    refused = "sslrootcert of the database URL names no file that can be used: /nowhere.crt"
    return urlunsplit(parts._replace(netloc=f"{credentials}@{server}", query=options)), refused


def require_one_line(ended: Ended, sentence: str) -> None:
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1), ended
    assert ended.err.startswith("home-visits: ")
    assert sentence in ended.err
    assert CANARY not in ended.err


@pytest.mark.parametrize("fault", AT_ALL)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_database_that_cannot_be_connected_to_is_reported(
    run_command_here: RunCommand, url: str, tmp_path: Path, fault: str, command: tuple[str, ...]
) -> None:
    (tmp_path / "users.json").write_text("[]")
    unusable, sentence = changed(url, fault)
    signing = {} if "--demo" in command else {"JWT_SECRET": SECRET}

    ended = run_command_here(*command, DATABASE_URL=unusable, **MAIL, **signing)

    require_one_line(ended, sentence)
    assert [path.name for path in tmp_path.iterdir()] == ["users.json"]


@pytest.mark.parametrize("fault", AT_ALL)
def test_a_database_that_cannot_be_moved_to_is_reported(
    run_command_here: RunCommand, url: str, tmp_path: Path, fault: str
) -> None:
    run_command_here("migrate", DATABASE_URL=f"sqlite:///{tmp_path}/old.db")
    unusable, sentence = changed(url, fault)

    ended = run_command_here("move", "--to", unusable, DATABASE_URL=f"sqlite:///{tmp_path}/old.db")

    require_one_line(ended, sentence)


@pytest.mark.parametrize("command", [("export",), ("outbox",), ("deliver", "--once"), ("move", "--to", "sqlite:///new.db")])
def test_an_empty_database_is_left_empty(run_command_here: RunCommand, tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = run_command_here(*command, **MAIL)

    require_one_line(ended, "There are no home visits in postgresql://")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("backup", "a copy.dump"), "pg_dump --format=custom --file='a copy.dump' postgresql://postgres@127.0.0.1:"),
        (("restore", "a copy.dump"), "pg_restore --clean --if-exists --dbname=postgresql://postgres@127.0.0.1:"),
    ],
)
def test_what_copies_a_database_is_told_as_a_line_to_run(
    run_command_here: RunCommand, url: str, tmp_path: Path, words: tuple[str, ...], line: str
) -> None:
    ended = run_command_here(*words, DATABASE_URL=url.replace("postgres@", f"postgres:{CANARY}@"))

    require_one_line(ended, line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["asyncpg", "greenlet"])
@pytest.mark.parametrize("command", [("migrate",), ("serve", "--dev", "--port", "0"), ("export",)])
def test_without_the_extra_it_says_how_to_install_it(tmp_path: Path, module: str, command: tuple[str, ...]) -> None:
    # As where it is not installed.
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules['{module}'] = None\n")
    variables = environment(tmp_path) | {"PYTHONPATH": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, APP, *command], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False
    )

    require_one_line(
        Ended(ended.returncode, ended.stdout, ended.stderr),
        f"PostgreSQL needs {module}, which is not installed: run pip install -e '.[postgresql]'.",
    )
