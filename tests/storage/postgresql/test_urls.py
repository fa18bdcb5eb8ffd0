"""The URL as libpq writes it: every sign in a password, TLS, sockets and hosts, on servers that insist on them."""

import socket
import string
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from storage.errors import DatabaseUnusable
from storage.postgresql import connecting
from storage.postgresql.connecting import connect
from storage.postgresql.database import PostgreSQLDatabase
from storage.postgresql.urls import dsn_of, each_host, without_password
from tests.certificates import certificate
from tests.storage.postgresql.clusters import Cluster, cluster

WRONG = "canary-5f0c"
SIGNS = string.punctuation + " éß日"
# Whoever comes by TCP needs TLS and a password.
HBA = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return a server's key and the file of its certificate, for clients to trust."""
    key, signed = certificate("localhost")
    path = tmp_path_factory.mktemp("authority") / "root.crt"
    path.write_text(signed)
    return key, path


@pytest.fixture(scope="module")
def guarded(authority: tuple[str, Path]) -> Iterator[Cluster]:
    """A cluster that lets in whoever comes by TLS with a password, or by its socket."""
    key, path = authority
    with cluster() as running:
        running.stop()
        running.write("server.key", key)
        running.write("server.crt", path.read_text())
        running.write("pg_hba.conf", HBA)
        running.start(ssl="on")
        running.run(f"CREATE ROLE me LOGIN PASSWORD '{SIGNS.replace(chr(39), chr(39) * 2)}'", "CREATE DATABASE visits OWNER me")
        yield running


def url(running: Cluster, options: str, password: str = quote(SIGNS, safe=""), host: str = "localhost") -> str:
    return f"postgresql://me:{password}@{host}:{running.port}/visits?{options}"


async def user(url: str) -> str:
    connection = await connect(dsn_of(url))
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


async def test_a_password_may_hold_every_sign(guarded: Cluster) -> None:
    assert await user(url(guarded, "sslmode=require")) == "me"


@pytest.mark.parametrize("sign", sorted(set(SIGNS) - {"%"}))
def test_a_sign_may_stand_in_a_password_as_it_is(sign: str) -> None:
    raw, encoded = (f"postgresql://me:a{written}b@host:5433/visits?sslmode=require" for written in (sign, quote(sign, safe="")))

    assert dsn_of(raw) == dsn_of(encoded) == encoded.replace("~", quote("~", safe=""))
    assert without_password(dsn_of(raw)) == "postgresql://me@host:5433/visits?sslmode=require"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/a@b",
        "postgresql://host/visits?user=me&password=a@b:c/d",
        "postgresql://host:5432/visits?user=me@there",
        "postgresql:///visits?host=/run/postgresql",
        "postgresql://me:a@%2Frun%2Fpostgresql/visits",
        "postgresql://me:a@[::1]:5432,two/visits",
        "postgresql://",
    ],
)
def test_what_libpq_reads_in_one_way_is_left_as_it_is(url: str) -> None:
    assert dsn_of(url) == url


@pytest.mark.parametrize(
    "url", ["postgresql:visits", "postgresql://me:a@host:port/visits", "postgresql://a@b@c:d", "postgresql://host/visits#x"]
)
def test_what_cannot_be_read_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(
        DatabaseUnusable, match=r"^The database URL cannot be read: write it like postgresql://user:password@host"
    ):
        dsn_of(url)


def test_times_that_libpq_takes_are_not_for_the_server() -> None:
    dsn = dsn_of("postgresql://host/visits?connect_timeout=10&keepalives_idle=5&application_name=x&channel_binding=prefer")

    assert dsn == "postgresql://host/visits?application_name=x"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("one:1,two:2/visits?sslmode=require", ["one:1/visits?sslmode=require", "two:2/visits?sslmode=require"]),
        ("me:a@one,[::1]:2/visits", ["me:a@one/visits", "me:a@[::1]:2/visits"]),
        ("/visits?host=one,two&port=1,2", ["/visits?host=one&port=1", "/visits?host=two&port=2"]),
        ("/visits?host=one,two&port=1", ["/visits?host=one&port=1", "/visits?host=two&port=1"]),
        ("/visits?host=one,two", ["/visits?host=one", "/visits?host=two"]),
        ("one/visits", ["one/visits"]),
    ],
)
def test_each_host_has_a_url_of_its_own(url: str, hosts: list[str]) -> None:
    assert each_host(f"postgresql://{url}") == [f"postgresql://{host}" for host in hosts]


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_certificate_is_trusted_that_the_url_names(guarded: Cluster, authority: tuple[str, Path], mode: str) -> None:
    assert await user(url(guarded, f"sslmode={mode}&sslrootcert={authority[1]}")) == "me"


@pytest.mark.parametrize(
    ("options", "host", "message"),
    [
        ("sslmode=verify-full&sslrootcert={root}", "127.0.0.1", "IP address mismatch"),
        ("sslmode=verify-ca&sslrootcert={other}", "localhost", "certificate verify failed"),
        ("sslmode=disable", "localhost", "no pg_hba.conf entry"),
        ("sslmode=verify-full&sslrootcert={key}", "localhost", "sslrootcert of the database URL names no file that can be used"),
    ],
)
def test_a_server_that_is_not_trusted_gets_no_password(
    guarded: Cluster, authority: tuple[str, Path], tmp_path: Path, options: str, host: str, message: str
) -> None:
    other, key = tmp_path / "other.crt", tmp_path / "key.pem"
    other.write_text(certificate("localhost")[1])
    key.write_text(authority[0])
    asked = url(guarded, options.format(root=authority[1], other=other, key=key), host=host)

    with pytest.raises(DatabaseUnusable, match=message) as refused:
        PostgreSQLDatabase(asked).migrate()

    assert "\n" not in str(refused.value)
    assert SIGNS not in str(refused.value)


def test_a_wrong_password_is_refused_in_one_line_that_does_not_repeat_it(guarded: Cluster) -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        PostgreSQLDatabase(url(guarded, "sslmode=require", password=WRONG)).migrate()

    assert str(refused.value) == (
        'The database cannot be used: password authentication failed for user "me". '
        "Check the user and the password in its URL, and what the server's pg_hba.conf lets in."
    )


@pytest.mark.parametrize("form", ["me@/visits?host={folder}&port={port}", "me@{quoted}:{port}/visits"])
async def test_a_socket_is_connected_to(guarded: Cluster, form: str) -> None:
    place = form.format(folder=guarded.folder, port=guarded.port, quoted=quote(str(guarded.folder), safe=""))

    assert await user(f"postgresql://{place}") == "me"


def test_who_may_not_make_the_extension_is_told_who_may(guarded: Cluster) -> None:
    guarded.run("CREATE DATABASE without", "CREATE ROLE guest LOGIN")
    url = f"postgresql://guest@/without?host={guarded.folder}&port={guarded.port}"

    with pytest.raises(DatabaseUnusable, match="have an administrator run CREATE EXTENSION pg_trgm in this database"):
        PostgreSQLDatabase(url).migrate()


def test_who_may_not_make_tables_is_told_who_may(guarded: Cluster) -> None:
    guarded.run("CREATE DATABASE foreign_one", "CREATE ROLE visitor LOGIN")
    url = f"postgresql://visitor@/foreign_one?host={guarded.folder}&port={guarded.port}"
    as_owner = f"postgresql://postgres@/foreign_one?host={guarded.folder}&port={guarded.port}"
    with psycopg.connect(as_owner, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")

    advice = r"permission denied for schema public\. Have an administrator make this user the owner"
    with pytest.raises(DatabaseUnusable, match=advice):
        PostgreSQLDatabase(url).migrate()


def test_a_server_that_is_too_old_is_refused(guarded: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.postgresql.migrating.OLDEST", 99)

    with pytest.raises(DatabaseUnusable, match=r"^PostgreSQL 99 or later is needed: this is \d\d\."):
        PostgreSQLDatabase(url(guarded, "sslmode=require")).migrate()


async def test_of_several_hosts_the_one_that_can_be_written_is_taken(guarded: Cluster) -> None:
    with cluster() as standby:
        standby.run("CREATE ROLE me LOGIN", "CREATE DATABASE visits", "ALTER ROLE me SET default_transaction_read_only = on")
        hosts = f"postgresql://me:{quote(SIGNS, safe='')}@127.0.0.1:{standby.port},127.0.0.1:{guarded.port}/visits"
        ports = []
        for attributes in ("read-write", "any"):
            connection = await connect(dsn_of(f"{hosts}?target_session_attrs={attributes}"))
            ports.append(await connection.fetchval("SELECT inet_server_port()"))
            await connection.close()

    assert ports == [guarded.port, standby.port]


async def test_a_host_that_never_answers_leaves_time_for_the_next(guarded: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hosts = f"postgresql://me:{quote(SIGNS, safe='')}@127.0.0.1:{port},localhost:{guarded.port}/visits"

        assert await user(f"{hosts}?sslmode=require") == "me"


async def test_a_host_where_nobody_listens_leaves_the_next_to_be_tried(guarded: Cluster) -> None:
    assert await user(url(guarded, "sslmode=require", host="127.0.0.1:1,localhost")) == "me"
