"""It starts closed: what cannot start safely, or at all, ends with one line that says what to do."""

import re
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from storage.database import database_of
from tests import databases
from tests.app.calling import COUNT, SECRET, ask
from tests.conftest import ROOT, RunCommand, StartServer
from tests.databases import made, url_of
from tests.inspection import inspect

SAMPLES = ROOT / "tests/storage/carehq/samples"
CANARY = "canary-5f0c"
EXAMPLE = 'such as this prints: python -c "import secrets; print(secrets.token_urlsafe(48))"'
UNUSABLE_SETTINGS = "Settings that cannot be used: HOME_VISITS_"
UNUSABLE_SERVER, UNUSABLE_SENDER = "HOME_VISITS_SMTP_URL: ", "HOME_VISITS_MAIL_FROM: "
MAIL_EXAMPLE = (
    "write it like smtp://user:password@mail.homes.example:587, in the user and the password % as %25, "
    "and in the user : as %3A (so may be written what else there is, such as / as %2F)"
)
NO_NUMBER = "Input should be a valid number, unable to parse string as a number"

REFUSED_SETTINGS = {
    "a short secret": (
        {"JWT_SECRET": CANARY},
        (f"HOME_VISITS_JWT_SECRET: The secret has only 11 bytes. Set one of at least 32 random bytes, {EXAMPLE}"),
    ),
    "a well-known secret": (
        {"JWT_SECRET": "your-256-bit-secret-your-256-bit-secret"},
        (
            "HOME_VISITS_JWT_SECRET: The secret is a well-known one, or made of well-known words. "
            f"Set one of at least 32 random bytes, {EXAMPLE}"
        ),
    ),
    "keys over plain HTTP": (
        {"JWT_SECRET": "", "JWT_JWKS_URL": f"http://{CANARY}.example/keys"},
        "HOME_VISITS_JWT_JWKS_URL: The address of the keys must begin with https:// (or http:// for a server on this machine).",
    ),
    "keys over plain HTTP beside a secret": (
        {"JWT_JWKS_URL": f"http://{CANARY}.example/keys"},
        "HOME_VISITS_JWT_JWKS_URL: The address of the keys must begin with https:// (or http:// for a server on this machine).",
    ),
    "keys at no port": (
        {"JWT_JWKS_URL": f"https://{CANARY}.example:port/keys"},
        "HOME_VISITS_JWT_JWKS_URL: The address of the keys cannot be read. Write it like https://issuer.example/keys.",
    ),
    "a short secret beside keys": (
        {"JWT_SECRET": CANARY, "JWT_JWKS_URL": "https://issuer.example/keys"},
        f"HOME_VISITS_JWT_SECRET: The secret has only 11 bytes. Set one of at least 32 random bytes, {EXAMPLE}",
    ),
    "another kind of database": (
        {"DATABASE_URL": f"mysql://user:{CANARY}@db/visits"},
        "mysql databases are not served: give a URL like sqlite:///home_visits.db or postgresql://….",
    ),
    "no URL of a database": (
        {"DATABASE_URL": CANARY},
        "The database URL cannot be read: write it like sqlite:///home_visits.db.",
    ),
    "a database in no folder": (
        {"DATABASE_URL": "sqlite:///nowhere/visits.db"},
        "nowhere is no folder that can be written to: make it, or set HOME_VISITS_DATABASE_URL.",
    ),
    "a mail server without a sender": (
        {"SMTP_URL": f"smtp://user:{CANARY}@mail.homes.example"},
        f"{UNUSABLE_SENDER}A mail server needs an address that confirmations come from: set it.",
    ),
    "no URL of a mail server": (
        {"SMTP_URL": f"mail.homes.example:{CANARY}", "MAIL_FROM": "visits@homes.example"},
        f"{UNUSABLE_SERVER}The mail server's URL cannot be read: {MAIL_EXAMPLE}.",
    ),
    "a mail server's password alone": (
        {"SMTP_URL": f"smtp://{CANARY}@mail.homes.example", "MAIL_FROM": "visits@homes.example"},
        f"{UNUSABLE_SERVER}The mail server needs both a user and a password, or neither: {MAIL_EXAMPLE}.",
    ),
    "a mail server elsewhere without TLS": (
        {"SMTP_URL": "smtp://mail.homes.example?tls=off", "MAIL_FROM": "visits@homes.example"},
        f"{UNUSABLE_SERVER}A mail server elsewhere must use TLS: remove ?tls=off from its URL.",
    ),
    "a sender that is no address": (
        {"SMTP_URL": "smtp://mail.homes.example", "MAIL_FROM": "Our Homes"},
        (
            f"{UNUSABLE_SENDER}The sender must be one address: write it like `Our Homes <visits@homes.example>`. "
            "An email address must have an @-sign."
        ),
    ),
    "a limit of nothing": (
        {"LIMITS__DEPTH": "0"},
        f"{UNUSABLE_SETTINGS}LIMITS__DEPTH: must be more than 0, and not endless.",
    ),
    "a limit without end": (
        {"HTTP__BODY_SECONDS": "inf"},
        f"{UNUSABLE_SETTINGS}HTTP__BODY_SECONDS: must be more than 0, and not endless.",
    ),
    "a limit that is no number": (
        {"HTTP__BODY_SECONDS": "nan"},
        f"{UNUSABLE_SETTINGS}HTTP__BODY_SECONDS: must be more than 0, and not endless.",
    ),
    "all limits at once": (
        {"LIMITS": '{"depth": 3}'},
        f"{UNUSABLE_SETTINGS}LIMITS: this is a group: set its members one by one, as the README lists them.",
    ),
    "a database with an endless name": (
        {"DATABASE_URL": f"sqlite:///{'a' * 300}.db"},
        f"[Errno 36] File name too long: '{'a' * 300}.db'",
    ),
    "several values at once": (
        {"HTTP__BODY_SECONDS": CANARY, "EXECUTING": "-1", "LOG_FORMAT": CANARY},
        (
            f"{UNUSABLE_SETTINGS}LOG_FORMAT: Input should be 'console' or 'json'; "
            f"HOME_VISITS_EXECUTING: Input should be greater than 0; HOME_VISITS_HTTP__BODY_SECONDS: {NO_NUMBER}."
        ),
    ),
    "a zone that is nowhere": (
        {"DEFAULT_TIME_ZONE": "Europe/Atlantis"},
        f"{UNUSABLE_SETTINGS}DEFAULT_TIME_ZONE: A TimeZone is an IANA name, like Europe/London.",
    ),
    "a zone of no place": (
        {"DEFAULT_TIME_ZONE": "localtime"},
        f"{UNUSABLE_SETTINGS}DEFAULT_TIME_ZONE: A TimeZone is an IANA name, like Europe/London.",
    ),
    "an origin with a path": (
        {"ALLOWED_ORIGINS": "https://a.example https://b.example/"},
        (
            f"{UNUSABLE_SETTINGS}ALLOWED_ORIGINS: https://b.example/ is no origin: "
            "write them like https://visits.example, with spaces between."
        ),
    ),
    "every origin": (
        {"ALLOWED_ORIGINS": "*"},
        f"{UNUSABLE_SETTINGS}ALLOWED_ORIGINS: * is no origin: write them like https://visits.example, with spaces between.",
    ),
    "no trusted documents": (
        {"TRUSTED_DOCUMENTS": "no.json"},
        "HOME_VISITS_TRUSTED_DOCUMENTS: The trusted documents cannot be read: [Errno 2] No such file or directory: 'no.json'.",
    ),
}


def test_without_sign_in_it_says_what_to_set(run_command: RunCommand, tmp_path: Path) -> None:
    ended = run_command("serve", "--port", "0")

    sentence = "Nobody could sign in: set HOME_VISITS_JWT_SECRET or HOME_VISITS_JWT_JWKS_URL, or try with serve --dev."
    assert (ended.code, ended.out, ended.err) == (1, "", f"home-visits: {sentence}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "visits.example"])  # noqa: S104 - they are refused
def test_development_listens_on_this_machine_only(run_command_here: RunCommand, tmp_path: Path, host: str) -> None:
    ended = run_command_here("serve", "--dev", "--port", "0", "--host", host)

    sentence = "--dev lets everybody in, so it listens on this machine only: leave out --host, or set up sign-in."
    assert (ended.code, ended.err) == (1, f"home-visits: {sentence}\n")
    assert list(tmp_path.iterdir()) == []


def test_development_is_a_flag_and_no_setting(run_command_here: RunCommand) -> None:
    ended = run_command_here("serve", "--port", "0", DEV="true")

    assert ended.code == 1
    assert ended.err.splitlines()[0] == "HOME_VISITS_DEV is no setting, and has no effect."


def test_what_is_no_setting_is_reported_wherever_it_stands(run_command_here: RunCommand, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HOME_VISITS_EXECUTE=8\nHOME_VISITS_EXECUTING=8\nPATIENCE=1\n")

    ended = run_command_here("migrate", WAIT="8")

    assert (ended.code, ended.err.splitlines()[:-1]) == (
        0,
        ["HOME_VISITS_EXECUTE is no setting, and has no effect.", "HOME_VISITS_WAIT is no setting, and has no effect."],
    )


@pytest.mark.parametrize(("settings", "sentence"), REFUSED_SETTINGS.values(), ids=REFUSED_SETTINGS)
def test_a_setting_that_cannot_be_used_is_named_and_its_value_is_not(
    run_command_here: RunCommand, tmp_path: Path, settings: dict[str, str], sentence: str
) -> None:
    ended = run_command_here("serve", "--port", "0", **{"JWT_SECRET": SECRET} | settings)

    assert (ended.code, ended.out, ended.err) == (1, "", f"home-visits: {sentence}\n")
    assert CANARY not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_settings_that_cannot_be_read_is_reported(run_command_here: RunCommand, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"HOME_VISITS_JWT_SECRET=\xff\xfe")

    ended = run_command_here("serve", "--port", "0")

    assert ended.code == 1
    assert re.fullmatch(r"home-visits: Settings that cannot be read, from variables or \.env: .+\n", ended.err)


def test_a_port_in_use_is_reported(run_command_here: RunCommand) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]

        ended = run_command_here("serve", "--port", str(port), JWT_SECRET=SECRET)

    sentence = f"Cannot listen at 127.0.0.1:{port}: Address already in use. Choose another --host or --port."
    assert (ended.code, ended.err) == (1, f"home-visits: {sentence}\n")


def test_a_demo_on_a_port_in_use_makes_nothing(run_command_here: RunCommand, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]

        ended = run_command_here("serve", "--dev", "--demo", "--port", str(port))

    sentence = f"Cannot listen at 127.0.0.1:{port}: Address already in use. Choose another --host or --port."
    assert (ended.code, ended.err) == (1, f"home-visits: {sentence}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--host", "0.0.0.0")])  # noqa: S104 - it is refused
def test_only_development_has_made_up_visits(run_command_here: RunCommand, tmp_path: Path, flags: tuple[str, ...]) -> None:
    ended = run_command_here("serve", "--demo", "--port", "0", *flags, JWT_SECRET=SECRET)

    sentence = "--demo fills a database with made-up visits, to try out: leave it out, or add --dev."
    assert (ended.code, ended.err) == (1, f"home-visits: {sentence}\n")
    assert list(tmp_path.iterdir()) == []


def test_made_up_visits_are_not_put_beside_real_ones(run_command_here: RunCommand, tmp_path: Path) -> None:
    run_command_here("import", str(SAMPLES / "home_visits.json"))
    before = inspect(tmp_path / "visits.db").everything()

    ended = run_command_here("serve", "--dev", "--demo", "--port", "0")

    sentence = "holds what is not made up: leave out --demo, or set HOME_VISITS_DATABASE_URL to a new file."
    name = str(database_of(url_of(tmp_path / "visits.db")))
    assert (ended.code, ended.err) == (1, f"home-visits: {name} {sentence}\n")
    assert inspect(tmp_path / "visits.db").everything() == before


@pytest.mark.sqlite  # where its file is
def test_where_the_database_is_is_told_in_full(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("--dev", DATABASE_URL="sqlite:///relative.db")

    assert server.serving == f"{tmp_path}/relative.db"


def no_database(path: Path) -> None:
    path.write_text("Dear diary, nothing happened today, at great length.\n" * 100)


def foreign_database(path: Path) -> None:
    made(path)
    inspect(path).execute("CREATE TABLE diary (entry TEXT)")


def newer_database(path: Path) -> None:
    made(path)
    inspect(path).execute("CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('9999')")


FOREIGN = {
    "sqlite": "{} holds other tables: name a file of its own for the home visits.",
    "postgresql": "The database holds other tables: name one of its own for the home visits.",
}
UNUSABLE = {
    "a folder": (Path.mkdir, {"sqlite": "{} cannot be opened as a database: "}),
    "no database": (no_database, {"sqlite": "{} cannot be opened as a database: file is not a database."}),
    "another program's": (foreign_database, FOREIGN),
    "a newer version's": (
        newer_database,
        dict.fromkeys(FOREIGN, "{} was made by a newer version of this program (step 9999): install that one or a later one."),
    ),
}


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("export",), ("outbox",), ("import", "users.json"), ("migrate",)])
@pytest.mark.parametrize(
    ("make", "sentences"),
    [pytest.param(*case, id=name, marks=[] if len(case[1]) > 1 else pytest.mark.sqlite) for name, case in UNUSABLE.items()],
)
def test_a_database_that_cannot_be_used_is_reported(
    run_command_here: RunCommand,
    tmp_path: Path,
    make: Callable[[Path], None],
    sentences: dict[str, str],
    command: tuple[str, ...],
) -> None:
    make(tmp_path / "visits.db")

    ended = run_command_here(*command, JWT_SECRET=SECRET)

    name = str(database_of(url_of(tmp_path / "visits.db")))
    assert ended.code == 1
    assert ended.err.startswith(f"home-visits: {sentences[databases.KIND].format(name)}")
    assert ended.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == (["visits.db"] if databases.is_sqlite() else [])


@pytest.mark.parametrize("command", [("export",), ("outbox",), ("deliver", "--once")])
def test_a_command_on_no_database_makes_none(run_command_here: RunCommand, tmp_path: Path, command: tuple[str, ...]) -> None:
    mail = {"SMTP_URL": "smtp://localhost:1?tls=off", "MAIL_FROM": "visits@homes.example"}

    ended = run_command_here(*command, **mail)

    name = str(database_of(url_of(tmp_path / "visits.db")))
    sentence = f"There are no home visits in {name} yet: import some, or set HOME_VISITS_DATABASE_URL."
    assert (ended.code, ended.out, ended.err) == (1, "", f"home-visits: {sentence}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_flag_beside_development_still_lets_only_tokens_in(start_server: StartServer) -> None:
    server = start_server("--dev", JWT_SECRET=SECRET)

    answer = ask(server.port, COUNT)

    assert answer.status == 401
