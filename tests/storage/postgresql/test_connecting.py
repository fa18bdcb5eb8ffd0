"""How PostgreSQL is connected to, and what is said where it cannot be."""

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urlsplit, urlunsplit

import pytest

from storage.errors import DatabaseUnusable
from storage.instants import instant, stored
from storage.postgresql.connecting import connect, instant_of, text_of
from storage.postgresql.database import PostgreSQLDatabase
from storage.postgresql.urls import dsn_of, without_password

SECRET = "p4ss"  # noqa: S105 - of nobody


def changed(url: str, **parts: str) -> str:
    return urlunsplit(urlsplit(url)._replace(**parts))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_a_url_is_taken_as_libpq_and_sqlalchemy_write_it(scheme: str) -> None:
    assert dsn_of(f"{scheme}://me:a%2Fb@host/visits?sslmode=require") == "postgresql://me:a%2Fb@host/visits?sslmode=require"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://me:{SECRET}@host:5432/visits", "postgresql://me@host:5432/visits"),
        (f"postgresql://me:{SECRET}%40x@one,two/visits", "postgresql://me@one,two/visits"),
        (f"postgresql:///visits?host=/run&password={SECRET}", "postgresql:///visits?host=/run"),
        (f"postgresql://host/visits?sslpassword={SECRET}&sslmode=require", "postgresql://host/visits?sslmode=require"),
        ("postgresql://host/visits", "postgresql://host/visits"),
    ],
)
def test_a_database_is_called_by_its_url_without_a_password(url: str, shown: str) -> None:
    assert str(PostgreSQLDatabase(url)) == shown
    assert SECRET not in without_password(url)


@pytest.mark.parametrize(
    ("parts", "message", "advice"),
    [
        ({"path": "/nowhere"}, 'database "nowhere" does not exist', "Have an administrator run CREATE DATABASE, or check"),
        ({"netloc": f"me:{SECRET}@127.0.0.1:1"}, "Connect call failed", "Check that it runs, and what its URL says."),
        ({"query": "sslmode=require"}, "SSL", "Check that it runs, and what its URL says."),
        ({"query": "sslmode=verify-ca"}, "root certificate file", "Provide the certificate file directly"),
        ({"query": "sslrootcert=/nowhere&sslmode=verify-ca"}, "sslrootcert of the database URL names no file", "/nowhere"),
        ({"query": "target_session_attrs=read-only"}, "none of its hosts is read-only", "what its URL says."),
        ({"query": "target_session_attrs=best"}, "target_session_attrs of the database URL must be", "one of any, read-write"),
        ({"query": "ssl=require"}, 'parameter "ssl" cannot be changed', "Leave it out."),
        ({"query": "channel_binding=require"}, 'parameter "channel_binding"', "Leave it out."),
        ({"netloc": f"me:{SECRET}@", "query": "host=/nowhere"}, "there is no server's socket", "what its URL says."),
    ],
    ids=str,
)
def test_what_cannot_be_connected_to_is_refused_in_one_line_without_the_password(
    url: str, parts: dict[str, str], message: str, advice: str
) -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        PostgreSQLDatabase(changed(url, **parts)).migrate()

    assert message in str(refused.value)
    assert advice in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("url", [f"postgresql://me:{SECRET}@host:port/visits", f"postgresql://me:{SECRET}@[::/visits"])
def test_a_url_that_cannot_be_read_is_refused_with_how_one_is_written(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match=r"^The database URL cannot be read: write it like postgresql://user:password@"):
        PostgreSQLDatabase(url).migrate()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2024-11-03 11:00:00+00", "2024-11-03T11:00:00"),
        ("2024-11-03 11:00:00.5+00", "2024-11-03T11:00:00.500"),
        ("2024-11-03 11:00:00.12+00", "2024-11-03T11:00:00.120"),
        ("2024-11-03 11:00:00.000007+00", "2024-11-03T11:00:00.000007"),
        ("2024-11-03 11:00:00.1234+00", "2024-11-03T11:00:00.123400"),
    ],
)
def test_an_instant_is_read_as_its_canonical_text(text: str, canonical: str) -> None:
    assert instant_of(text) == canonical
    assert stored(instant(canonical)) == canonical


def test_an_instant_is_written_in_utc() -> None:
    assert text_of(datetime(2024, 11, 3, 12, tzinfo=timezone(timedelta(hours=1)))) == "2024-11-03T11:00:00Z"
    assert text_of("2024-11-03T11:00:00.500") == "2024-11-03T11:00:00.500Z"


@pytest.mark.parametrize(
    "at", [datetime(1, 1, 1, tzinfo=UTC), datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC), datetime(9999, 12, 31, tzinfo=UTC)]
)
async def test_an_instant_comes_back_as_it_was_sent_in_every_year(url: str, at: datetime) -> None:
    connection = await connect(url)

    assert await connection.fetchval("SELECT $1::timestamptz", at) == stored(at)
    assert await connection.fetchval("SELECT $1::timestamptz", stored(at)) == stored(at)
    await connection.close()
