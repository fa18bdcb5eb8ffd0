"""API keys that were revoked since a backup was made: they stay revoked when it is put back."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from storage.sqlite.connecting import connected, uri

_REVOKED = """
    SELECT old.key, new.revoked FROM main.api_keys AS old JOIN present.api_keys AS new ON new.key = old.key
    WHERE old.revoked IS NULL AND new.revoked IS NOT NULL ORDER BY new.revoked, old.key
"""


def revoked_since(path: Path, source: Path) -> Mapping[str, str] | None:
    """Return the keys of a backup that were revoked in a database since, with when; None where nobody can tell."""
    if not path.exists():
        return {}
    try:
        with closing(connected(source, "ro")) as connection:
            if not _has_keys(connection, "main"):
                return {}
            connection.execute("ATTACH ? AS present", (uri(path, "ro"),))
            return dict(connection.execute(_REVOKED).fetchall()) if _has_keys(connection, "present") else {}
    except sqlite3.Error:
        return None


def revoke(path: Path, revoked: Mapping[str, str]) -> None:
    """Revoke keys in a database that nobody has open."""
    if revoked:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executemany("UPDATE api_keys SET revoked = ? WHERE key = ?", [(at, key) for key, at in revoked.items()])


def _has_keys(connection: sqlite3.Connection, schema: str) -> bool:
    """Tell whether there are any keys; raise sqlite3.Error for what is no database."""
    table = connection.execute(f"SELECT 1 FROM {schema}.sqlite_schema WHERE name = 'api_keys'").fetchone()  # noqa: S608 - our own names
    return bool(table and connection.execute(f"SELECT 1 FROM {schema}.api_keys LIMIT 1").fetchone())  # noqa: S608 - our own names
